//! Stripe, in the wire format of its PaymentIntents and Refunds API.

mod amount;
mod answer;
mod error;
mod operation_answer;
mod request;
mod webhook;

use chrono::{DateTime, Utc};
use http::header::HeaderName;
use secrecy::SecretString;

use super::{
    Adapter, Call, Capabilities, HttpRequest, HttpResponse, Login, Outcome, Token, TokenError, Unsupported, Webhook,
    WebhookDelivery, WebhookError,
};
use crate::money::Money;

/// The version of the API that the adapter was written against. Pinned, so that an account's default cannot change
/// what an answer means.
pub const API_VERSION: &str = "2025-09-30.clover";
/// Header with the idempotency key.
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Header with [`API_VERSION`].
pub const VERSION: HeaderName = HeaderName::from_static("stripe-version");
/// Header with the signature of a webhook.
pub const SIGNATURE: HeaderName = HeaderName::from_static("stripe-signature");
pub use webhook::sign;

/// Stripe forgets an idempotency key after 24 hours at the earliest. An hour less, because the clocks differ and a
/// request may be long on its way. Until then the same request again is the question; later it is a search.
const KEY_LIVES_S: i64 = 23 * 3600;
/// When nothing that a call could have made can still be on its way into Stripe's search, which lags by minutes. What is
/// not found then was never made.
const SEARCH_IS_COMPLETE_S: i64 = KEY_LIVES_S + 2 * 3600;
/// From this age on what can be read of a charge is complete: a request that was sent at the end of its key's life is no
/// longer on its way.
const READ_IS_COMPLETE_S: i64 = KEY_LIVES_S + 3600;

/// Metadata of everything that is made: the payment.
const PAYMENT: &str = "purser_payment_id";
/// Metadata of a PaymentIntent and of a Refund: the attempt or operation that made it.
const CALL: &str = "purser_call_id";

/// The adapter.
pub struct Stripe;

impl Adapter for Stripe {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            manual_capture: true,
            partial_capture: true,
            multiple_captures: true,
            partial_refund: true,
            refund_spans_captures: true,
            void: true,
        }
    }

    fn supports(&self, money: &Money) -> Result<(), Unsupported> {
        amount::wire_amount(money).map(|_| ())
    }

    fn login(&self, credential: &SecretString) -> Result<Login, Unsupported> {
        Ok(Login::Bearer(credential.clone()))
    }

    fn token(&self, response: &HttpResponse) -> Result<Token, TokenError> {
        Err(TokenError::Unreadable(format!("Stripe exchanges nothing, and answered {}", response.status)))
    }

    fn request(&self, call: &Call, bearer: &SecretString) -> Result<HttpRequest, Unsupported> {
        request::request(call, bearer)
    }

    fn inquiry(&self, call: &Call, bearer: &SecretString) -> Result<HttpRequest, Unsupported> {
        request::inquiry(call, bearer)
    }

    fn follow_up(&self, call: &Call, response: &HttpResponse, bearer: &SecretString) -> Option<HttpRequest> {
        // A first answer is taken as it is: what the call may have made cannot be found before it was indexed. Later a 5xx
        // may be the one that Stripe stored for the key, and a refusal speaks only of the second request: then it is
        // looked up what there is. Beyond the life of the key that was the first question already.
        let is_first = call.age_s == 0 || call.age_s >= KEY_LIVES_S || request::is_read_by_name(call);
        let open = match answer::outcome(call, response) {
            Outcome::Declined { about: super::About::Request, .. } => true,
            // A client error that decides nothing is one about the key: an earlier release sent the call in another form.
            Outcome::Unknown { reference: None, .. } => {
                response.status.is_server_error() || response.status.is_client_error()
            }
            _ => false,
        };
        (open && !is_first).then(|| request::look_up(call, bearer).ok()).flatten()
    }

    fn outcome(&self, call: &Call, response: &HttpResponse) -> Outcome {
        answer::outcome(call, response)
    }

    fn idempotency_window_s(&self) -> i64 {
        // Search and lists find what a call made by its metadata, however old it is.
        i64::MAX
    }

    fn webhook(
        &self,
        delivery: &WebhookDelivery<'_>,
        secret: &SecretString,
        now: DateTime<Utc>,
    ) -> Result<Webhook, WebhookError> {
        webhook::notice(delivery, secret, now).map(Webhook::Verified)
    }

    fn verification(
        &self,
        _: &WebhookDelivery<'_>,
        _: &SecretString,
        _: &SecretString,
    ) -> Result<HttpRequest, WebhookError> {
        // Stripe signs with a secret that is known here; there is nothing to ask.
        Err(WebhookError::NoSignature)
    }

    fn is_verified(&self, _: &HttpResponse) -> Option<bool> {
        None
    }
}

#[cfg(test)]
mod tests;
