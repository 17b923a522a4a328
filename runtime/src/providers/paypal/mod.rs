//! PayPal, in the wire format of Orders v2 and Payments v2.
//!
//! A charge is an order that is paid in one step from what PayPal keeps in its vault: nobody is at a screen. Its name is
//! that of the capture, or of the authorization when it is held; while only the order is known, `order:` and its name.

mod amount;
mod answer;
mod error;
mod login;
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

/// Header with the idempotency key.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("paypal-request-id");

/// PayPal forgets the key of an order after six hours. An hour less, because the clocks differ and a request may be long
/// on its way.
const KEY_LIVES_S: i64 = 5 * 3600;
/// From this age on what can be read is complete: a request that was sent at the end of its key's life is no longer on its
/// way.
const READ_IS_COMPLETE_S: i64 = KEY_LIVES_S + 3600;

/// The adapter.
pub struct Paypal;

impl Adapter for Paypal {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            manual_capture: true,
            partial_capture: true,
            multiple_captures: true,
            partial_refund: true,
            refund_spans_captures: false,
            void: true,
        }
    }

    fn supports(&self, money: &Money) -> Result<(), Unsupported> {
        amount::wire_amount(money).map(|_| ())
    }

    fn login(&self, credential: &SecretString) -> Result<Login, Unsupported> {
        login::exchange(credential).map(Login::Exchange)
    }

    fn token(&self, response: &HttpResponse) -> Result<Token, TokenError> {
        login::token(response)
    }

    fn request(&self, call: &Call, bearer: &SecretString) -> Result<HttpRequest, Unsupported> {
        request::request(call, bearer)
    }

    fn inquiry(&self, call: &Call, bearer: &SecretString) -> Result<HttpRequest, Unsupported> {
        request::inquiry(call, bearer)
    }

    fn follow_up(&self, call: &Call, response: &HttpResponse, bearer: &SecretString) -> Option<HttpRequest> {
        match answer::next(call, response)? {
            answer::Next::Finish(order) => request::finish(call, &order, bearer).ok(),
            answer::Next::LookUp => request::look_up(call, bearer).ok(),
        }
    }

    fn outcome(&self, call: &Call, response: &HttpResponse) -> Outcome {
        answer::outcome(call, response)
    }

    fn idempotency_window_s(&self) -> i64 {
        KEY_LIVES_S
    }

    fn webhook(
        &self,
        delivery: &WebhookDelivery<'_>,
        _: &SecretString,
        _: DateTime<Utc>,
    ) -> Result<Webhook, WebhookError> {
        // PayPal signs with certificates of its own, and answers whether a message is its own.
        webhook::notice(delivery).map(Webhook::Unverified)
    }

    fn verification(
        &self,
        delivery: &WebhookDelivery<'_>,
        secret: &SecretString,
        bearer: &SecretString,
    ) -> Result<HttpRequest, WebhookError> {
        webhook::verification(delivery, secret, bearer)
    }

    fn is_verified(&self, response: &HttpResponse) -> Option<bool> {
        webhook::is_verified(response)
    }
}

#[cfg(test)]
mod tests;
