//! All that is known of a payment on its way, as values.

use chrono::{DateTime, Utc};
use runtime_contract::{ProviderName, ProviderSettings};
use rust_decimal::Decimal;
use secrecy::SecretString;

use crate::fraud::{self, CheckRequest};
use crate::ids::{AttemptId, MerchantId, PaymentId, UserId};
use crate::money::Money;
use crate::payments::Status;

/// A payment on its way.
#[derive(Clone, Debug)]
pub struct Case {
    /// The payment.
    pub payment_id: PaymentId,
    /// Names the partition.
    pub created_at: DateTime<Utc>,
    /// When it was accepted.
    pub t_start: DateTime<Utc>,
    /// Who receives.
    pub merchant_id: MerchantId,
    /// Who pays.
    pub user_id: UserId,
    /// How much.
    pub money: Money,
    /// Where it stands.
    pub status: Status,
    /// What the fraud check came to, once there was one.
    pub fraud_status: Option<fraud::Status>,
    /// Share of the amount that the platform keeps, in percent.
    pub fee_percentage: Decimal,
    /// The payment method as the provider knows it.
    pub token: SecretString,
    /// Address of the one who pays.
    pub ip_address: Option<String>,
    /// Device of the one who pays.
    pub device_fingerprint: Option<String>,
    /// How many attempts there were.
    pub attempts: i32,
    /// The attempt whose outcome is open. The database allows one at most.
    pub open: Option<OpenAttempt>,
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
        CheckRequest {
            payment_id: self.payment_id,
            merchant_id: self.merchant_id,
            user_id: self.user_id,
            amount_minor: self.money.minor(),
            currency: self.money.currency(),
            t_start: self.t_start,
            ip_address: self.ip_address.clone(),
            device_fingerprint: self.device_fingerprint.clone(),
        }
    }
}
