//! The payment providers that Purser knows.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A provider's name, as in the `payment_providers` table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ProviderName {
    /// Visa.
    Visa,
    /// Mastercard.
    Mastercard,
    /// PayPal.
    Paypal,
    /// American Express.
    Amex,
    /// Stripe.
    Stripe,
}

impl ProviderName {
    /// The name as it is stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Visa => "VISA",
            Self::Mastercard => "MASTERCARD",
            Self::Paypal => "PAYPAL",
            Self::Amex => "AMEX",
            Self::Stripe => "STRIPE",
        }
    }
}

impl fmt::Display for ProviderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
