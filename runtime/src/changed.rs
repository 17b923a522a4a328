//! Tells every process that something it may keep a copy of was changed: `NOTIFY purser_changed`, after the commit of the
//! change. Copies in a process live for seconds, so that a word that is lost costs little.

use std::fmt;

use crate::database::Pool;
use crate::ids::{MerchantId, PaymentMethodId, UserId};

/// Channel on which changes are named.
pub const CHANNEL: &str = "purser_changed";

/// What was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changed {
    /// A user.
    User(UserId),
    /// A payment method.
    PaymentMethod(PaymentMethodId),
    /// A merchant, or one of its keys.
    Merchant(MerchantId),
    /// The fraud rules.
    FraudRules,
}

impl fmt::Display for Changed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(id) => write!(f, "user:{}", id.as_uuid()),
            Self::PaymentMethod(id) => write!(f, "payment_method:{}", id.as_uuid()),
            Self::Merchant(id) => write!(f, "merchant:{}", id.as_uuid()),
            Self::FraudRules => f.write_str("fraud_rules"),
        }
    }
}

/// Names a change to all processes. What was changed is changed, whether they hear of it or not.
pub async fn announce(pool: &Pool, changed: Changed) {
    let told = sqlx::query("select pg_notify($1, $2)").bind(CHANNEL).bind(changed.to_string()).execute(pool).await;
    if let Err(error) = told {
        tracing::warn!(%error, %changed, "not announced; copies of it live for seconds yet");
    }
}
