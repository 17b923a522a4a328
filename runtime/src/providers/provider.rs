//! What every provider's adapter offers: pure functions from an attempt to a request and from an answer to an outcome.

use http::{HeaderMap, Method, StatusCode};
use secrecy::SecretString;
use thiserror::Error;

use crate::ids::{AttemptId, PaymentId};
use crate::money::Money;

/// One call chain to one provider for one payment. The same attempt may be sent many times: the provider sees one key.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// The idempotency key at the provider.
    pub id: AttemptId,
    /// The payment it belongs to.
    pub payment_id: PaymentId,
    /// What is to be charged.
    pub money: Money,
    /// The payment method as the provider knows it.
    pub token: SecretString,
    /// The provider's own name for the charge, once an answer carried it.
    pub reference: Option<String>,
}

/// A request that is ready to be sent to a provider's base URL.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpRequest {
    /// The method.
    pub method: Method,
    /// Path below the provider's base URL, with a leading slash.
    pub path: String,
    /// Headers; those that carry a credential are marked sensitive and never print.
    pub headers: HeaderMap,
    /// The encoded body, empty for an inquiry.
    pub body: String,
}

/// A whole answer of a provider.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpResponse {
    /// The status.
    pub status: StatusCode,
    /// The body, as it came.
    pub body: Vec<u8>,
}

/// What is known after a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The provider took the money.
    Approved {
        /// The provider's name for the charge.
        reference: String,
    },
    /// The provider did not take the money, and will not for this attempt.
    Declined {
        /// The provider's code, at most 50 characters.
        code: String,
        /// One sentence that may be shown to the merchant.
        message: String,
        /// What the answer speaks of.
        about: About,
    },
    /// Nothing was done with this request, and the same payment may be tried elsewhere or later.
    Retryable {
        /// One sentence for a person.
        reason: String,
    },
    /// A byte may have left and no clear answer came. Only the same provider can tell.
    Unknown {
        /// One sentence for a person.
        reason: String,
        /// The provider's name for the charge, when the answer held one.
        reference: Option<String>,
    },
}

/// What a refusal speaks of. It matters once the attempt was sent before: a refusal of the second request says
/// nothing about a charge that the first one may have made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// The charge itself, as the provider recorded it.
    Charge,
    /// Only the request that was answered.
    Request,
}

/// Why a provider cannot take an amount at all.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Unsupported {
    /// The provider does not know the currency.
    #[error("the currency {0} is not supported")]
    Currency(String),
    /// The amount is above the provider's limit.
    #[error("the amount is above the limit of {maximum} in the provider's smallest unit")]
    TooLarge {
        /// In the provider's smallest unit.
        maximum: i64,
    },
    /// The provider counts in larger steps than the currency does.
    #[error("the amount is not a multiple of the provider's smallest step for {0}")]
    Precision(String),
    /// The payment method's token cannot be one of this provider.
    #[error("the payment method or credential cannot be sent to this provider")]
    Unsendable,
}

/// One provider's wire format. Every method must be written: there is no default that silently does nothing.
pub trait Adapter: Send + Sync {
    /// Whether the provider can take this amount.
    ///
    /// # Errors
    /// Says what stands against it.
    fn supports(&self, money: &Money) -> Result<(), Unsupported>;

    /// The request that charges, with the attempt's id as the provider's idempotency key.
    ///
    /// # Errors
    /// When the provider cannot take the attempt at all.
    fn request(&self, attempt: &Attempt, credential: &SecretString) -> Result<HttpRequest, Unsupported>;

    /// The request that asks what became of an attempt. It never makes a second charge.
    ///
    /// # Errors
    /// When the provider cannot take the attempt at all.
    fn inquiry(&self, attempt: &Attempt, credential: &SecretString) -> Result<HttpRequest, Unsupported>;

    /// What an answer to either request means. What cannot be read is Unknown.
    fn outcome(&self, attempt: &Attempt, response: &HttpResponse) -> Outcome;

    /// How long after the first request, in seconds, the provider still knows the idempotency key. Later the same
    /// request would be a new charge.
    fn idempotency_window_s(&self) -> i64;
}
