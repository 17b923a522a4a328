//! Words of changes: a trigger on each table that is cached says what was changed, in the commit of the change, whoever makes
//! it; and every process hears it.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

use crate::ids::{MerchantId, PaymentMethodId, UserId};

/// Channel on which changes are announced.
pub const CHANNEL: &str = "purser_changed";

/// What was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// A user.
    User(UserId),
    /// A payment method.
    PaymentMethod(PaymentMethodId),
    /// A merchant, or one of its API keys.
    Merchant(MerchantId),
    /// The fraud rules.
    FraudRules,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(id) => write!(f, "user:{}", id.as_uuid()),
            Self::PaymentMethod(id) => write!(f, "payment_method:{}", id.as_uuid()),
            Self::Merchant(id) => write!(f, "merchant:{}", id.as_uuid()),
            Self::FraudRules => f.write_str("fraud_rules"),
        }
    }
}

/// A text that names no change which this release knows.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" names nothing that is cached here")]
pub struct UnknownChange(String);

impl FromStr for Change {
    type Err = UnknownChange;

    fn from_str(text: &str) -> Result<Self, UnknownChange> {
        let unknown = || UnknownChange(text.to_owned());
        if text == "fraud_rules" {
            return Ok(Self::FraudRules);
        }
        let (noun, id) = text.split_once(':').ok_or_else(unknown)?;
        let id = Uuid::try_parse(id).map_err(|_| unknown())?;
        Ok(match noun {
            "user" => Self::User(UserId::from_uuid(id)),
            "payment_method" => Self::PaymentMethod(PaymentMethodId::from_uuid(id)),
            "merchant" => Self::Merchant(MerchantId::from_uuid(id)),
            _ => return Err(unknown()),
        })
    }
}

#[cfg(test)]
mod tests {
    use chrono::Utc;

    use super::*;

    #[test]
    fn a_change_is_understood_as_it_was_said() {
        let now = Utc::now();
        for change in [
            Change::User(UserId::at(now)),
            Change::PaymentMethod(PaymentMethodId::at(now)),
            Change::Merchant(MerchantId::at(now)),
            Change::FraudRules,
        ] {
            assert_eq!(change.to_string().parse(), Ok(change));
        }
        for strange in ["", "user", "user:1", "planet:0199f2a4-c6d8-7b1e-8f3a-5b7c9d1e2f3a"] {
            assert!(strange.parse::<Change>().is_err(), "{strange}");
        }
    }
}
