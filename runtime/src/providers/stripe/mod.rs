//! Stripe, in the wire format of its PaymentIntents API.

mod amount;
mod answer;

use form_urlencoded::Serializer;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName};
use http::{HeaderMap, HeaderValue, Method};
use secrecy::{ExposeSecret, SecretString};

use super::{Adapter, Attempt, HttpRequest, HttpResponse, Outcome, Unsupported};
use crate::money::Money;

/// The version of the API that the adapter was written against. Pinned, so that an account's default cannot change
/// what an answer means.
pub const API_VERSION: &str = "2025-09-30.clover";
/// Header with the idempotency key.
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Header with [`API_VERSION`].
pub const VERSION: HeaderName = HeaderName::from_static("stripe-version");
/// Stripe forgets an idempotency key after 24 hours at the earliest. An hour less, because the clocks differ and a
/// request may be long on its way.
const IDEMPOTENCY_WINDOW_S: i64 = 23 * 3600;

/// The adapter.
pub struct Stripe;

impl Adapter for Stripe {
    fn supports(&self, money: &Money) -> Result<(), Unsupported> {
        amount::wire_amount(money).map(|_| ())
    }

    fn request(&self, attempt: &Attempt, credential: &SecretString) -> Result<HttpRequest, Unsupported> {
        let mut headers = headers(credential)?;
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        let key = HeaderValue::from_str(&attempt.id.to_string()).map_err(|_| Unsupported::Unsendable)?;
        headers.insert(IDEMPOTENCY_KEY, key);
        Ok(HttpRequest { method: Method::POST, path: "/v1/payment_intents".into(), headers, body: form(attempt)? })
    }

    fn inquiry(&self, attempt: &Attempt, credential: &SecretString) -> Result<HttpRequest, Unsupported> {
        // Without a reference the same request with the same key is the inquiry: Stripe answers it with the result
        // of the first, or carries it out now if the first never arrived.
        let Some(reference) = &attempt.reference else {
            return self.request(attempt, credential);
        };
        if !reference.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            return Err(Unsupported::Unsendable);
        }
        let path = format!("/v1/payment_intents/{reference}");
        Ok(HttpRequest { method: Method::GET, path, headers: headers(credential)?, body: String::new() })
    }

    fn outcome(&self, attempt: &Attempt, response: &HttpResponse) -> Outcome {
        answer::outcome(attempt, response)
    }

    fn idempotency_window_s(&self) -> i64 {
        IDEMPOTENCY_WINDOW_S
    }
}

fn headers(credential: &SecretString) -> Result<HeaderMap, Unsupported> {
    let mut bearer = HeaderValue::from_str(&format!("Bearer {}", credential.expose_secret().trim()))
        .map_err(|_| Unsupported::Unsendable)?;
    bearer.set_sensitive(true);
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, bearer);
    headers.insert(VERSION, HeaderValue::from_static(API_VERSION));
    Ok(headers)
}

/// The form must be the same, byte for byte, each time an attempt is sent: Stripe refuses a key that comes back with
/// other parameters.
fn form(attempt: &Attempt) -> Result<String, Unsupported> {
    Ok(Serializer::new(String::new())
        .append_pair("amount", &amount::wire_amount(&attempt.money)?.to_string())
        .append_pair("currency", &attempt.money.currency().code().to_ascii_lowercase())
        .append_pair("payment_method", attempt.token.expose_secret())
        .append_pair("payment_method_types[]", "card")
        .append_pair("confirm", "true")
        .append_pair("capture_method", "automatic")
        // Nobody is at a screen who could be sent to a bank's page: a card that wants that is declined instead.
        .append_pair("off_session", "true")
        .append_pair("error_on_requires_action", "true")
        .append_pair("metadata[purser_payment_id]", &attempt.payment_id.to_string())
        .finish())
}

#[cfg(test)]
mod tests;
