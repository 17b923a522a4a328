//! One operation, and where it stands.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::ids::{CaptureId, MerchantId, PaymentId, RefundId, VoidId};
use crate::money::Money;
use crate::payments::calculate_latency_ms;

/// What an operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[schema(as = OperationKind)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Kind {
    /// Takes a held amount.
    Capture,
    /// Gives a taken amount back.
    Refund,
    /// Gives a held amount free.
    Void,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Capture, Self::Refund, Self::Void];

    /// As in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Capture => "CAPTURE",
            Self::Refund => "REFUND",
            Self::Void => "VOID",
        }
    }

    /// An operation's id as the API shows it.
    #[must_use]
    pub fn id_text(self, id: Uuid) -> String {
        match self {
            Self::Capture => CaptureId::from_uuid(id).to_string(),
            Self::Refund => RefundId::from_uuid(id).to_string(),
            Self::Void => VoidId::from_uuid(id).to_string(),
        }
    }
}

/// Where an operation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum OperationStatus {
    /// Accepted; its amount is reserved.
    Pending,
    /// The provider did it.
    Succeeded,
    /// The provider did not do it, and will not.
    Failed,
}

impl OperationStatus {
    /// Every status.
    pub const ALL: [Self; 3] = [Self::Pending, Self::Succeeded, Self::Failed];

    /// As in the database and the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Succeeded => "SUCCEEDED",
            Self::Failed => "FAILED",
        }
    }
}

/// An operation as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Operation {
    /// UUIDv7 that carries `created_at`; the idempotency key at the provider.
    pub id: Uuid,
    /// What it does.
    pub kind: Kind,
    /// The payment.
    pub payment_id: PaymentId,
    /// The payment's merchant.
    pub merchant_id: MerchantId,
    /// How much.
    pub amount: Money,
    /// Whether a capture gives free what it does not take.
    pub is_final: bool,
    /// The capture whose money a refund gives back, where the payment was taken by captures.
    pub capture_id: Option<Uuid>,
    /// Where it stands.
    pub status: OperationStatus,
    /// Why, in the merchant's words.
    pub reason: Option<String>,
    /// When the provider was first asked.
    pub sent_at: Option<DateTime<Utc>>,
    /// The provider's name for it.
    pub provider_reference: Option<String>,
    /// Why it failed, as one word.
    pub error_code: Option<String>,
    /// Why it failed, as a sentence.
    pub error_message: Option<String>,
    /// The release that accepted it.
    pub release: String,
    /// When it was accepted.
    pub created_at: DateTime<Utc>,
    /// When it came to its end.
    pub t_end: Option<DateTime<Utc>>,
}

impl Operation {
    /// Whether the provider has not said yet what became of it.
    #[must_use]
    pub const fn is_pending(&self) -> bool {
        matches!(self.status, OperationStatus::Pending)
    }

    /// Whether the provider did it.
    #[must_use]
    pub const fn is_successful(&self) -> bool {
        matches!(self.status, OperationStatus::Succeeded)
    }

    /// From acceptance to the end in whole milliseconds; none while it is on its way.
    #[must_use]
    pub fn calculate_latency_ms(&self) -> Option<i32> {
        self.t_end.map(|t_end| calculate_latency_ms(self.created_at, t_end))
    }
}
