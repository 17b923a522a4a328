//! What is sent to Stripe.
//!
//! A form must be the same, byte for byte, each time a call is sent: Stripe refuses a key that comes back with other
//! parameters.

use form_urlencoded::Serializer;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method};
use secrecy::{ExposeSecret, SecretString};

use super::amount::wire_amount;
use super::{API_VERSION, CALL, IDEMPOTENCY_KEY, KEY_LIVES_S, PAYMENT, VERSION};
use crate::payments::CaptureMethod;
use crate::providers::{Action, Call, HttpRequest, Unsupported};

/// Metadata of a PaymentIntent that says that a capture was made, and over how much. Shorter than [`CALL`] with an id
/// because Stripe takes 40 characters.
pub(super) fn capture_mark(call: &Call) -> String {
    format!("cap_{}", call.id.simple())
}

/// The request that does it.
pub(super) fn request(call: &Call, bearer: &SecretString) -> Result<HttpRequest, Unsupported> {
    match &call.action {
        Action::Charge { capture, token, multiple_captures } => {
            let form = charge_form(call, *capture, token, *multiple_captures)?;
            post(call, "/v1/payment_intents".into(), form, bearer)
        }
        Action::Capture { is_final } => {
            let amount = wire_amount(&call.money)?.to_string();
            let mut form = Serializer::new(String::new());
            form.append_pair("amount_to_capture", &amount);
            if !is_final {
                // Stripe takes the parameter only where multicapture was granted, and final is what it assumes.
                form.append_pair("final_capture", "false");
            }
            form.append_pair(&format!("metadata[{}]", capture_mark(call)), &amount);
            post(call, format!("{}/capture", intent_path(call)?), form.finish(), bearer)
        }
        Action::Refund => {
            let form = Serializer::new(String::new())
                .append_pair("payment_intent", charge(call)?)
                .append_pair("amount", &wire_amount(&call.money)?.to_string())
                .append_pair(&format!("metadata[{PAYMENT}]"), &call.payment_id.to_string())
                .append_pair(&format!("metadata[{CALL}]"), &call.id.to_string())
                .finish();
            post(call, "/v1/refunds".into(), form, bearer)
        }
        Action::Void => {
            let form = Serializer::new(String::new()).append_pair("cancellation_reason", "abandoned").finish();
            post(call, format!("{}/cancel", intent_path(call)?), form, bearer)
        }
    }
}

fn charge_form(
    call: &Call,
    capture: CaptureMethod,
    token: &SecretString,
    multiple_captures: bool,
) -> Result<String, Unsupported> {
    let mut form = Serializer::new(String::new());
    form.append_pair("amount", &wire_amount(&call.money)?.to_string())
        .append_pair("currency", &call.money.currency().code().to_ascii_lowercase())
        .append_pair("payment_method", token.expose_secret())
        .append_pair("payment_method_types[]", "card")
        .append_pair("confirm", "true");
    match capture {
        CaptureMethod::Automatic => {
            form.append_pair("capture_method", "automatic");
        }
        CaptureMethod::Manual => {
            // The charge says until when the amount is held.
            form.append_pair("capture_method", "manual").append_pair("expand[]", "latest_charge");
            if multiple_captures {
                form.append_pair("payment_method_options[card][request_multicapture]", "if_available");
            }
        }
    }
    // Nobody is at a screen who could be sent to a bank's page: a card that wants that is declined instead.
    form.append_pair("off_session", "true")
        .append_pair("error_on_requires_action", "true")
        .append_pair(&format!("metadata[{PAYMENT}]"), &call.payment_id.to_string())
        .append_pair(&format!("metadata[{CALL}]"), &call.id.to_string());
    Ok(form.finish())
}

/// The request that asks what became of a call.
pub(super) fn inquiry(call: &Call, bearer: &SecretString) -> Result<HttpRequest, Unsupported> {
    // As long as the key lives, the same request with the same key is the best question: Stripe answers it with the
    // result of the first, or does it now if the first never arrived.
    if is_read_by_name(call) || call.age_s >= KEY_LIVES_S { look_up(call, bearer) } else { request(call, bearer) }
}

/// Whether what the call made is known by a name of its own. A capture and a void make nothing of their own.
pub(super) fn is_read_by_name(call: &Call) -> bool {
    call.reference.is_some() && matches!(call.action, Action::Charge { .. } | Action::Refund)
}

/// Reads what there is of a call, and does nothing.
pub(super) fn look_up(call: &Call, bearer: &SecretString) -> Result<HttpRequest, Unsupported> {
    let path = match (&call.action, &call.reference) {
        (Action::Charge { .. }, Some(reference)) => {
            format!("/v1/payment_intents/{}?expand%5B%5D=latest_charge", sendable(reference)?)
        }
        (Action::Charge { .. }, None) => {
            let query = Serializer::new(String::new())
                .append_pair("query", &format!("metadata['{PAYMENT}']:'{}'", call.payment_id))
                .append_pair("limit", "100")
                .append_pair("expand[]", "data.latest_charge")
                .finish();
            format!("/v1/payment_intents/search?{query}")
        }
        (Action::Capture { .. } | Action::Void, _) => intent_path(call)?,
        (Action::Refund, Some(reference)) => format!("/v1/refunds/{}", sendable(reference)?),
        (Action::Refund, None) => format!("/v1/refunds?payment_intent={}&limit=100", sendable(charge(call)?)?),
    };
    Ok(HttpRequest { method: Method::GET, path, headers: headers(bearer)?, body: String::new() })
}

fn post(call: &Call, path: String, body: String, bearer: &SecretString) -> Result<HttpRequest, Unsupported> {
    let mut headers = headers(bearer)?;
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
    let key = HeaderValue::from_str(&call.id.to_string()).map_err(|_| Unsupported::Unsendable)?;
    headers.insert(IDEMPOTENCY_KEY, key);
    Ok(HttpRequest { method: Method::POST, path, headers, body })
}

fn headers(bearer: &SecretString) -> Result<HeaderMap, Unsupported> {
    let mut bearer = HeaderValue::from_str(&format!("Bearer {}", bearer.expose_secret().trim()))
        .map_err(|_| Unsupported::Unsendable)?;
    bearer.set_sensitive(true);
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, bearer);
    headers.insert(VERSION, HeaderValue::from_static(API_VERSION));
    Ok(headers)
}

fn charge(call: &Call) -> Result<&str, Unsupported> {
    call.charge.as_deref().ok_or(Unsupported::NoReference("charge"))
}

fn intent_path(call: &Call) -> Result<String, Unsupported> {
    Ok(format!("/v1/payment_intents/{}", sendable(charge(call)?)?))
}

/// A name that leads nowhere else in a path.
fn sendable(reference: &str) -> Result<&str, Unsupported> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if !reference.is_empty() && reference.bytes().all(plain) { Ok(reference) } else { Err(Unsupported::Unsendable) }
}
