//! Everything that the simulator holds.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::{HeaderMap, header};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;

use super::book::Dialect;
use super::fault::Faults;
use super::ledger::Ledger;
use super::notify::Notifier;
use super::plan::Plan;

/// Everything that the simulator holds.
pub(super) struct Provider {
    ledger: Mutex<Ledger>,
    faults: Mutex<Faults>,
    plan: Mutex<Plan>,
    latency: Duration,
    secret_key: Option<SecretString>,
    /// What PayPal's side signs its tokens and webhooks with.
    pub(super) own_secret: SecretString,
    pub(super) notifier: Notifier,
}

impl Provider {
    pub(super) fn new(ledger: Ledger, latency: Duration, secret_key: Option<SecretString>, notifier: Notifier) -> Self {
        let own_secret = SecretString::from(Uuid::new_v4().simple().to_string());
        Self {
            ledger: Mutex::new(ledger),
            faults: Mutex::default(),
            plan: Mutex::default(),
            latency,
            secret_key,
            own_secret,
            notifier,
        }
    }

    /// The ledger stays true even if a request panicked while it held the lock: each change of it is one step.
    pub(super) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn faults(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long the next request takes.
    pub(super) fn latency(&self) -> Duration {
        self.plan().latency().unwrap_or(self.latency)
    }

    /// Whether a request carries a key of Stripe, or a token that PayPal's side gave out.
    pub(super) fn knows(&self, dialect: Dialect, headers: &HeaderMap) -> bool {
        let given = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.strip_prefix("Bearer "));
        match (dialect, &self.secret_key, given) {
            (_, _, None) => false,
            (Dialect::Paypal, _, Some(given)) => given == self.token(),
            (Dialect::Stripe, Some(key), Some(given)) => key.expose_secret() == given,
            (Dialect::Stripe, None, Some(given)) => given.starts_with("sk_") && given.len() > 3,
        }
    }

    /// Whether these are a client's id and secret. The secret must be the simulator's key, if it has one.
    pub(super) fn knows_client(&self, headers: &HeaderMap) -> bool {
        let given = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.strip_prefix("Basic "))
            .and_then(|value| BASE64_STANDARD.decode(value).ok())
            .and_then(|bytes| String::from_utf8(bytes).ok());
        let Some((id, secret)) = given.as_deref().and_then(|given| given.split_once(':')) else {
            return false;
        };
        let right = self.secret_key.as_ref().is_none_or(|key| key.expose_secret() == secret);
        !id.is_empty() && !secret.is_empty() && right
    }

    /// The token that clients of PayPal's side carry.
    pub(super) fn token(&self) -> String {
        format!("A21AA{}", self.own_secret.expose_secret())
    }
}
