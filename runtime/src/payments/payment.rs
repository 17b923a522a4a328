//! One payment, its statuses and what may follow on each.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Amounts;
use crate::ids::{MerchantId, PaymentId, PaymentMethodId, UserId};
use crate::money::Money;

/// Where a payment stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[schema(as = PaymentStatus)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Status {
    /// Accepted: committed, with its work item.
    Pending,
    /// A provider was, or is being, asked.
    Processing,
    /// Fraud flagged it, and the merchant wants a look before it goes on.
    InReview,
    /// The provider holds the amount; it is not captured yet.
    Authorized,
    /// The provider took the amount.
    Success,
    /// No money moved, and none will.
    Failed,
    /// Given up before any money moved.
    Canceled,
    /// Part of the amount went back.
    PartiallyRefunded,
    /// All of the amount went back.
    Refunded,
}

impl Status {
    /// Every status.
    pub const ALL: [Self; 9] = [
        Self::Pending,
        Self::Processing,
        Self::InReview,
        Self::Authorized,
        Self::Success,
        Self::Failed,
        Self::Canceled,
        Self::PartiallyRefunded,
        Self::Refunded,
    ];

    /// As in the database and the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Processing => "PROCESSING",
            Self::InReview => "IN_REVIEW",
            Self::Authorized => "AUTHORIZED",
            Self::Success => "SUCCESS",
            Self::Failed => "FAILED",
            Self::Canceled => "CANCELED",
            Self::PartiallyRefunded => "PARTIALLY_REFUNDED",
            Self::Refunded => "REFUNDED",
        }
    }

    /// The one table of legal transitions: what may follow directly on a status.
    #[must_use]
    pub const fn successors(self) -> &'static [Self] {
        match self {
            Self::Pending => &[Self::Processing, Self::InReview, Self::Failed, Self::Canceled],
            Self::InReview => &[Self::Processing, Self::Failed, Self::Canceled],
            Self::Processing => &[Self::Authorized, Self::Success, Self::Failed],
            // A held amount may be taken and given back in parts before what is left of it is given free.
            Self::Authorized => &[Self::Success, Self::Failed, Self::Canceled, Self::PartiallyRefunded, Self::Refunded],
            Self::Success => &[Self::PartiallyRefunded, Self::Refunded],
            Self::PartiallyRefunded => &[Self::Refunded],
            Self::Failed | Self::Canceled | Self::Refunded => &[],
        }
    }

    /// Whether a payment may go from this status to that one.
    #[must_use]
    pub fn can_become(self, next: Self) -> bool {
        self.successors().contains(&next)
    }

    /// Whether the processor has nothing left to do: the answer to whoever waits for the payment.
    #[must_use]
    pub const fn is_settled(self) -> bool {
        !matches!(self, Self::Pending | Self::Processing)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that is no status.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not the status of a payment")]
pub struct UnknownStatus(String);

impl FromStr for Status {
    type Err = UnknownStatus;

    fn from_str(text: &str) -> Result<Self, UnknownStatus> {
        Self::ALL.into_iter().find(|status| status.as_str() == text).ok_or_else(|| UnknownStatus(text.to_owned()))
    }
}

/// Whether the amount is taken at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum CaptureMethod {
    /// At once.
    #[default]
    Automatic,
    /// Held first, and taken by captures.
    Manual,
}

impl CaptureMethod {
    /// Whether it is what a request means that does not say.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// As in the database and the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Automatic => "AUTOMATIC",
            Self::Manual => "MANUAL",
        }
    }
}

impl FromStr for CaptureMethod {
    type Err = UnknownStatus;

    fn from_str(text: &str) -> Result<Self, UnknownStatus> {
        [Self::Automatic, Self::Manual]
            .into_iter()
            .find(|method| method.as_str() == text)
            .ok_or_else(|| UnknownStatus(text.to_owned()))
    }
}

