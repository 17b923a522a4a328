//! The provider's webhooks: who is told, of what, and signed how.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::Utc;
use secrecy::SecretString;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use uuid::Uuid;

use super::book::{Charge, Dialect};
use super::provider::Provider;
use super::{paypal, stripe};

/// A receiver that takes longer is not told again: the simulator is no model of a provider's patience.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Who is told.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Target {
    /// Of what happens at which provider.
    pub(super) provider: Dialect,
    /// Where.
    pub(super) url: String,
    /// Stripe's signing secret, or the id of PayPal's webhook.
    #[serde(deserialize_with = "secret")]
    pub(super) secret: SecretString,
}

fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SecretString, D::Error> {
    String::deserialize(deserializer).map(SecretString::from)
}

/// What a provider tells.
pub(super) struct News {
    /// As in `payment_intent.succeeded`.
    pub(super) kind: &'static str,
    /// The kind of its object, as PayPal names it.
    pub(super) resource: &'static str,
    /// What it happened to.
    pub(super) object: Value,
}

/// Sends webhooks.
#[derive(Clone)]
pub(super) struct Notifier {
    http: reqwest::Client,
    targets: Arc<Mutex<HashMap<Dialect, Target>>>,
}

impl Notifier {
    /// # Errors
    /// When there can be no HTTP client.
    pub(super) fn new() -> Result<Self, reqwest::Error> {
        let http = reqwest::Client::builder().timeout(TIMEOUT).build()?;
        Ok(Self { http, targets: Arc::default() })
    }

    /// From now on.
    pub(super) fn send_to(&self, target: Target) {
        self.targets.lock().unwrap_or_else(PoisonError::into_inner).insert(target.provider, target);
    }

    fn target(&self, dialect: Dialect) -> Option<Target> {
        self.targets.lock().unwrap_or_else(PoisonError::into_inner).get(&dialect).cloned()
    }
}

/// Tells of what was done, in a while and perhaps twice, as the plan has it.
pub(super) fn announce(provider: &Arc<Provider>, action: &str, charge: &Charge) {
    let Some(target) = provider.notifier.target(charge.dialect) else { return };
    let news = match charge.dialect {
        Dialect::Stripe => stripe::replies::news(action, charge),
        Dialect::Paypal => paypal::replies::news(action, charge),
    };
    let Some(news) = news else { return };
    let late = provider.plan().webhook();
    let event = match charge.dialect {
        Dialect::Stripe => stripe::replies::event(&news, &format!("evt_{}", Uuid::now_v7().simple())),
        Dialect::Paypal => paypal::replies::event(&news, &format!("WH-{}", Uuid::now_v7().simple())),
    };
    for delay in late {
        tokio::spawn(send(Arc::clone(provider), target.clone(), event.to_string(), delay));
    }
}

async fn send(provider: Arc<Provider>, target: Target, body: String, delay: Duration) {
    tokio::time::sleep(delay).await;
    let now = Utc::now();
    let headers = match target.provider {
        Dialect::Stripe => {
            vec![("stripe-signature", crate::providers::stripe::sign(body.as_bytes(), &target.secret, now))]
        }
        Dialect::Paypal => paypal::signature::headers(&body, &target.secret, &provider.own_secret, now),
    };
    let mut request = provider.notifier.http.post(&target.url).header("content-type", "application/json");
    for (name, value) in headers {
        request = request.header(name, value);
    }
    match request.body(body).send().await {
        Ok(response) if response.status().is_success() => {}
        Ok(response) => tracing::warn!(status = %response.status(), "a webhook was refused"),
        Err(error) => tracing::warn!(error = %error.without_url(), "a webhook did not arrive"),
    }
}
