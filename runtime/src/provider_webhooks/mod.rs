//! Messages that providers send by themselves.
//!
//! None of them decides an outcome: it may be late, doubled, out of order or about another request. It makes the payment due
//! now, and the processor asks the provider.

pub mod store;

use std::fmt;

use chrono::{DateTime, Utc};
use http::HeaderMap;
use runtime_contract::ProviderSettings;
use thiserror::Error;
use tokio::sync::Semaphore;

use crate::app::App;
use crate::providers::client::VerificationError;
use crate::providers::{Client, Endpoint, Notice, Webhook, WebhookDelivery, WebhookError, adapter};

/// How long a provider may take to say whether a message is its own. It sends the message again if this fails.
const VERIFY_WITHIN: std::time::Duration = std::time::Duration::from_secs(5);

/// Messages that a provider is asked about at the same time. Anybody can send some that look like one: they must not make
/// this process call the provider without end. What is turned away is sent again, and polling finds it anyway.
const ASKED_MAX: usize = 8;

/// Asks providers whether a message is theirs.
pub struct Verifier {
    client: Client,
    places: Semaphore,
}

impl Verifier {
    /// One that asks about a few messages at a time.
    ///
    /// # Errors
    /// When there can be no HTTP client.
    pub fn new() -> Result<Self, reqwest::Error> {
        Ok(Self { client: Client::new()?, places: Semaphore::new(ASKED_MAX) })
    }
}

/// What a message came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Something of the payment was open, and is looked at now.
    Due,
    /// Nothing of it was open.
    Nothing,
    /// It is about no payment of this provider that is known here.
    Unknown,
}

impl Effect {
    /// The effect as one word, for figures.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Due => "due",
            Self::Nothing => "nothing",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a message was not taken.
#[derive(Debug, Error)]
pub enum Refusal {
    /// There is nothing here to verify it with.
    #[error("the webhooks of {0} are not set up")]
    NotSetUp(String),
    /// It is not the provider's.
    #[error(transparent)]
    Refused(#[from] WebhookError),
    /// It could not be found out whether it is.
    #[error("{0}")]
    Later(String),
    /// The database did not answer.
    #[error("the database: {0}")]
    Database(#[from] sqlx::Error),
}

/// Verifies a message, and acts on it.
///
/// # Errors
/// Says why it was not taken; the provider sends it again.
pub async fn take(
    app: &App,
    verifier: &Verifier,
    provider: &ProviderSettings,
    headers: &HeaderMap,
    body: &[u8],
    now: DateTime<Utc>,
) -> Result<Effect, Refusal> {
    let resource = provider.resource.as_str();
    let not_set_up = || Refusal::NotSetUp(resource.to_owned());
    let adapter = adapter(provider.name).ok_or_else(not_set_up)?;
    let secret = app.secrets.provider_webhook(resource).map_err(|_| not_set_up())?;
    let delivery = WebhookDelivery { headers, body };
    let notice = match adapter.webhook(&delivery, &secret, now)? {
        Webhook::Verified(notice) => notice,
        Webhook::Unverified(notice) => {
            let busy = |_| Refusal::Later("the provider is being asked about other messages".to_owned());
            let _place = verifier.places.try_acquire().map_err(busy)?;
            let credential = app.secrets.provider(resource).map_err(|error| Refusal::Later(error.to_string()))?;
            let base_url = provider.api_endpoint.as_str();
            let endpoint = Endpoint { resource, base_url, credential: &credential, limit: VERIFY_WITHIN };
            verifier.client.verify(adapter, &delivery, &secret, &endpoint).await.map_err(|error| match error {
                VerificationError::Refused(why) => Refusal::Refused(why),
                VerificationError::NotAsked(why) => Refusal::Later(why),
            })?;
            notice
        }
    };
    let effect = apply(app, resource, &notice).await?;
    tracing::debug!(provider = resource, event = notice.event_id, kind = notice.kind, %effect, "a provider told something");
    Ok(effect)
}

async fn apply(app: &App, resource: &str, notice: &Notice) -> Result<Effect, sqlx::Error> {
    let effect = match notice.payment_id {
        Some(payment) => store::make_due(&app.pool, resource, payment, notice).await?,
        None => Effect::Unknown,
    };
    app.metrics.provider_webhooks.with_label_values(&[resource, effect.as_str()]).inc();
    Ok(effect)
}
