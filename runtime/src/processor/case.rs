//! All that is known of a payment on its way, as values.

use chrono::{DateTime, Utc};
use runtime_contract::{ProviderName, ProviderSettings};
use rust_decimal::Decimal;
use secrecy::SecretString;

use crate::fraud::{self, Check, CheckRequest};
use crate::ids::AttemptId;
use crate::payments::Payment;

/// A payment on its way.
#[derive(Clone, Debug)]
pub struct Case {
    /// The payment as its row says.
    pub payment: Payment,
    /// Whether it is a test: no provider may hear of it.
    pub is_test: bool,
    /// What repetitions of its request have in common; none when an earlier release accepted it.
    pub purchase: Option<String>,
    /// Share of the amount that the platform keeps, in percent.
    pub fee_percentage: Decimal,
    /// The payment method as the provider knows it.
    pub token: SecretString,
    /// What the fraud check came to, once there was one. The payment's row says so only when its wait has ended.
    pub judgement: Option<Judgement>,
    /// How many attempts there were.
    pub attempts: i32,
    /// The attempt whose outcome is open. The database allows one at most.
    pub open: Option<OpenAttempt>,
}

/// What a fraud check came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// What is to happen.
    pub status: fraud::Status,
    /// 0 to 100; none when there was no verdict in time.
    pub score: Option<Decimal>,
}

impl From<&Check> for Judgement {
    fn from(check: &Check) -> Self {
        // Two decimals, as the column has: the event that is made from this and the row read later say the same.
        let score = check.verdict.as_ref().map(|verdict| Decimal::new(i64::from(verdict.score) * 100, 2));
        Self { status: check.status, score }
    }
}

/// An attempt that was, or may have been, sent, and of which nobody knows what became.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenAttempt {
    /// The idempotency key at the provider.
    pub id: AttemptId,
    /// When it was first sent.
    pub t_start: DateTime<Utc>,
    /// The provider's name for the charge, when an answer carried one.
    pub reference: Option<String>,
    /// The provider: id of the row in `payment_providers`.
    pub provider_id: i32,
    /// The only provider that may be asked, at the address it was asked at before.
    pub provider: ProviderAddress,
}

/// How a provider is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderAddress {
    /// Name of the resource and of its credential.
    pub resource: String,
    /// Which adapter speaks to it.
    pub name: ProviderName,
    /// Base URL.
    pub api_endpoint: String,
    /// Time limit of one call.
    pub max_latency_ms: u32,
}

impl From<&ProviderSettings> for ProviderAddress {
    fn from(settings: &ProviderSettings) -> Self {
        Self {
            resource: settings.resource.clone(),
            name: settings.name,
            api_endpoint: settings.api_endpoint.clone(),
            max_latency_ms: settings.max_latency_ms,
        }
    }
}

impl Case {
    /// What the fraud workload is told.
    #[must_use]
    pub fn check_request(&self) -> CheckRequest {
        let payment = &self.payment;
        CheckRequest {
            payment_id: payment.id,
            purchase: self.purchase.clone().unwrap_or_else(|| payment.id.to_string()),
            merchant_id: payment.merchant_id,
            user_id: payment.user_id,
            amount_minor: payment.amount.minor(),
            currency: payment.amount.currency(),
            t_start: payment.t_start,
            ip_address: payment.ip_address.clone(),
            device_fingerprint: payment.device_fingerprint.clone(),
        }
    }
}
