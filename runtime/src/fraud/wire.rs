//! What a processor sends to the fraud workload, and what it gets back.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::ids::{MerchantId, PaymentId, UserId};
use crate::money::Currency;

/// The payment to be judged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckRequest {
    /// The payment.
    pub payment_id: PaymentId,
    /// The purchase, by a name that its repetitions share: however often it is checked, it counts once.
    pub purchase: String,
    /// Who receives.
    pub merchant_id: MerchantId,
    /// Who pays.
    pub user_id: UserId,
    /// In whole minor units of the currency.
    pub amount_minor: i64,
    /// ISO 4217.
    pub currency: Currency,
    /// When it was accepted.
    pub t_start: DateTime<Utc>,
    /// Address of the one who pays.
    pub ip_address: Option<String>,
    /// Device of the one who pays.
    pub device_fingerprint: Option<String>,
}

/// The judgement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// What is to happen.
    pub status: Status,
    /// 0 (no risk) to 100.
    pub score: u8,
    /// The rules that matched.
    pub rules: Vec<Triggered>,
    /// Whether a signal was missing or came from a slower place than usual.
    pub degraded: bool,
}

/// What is to happen with a payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Status {
    /// Nothing stands against it.
    Passed,
    /// It goes on, marked for a look.
    Flagged,
    /// It must not go on.
    Blocked,
}

impl Status {
    /// Whether somebody should have a look, or more.
    #[must_use]
    pub const fn is_high_risk(self) -> bool {
        matches!(self, Self::Flagged | Self::Blocked)
    }

    /// Whether the payment ends here.
    #[must_use]
    pub const fn should_block(self) -> bool {
        matches!(self, Self::Blocked)
    }

    /// As it is stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "PASSED",
            Self::Flagged => "FLAGGED",
            Self::Blocked => "BLOCKED",
        }
    }

    /// The status of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Passed, Self::Flagged, Self::Blocked].into_iter().find(|status| status.as_str() == name)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A rule that matched.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Triggered {
    /// Name of the rule.
    pub rule: String,
    /// What it added to the score.
    pub points: u8,
    /// One sentence for a person.
    pub reason: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_blocked_is_a_high_risk_and_what_is_flagged_goes_on() {
        let judged = [Status::Passed, Status::Flagged, Status::Blocked]
            .map(|status| (status.is_high_risk(), status.should_block()));
        assert_eq!(judged, [(false, false), (true, false), (true, true)]);
    }
}
