//! What is asked of a provider, and what is known afterwards.

use chrono::{DateTime, Utc};
use http::{HeaderMap, Method, StatusCode};
use secrecy::SecretString;
use thiserror::Error;
use uuid::Uuid;

use crate::ids::PaymentId;
use crate::money::Money;
use crate::payments::CaptureMethod;

/// One thing asked of a provider. The same call may be sent many times: the provider sees one key.
#[derive(Clone, Debug)]
pub struct Call {
    /// The attempt's or the operation's id: the idempotency key at the provider.
    pub id: Uuid,
    /// The payment it belongs to.
    pub payment_id: PaymentId,
    /// What is to be charged, captured, given back or given free.
    pub money: Money,
    /// What is to be done.
    pub action: Action,
    /// The provider's name for the charge. A capture, a refund and a void need it.
    pub charge: Option<String>,
    /// The provider's name for the capture of that charge that a refund goes to; none where the charge itself took the money.
    pub capture: Option<String>,
    /// The provider's name for what this call made, once an answer carried it.
    pub reference: Option<String>,
    /// Seconds since this call was first sent; 0 when it was not sent yet.
    pub age_s: i64,
}

/// What a provider is asked to do.
#[derive(Clone, Debug)]
pub enum Action {
    /// Take or hold an amount.
    Charge {
        /// Whether it is taken at once.
        capture: CaptureMethod,
        /// The payment method as the provider knows it.
        token: SecretString,
        /// Whether a held amount may be taken in several parts, where the provider can do that.
        multiple_captures: bool,
    },
    /// Take a held amount, or a part of it.
    Capture {
        /// Whether what is not taken becomes free.
        is_final: bool,
    },
    /// Give back what was taken, or a part of it.
    Refund,
    /// Give free what is held and was not taken.
    Void,
}

impl Action {
    /// The action as one word, for figures and sentences.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Charge { .. } => "charge",
            Self::Capture { .. } => "capture",
            Self::Refund => "refund",
            Self::Void => "void",
        }
    }
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
    /// The provider did it.
    Approved {
        /// The provider's name for what was made.
        reference: String,
        /// When the provider gives a held amount free again, if it said so.
        authorized_until: Option<DateTime<Utc>>,
    },
    /// The provider did not do it, and will not for this call.
    Declined {
        /// The provider's code, at most 50 characters.
        code: String,
        /// One sentence that may be shown to the merchant.
        message: String,
        /// What the answer speaks of.
        about: About,
    },
    /// Nothing was done with this request, and the same may be tried elsewhere or later.
    Retryable {
        /// One sentence for a person.
        reason: String,
    },
    /// A byte may have left and no clear answer came. Only the same provider can tell.
    Unknown {
        /// One sentence for a person.
        reason: String,
        /// The provider's name for what was made, when the answer held one.
        reference: Option<String>,
    },
}

impl Outcome {
    /// The outcome as one word, for figures.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Approved { .. } => "approved",
            Self::Declined { .. } => "declined",
            Self::Retryable { .. } => "retryable",
            Self::Unknown { .. } => "unknown",
        }
    }
}

/// What a refusal speaks of. It matters once the call was sent before: a refusal of the second request says nothing
/// about what the first one may have done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// The charge, capture, refund or void itself, as the provider recorded it.
    Charge,
    /// Only the request that was answered.
    Request,
}

/// Why a provider cannot be asked at all.
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
    /// The payment method's token, the credential or a name given by the provider cannot be sent.
    #[error("the payment method or credential cannot be sent to this provider")]
    Unsendable,
    /// The call goes to something that the provider made, and nobody knows its name.
    #[error("the provider's name for the {0} is not known")]
    NoReference(&'static str),
    /// The provider can no longer be asked about a call whose reference is not known.
    #[error("the provider no longer knows the key of this call")]
    KeyForgotten,
}