/// A payment as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Payment {
    /// Its id; carries `created_at`.
    pub id: PaymentId,
    /// Who receives.
    pub merchant_id: MerchantId,
    /// Who pays.
    pub user_id: UserId,
    /// What is paid with.
    pub payment_method_id: PaymentMethodId,
    /// How much.
    pub amount: Money,
    /// Where it stands.
    pub status: Status,
    /// Whether the amount is taken at once.
    pub capture_method: CaptureMethod,
    /// What of it was held, taken and given back.
    pub amounts: Amounts,
    /// When the provider gives a held amount free again.
    pub authorized_until: Option<DateTime<Utc>>,
    /// Number of events so far.
    pub sequence: i32,
    /// What the platform keeps; set on success.
    pub fee: Option<Money>,
    /// Provider of the latest attempt: id of the row in `payment_providers`.
    pub payment_provider_id: Option<i32>,
    /// That provider's name, as in STRIPE.
    pub provider: Option<String>,
    /// The provider's name for the charge.
    pub provider_reference: Option<String>,
    /// 0 to 100.
    pub fraud_score: Option<rust_decimal::Decimal>,
    /// PASSED, FLAGGED or BLOCKED.
    pub fraud_status: Option<String>,
    /// Why it failed, as one word.
    pub error_code: Option<String>,
    /// Why it failed, as a sentence.
    pub error_message: Option<String>,
    /// The merchant's own words.
    pub description: Option<String>,
    /// Address of the one who pays.
    pub ip_address: Option<String>,
    /// Device of the one who pays.
    pub device_fingerprint: Option<String>,
    /// The release that accepted it.
    pub release: String,
    /// When it was accepted.
    pub t_start: DateTime<Utc>,
    /// When it came to its end.
    pub t_end: Option<DateTime<Utc>>,
    /// `t_end - t_start`, in milliseconds.
    pub latency_ms: Option<i32>,
}

impl Payment {
    /// Whether the money was taken, whatever happened to it later.
    #[must_use]
    pub const fn is_successful(&self) -> bool {
        matches!(self.status, Status::Success | Status::PartiallyRefunded | Status::Refunded)
    }

    /// Whether the same purchase may be tried again as a new payment: this one is at its end and took no money.
    #[must_use]
    pub const fn can_retry(&self) -> bool {
        matches!(self.status, Status::Failed | Status::Canceled)
    }
}

/// `t_end - t_start` in whole milliseconds. A clock that stepped back gives 0, never a negative latency.
#[must_use]
pub fn calculate_latency_ms(t_start: DateTime<Utc>, t_end: DateTime<Utc>) -> i32 {
    i32::try_from((t_end - t_start).num_milliseconds().max(0)).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transitions_are_these_and_no_others() {
        let table: Vec<String> = Status::ALL
            .into_iter()
            .flat_map(|from| {
                Status::ALL.into_iter().filter(move |to| from.can_become(*to)).map(move |to| format!("{from}>{to}"))
            })
            .collect();
        assert_eq!(
            table,
            [
                "PENDING>PROCESSING",
                "PENDING>IN_REVIEW",
                "PENDING>FAILED",
                "PENDING>CANCELED",
                "PROCESSING>AUTHORIZED",
                "PROCESSING>SUCCESS",
                "PROCESSING>FAILED",
                "IN_REVIEW>PROCESSING",
                "IN_REVIEW>FAILED",
                "IN_REVIEW>CANCELED",
                "AUTHORIZED>SUCCESS",
                "AUTHORIZED>FAILED",
                "AUTHORIZED>CANCELED",
                "AUTHORIZED>PARTIALLY_REFUNDED",
                "AUTHORIZED>REFUNDED",
                "SUCCESS>PARTIALLY_REFUNDED",
                "SUCCESS>REFUNDED",
                "PARTIALLY_REFUNDED>REFUNDED",
            ]
        );
    }

    #[test]
    fn a_status_survives_the_way_through_text() {
        for status in Status::ALL {
            assert_eq!(status.as_str().parse(), Ok(status));
            assert_eq!(serde_json::to_value(status).unwrap(), status.as_str());
        }
        assert!("PAID".parse::<Status>().is_err());
    }

    #[test]
    fn latency_is_whole_milliseconds_and_never_negative() {
        let start = DateTime::from_timestamp_millis(1_000).unwrap();
        let at = |ms| DateTime::from_timestamp_millis(ms).unwrap();
        assert_eq!(calculate_latency_ms(start, at(1_250)), 250);
        assert_eq!(calculate_latency_ms(start, at(900)), 0);
        assert_eq!(calculate_latency_ms(start, at(i64::from(i32::MAX) * 2)), i32::MAX);
    }
}
