//! What every provider's adapter offers: pure functions from a call to a request and from an answer to an outcome.

use chrono::{DateTime, Utc};
use http::HeaderMap;
use secrecy::SecretString;
use thiserror::Error;
use uuid::Uuid;

use super::call::{Call, HttpRequest, HttpResponse, Outcome, Unsupported};
use crate::ids::PaymentId;
use crate::money::Money;

/// What a provider can do besides charging at once. Every field is written by each adapter: nothing is assumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Hold an amount first and take it later.
    pub manual_capture: bool,
    /// Take less than what is held.
    pub partial_capture: bool,
    /// Take what is held in several parts.
    pub multiple_captures: bool,
    /// Give back a part of what was taken.
    pub partial_refund: bool,
    /// Give back in one refund what was taken by several captures.
    pub refund_spans_captures: bool,
    /// Give free what is held.
    pub void: bool,
}

/// How a credential becomes what requests carry.
#[derive(Debug)]
pub enum Login {
    /// The credential itself is carried.
    Bearer(SecretString),
    /// It is exchanged for a token by this request, whose answer [`Adapter::token`] reads.
    Exchange(HttpRequest),
}

/// What a credential was exchanged for.
#[derive(Debug)]
pub struct Token {
    /// What requests carry.
    pub secret: SecretString,
    /// For how many seconds.
    pub expires_in_s: u64,
}

/// Why there is no token.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TokenError {
    /// The provider does not know the credential.
    #[error("the provider refuses the credential ({0})")]
    Refused(String),
    /// The provider answered something else.
    #[error("no token in the provider's answer ({0})")]
    Unreadable(String),
}

/// A message that a provider sent by itself.
#[derive(Clone, Copy, Debug)]
pub struct WebhookDelivery<'a> {
    /// Its headers, among them the signature.
    pub headers: &'a HeaderMap,
    /// Its body, byte for byte.
    pub body: &'a [u8],
}

/// A message that may be acted upon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The provider's name for the message; a repeated one has the same.
    pub event_id: String,
    /// The provider's word for what happened.
    pub kind: String,
    /// The payment that it is about, when it says so.
    pub payment_id: Option<PaymentId>,
    /// The attempt or operation that it is about, when it says so.
    pub call_id: Option<Uuid>,
    /// The provider's name for what that attempt or operation made.
    pub reference: Option<String>,
}

/// How sure it is that a message came from the provider.
#[derive(Debug)]
pub enum Webhook {
    /// Its signature says so.
    Verified(Notice),
    /// The provider must be asked, by [`Adapter::verification`].
    Unverified(Notice),
}

/// Why a message is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum WebhookError {
    /// A header is missing or cannot be read.
    #[error("the signature is missing or cannot be read")]
    NoSignature,
    /// It was signed with another secret, or changed on its way.
    #[error("the signature is not that of this message")]
    WrongSignature,
    /// It was signed too long ago, or lies in the future.
    #[error("the message was signed at another time than now")]
    Stale,
    /// It is signed well and says nothing.
    #[error("the message cannot be read")]
    Unreadable,
}

/// One provider's wire format. Every method must be written: there is no default that silently does nothing.
pub trait Adapter: Send + Sync {
    /// What the provider can do.
    fn capabilities(&self) -> Capabilities;

    /// Whether the provider can take this amount.
    ///
    /// # Errors
    /// Says what stands against it.
    fn supports(&self, money: &Money) -> Result<(), Unsupported>;

    /// How the credential becomes what requests carry.
    ///
    /// # Errors
    /// When the credential cannot be one of this provider.
    fn login(&self, credential: &SecretString) -> Result<Login, Unsupported>;

    /// The token in the answer to a [`Login::Exchange`].
    ///
    /// # Errors
    /// When there is none.
    fn token(&self, response: &HttpResponse) -> Result<Token, TokenError>;

    /// The request that does it, with the call's id as the provider's idempotency key. The same call gives the same
    /// request, byte for byte.
    ///
    /// # Errors
    /// When the provider cannot be asked for it at all.
    fn request(&self, call: &Call, bearer: &SecretString) -> Result<HttpRequest, Unsupported>;

    /// The request that asks what became of a call. It never does the same thing a second time; it may do it the first
    /// time, if no request of the call ever arrived.
    ///
    /// # Errors
    /// When the provider cannot be asked, now or any more.
    fn inquiry(&self, call: &Call, bearer: &SecretString) -> Result<HttpRequest, Unsupported>;

    /// The next question, when this answer left the outcome open. It does nothing that the call would not do.
    fn follow_up(&self, call: &Call, response: &HttpResponse, bearer: &SecretString) -> Option<HttpRequest>;

    /// What an answer to any of these requests means. What cannot be read is Unknown.
    fn outcome(&self, call: &Call, response: &HttpResponse) -> Outcome;

    /// How long after the first request, in seconds, the provider can still be asked about a call whose reference is not
    /// known. Later the same request would be done a second time.
    fn idempotency_window_s(&self) -> i64;

    /// What a message of the provider says.
    ///
    /// # Errors
    /// When it is not from the provider, or cannot be read.
    fn webhook(
        &self,
        delivery: &WebhookDelivery<'_>,
        secret: &SecretString,
        now: DateTime<Utc>,
    ) -> Result<Webhook, WebhookError>;

    /// The request that asks whether a [`Webhook::Unverified`] message is the provider's.
    ///
    /// # Errors
    /// When the message lacks what that question needs, or the provider answers no such question.
    fn verification(
        &self,
        delivery: &WebhookDelivery<'_>,
        secret: &SecretString,
        bearer: &SecretString,
    ) -> Result<HttpRequest, WebhookError>;

    /// Whether the answer to [`Adapter::verification`] says that the message is the provider's; nothing when it does not say.
    fn is_verified(&self, response: &HttpResponse) -> Option<bool>;
}
