//! What is sent to PayPal.

use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName};
use http::{HeaderMap, HeaderValue, Method};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use super::amount::wire_amount;
use super::{KEY_LIVES_S, REQUEST_ID};
use crate::payments::CaptureMethod;
use crate::providers::{Action, Call, HttpRequest, Unsupported};

const PREFER: HeaderName = HeaderName::from_static("prefer");
/// What a reference begins with while it is that of an order.
pub(super) const ORDER: &str = "order:";

/// The request that does it.
pub(super) fn request(call: &Call, bearer: &SecretString) -> Result<HttpRequest, Unsupported> {
    match &call.action {
        Action::Charge { capture, token, .. } => {
            post(call, "/v2/checkout/orders".into(), &order(call, *capture, token)?, bearer)
        }
        Action::Capture { is_final } => {
            let body = json!({
                "amount": wire_amount(&call.money)?,
                "final_capture": is_final,
                "invoice_id": call.id.to_string(),
            });
            post(call, format!("{}/capture", authorization(call)?), &body, bearer)
        }
        Action::Refund => {
            let body = json!({
                "amount": wire_amount(&call.money)?,
                "custom_id": custom_id(call),
                "invoice_id": call.id.to_string(),
            });
            post(call, format!("/v2/payments/captures/{}/refund", sendable(capture_of(call)?)?), &body, bearer)
        }
        Action::Void => post(call, format!("{}/void", authorization(call)?), &json!({}), bearer),
    }
}

fn order(call: &Call, capture: CaptureMethod, token: &SecretString) -> Result<Value, Unsupported> {
    let intent = match capture {
        CaptureMethod::Automatic => "CAPTURE",
        CaptureMethod::Manual => "AUTHORIZE",
    };
    Ok(json!({
        "intent": intent,
        "purchase_units": [{
            "amount": wire_amount(&call.money)?,
            "custom_id": custom_id(call),
            // An account takes an invoice once: a second guard against charging twice, which outlives the key.
            "invoice_id": call.id.to_string(),
        }],
        "payment_source": payment_source(token),
    }))
}

/// A token is that of a wallet in the vault, of a card in the vault (`card_…`), or a billing agreement (`B-…`).
fn payment_source(token: &SecretString) -> Value {
    let token = token.expose_secret();
    // Nobody is at a screen: what would need the payer is declined instead.
    let stored = json!({"payment_initiator": "MERCHANT", "payment_type": "UNSCHEDULED", "usage": "SUBSEQUENT"});
    match token.strip_prefix("card_") {
        Some(vault_id) => json!({"card": {"vault_id": vault_id, "stored_credential": stored}}),
        None if token.starts_with("B-") => json!({"token": {"id": token, "type": "BILLING_AGREEMENT"}}),
        None => json!({"paypal": {"vault_id": token, "stored_credential": stored}}),
    }
}

/// What everything that is made carries: the payment, and the attempt or operation.
fn custom_id(call: &Call) -> String {
    format!("{}:{}", call.payment_id, call.id)
}

/// Brings an order that was made, but not paid, to its end. The key is another one, since it is another request.
pub(super) fn finish(call: &Call, order: &str, bearer: &SecretString) -> Result<HttpRequest, Unsupported> {
    let Action::Charge { capture, .. } = &call.action else {
        return Err(Unsupported::NoReference("order"));
    };
    let verb = match capture {
        CaptureMethod::Automatic => "capture",
        CaptureMethod::Manual => "authorize",
    };
    let mut request = post(call, format!("/v2/checkout/orders/{}/{verb}", sendable(order)?), &json!({}), bearer)?;
    let key = HeaderValue::from_str(&format!("{}-{verb}", call.id)).map_err(|_| Unsupported::Unsendable)?;
    request.headers.insert(REQUEST_ID, key);
    Ok(request)
}

/// The request that asks what became of a call.
pub(super) fn inquiry(call: &Call, bearer: &SecretString) -> Result<HttpRequest, Unsupported> {
    if call.reference.is_some() || matches!(call.action, Action::Void) && call.age_s >= KEY_LIVES_S {
        return look_up(call, bearer);
    }
    // As long as the key lives, the same request with the same key is answered with the result of the first one. An order
    // cannot be found in another way.
    if call.age_s >= KEY_LIVES_S { Err(Unsupported::KeyForgotten) } else { request(call, bearer) }
}

/// Reads what there is of a call, and does nothing.
pub(super) fn look_up(call: &Call, bearer: &SecretString) -> Result<HttpRequest, Unsupported> {
    let reference = call.reference.as_deref().ok_or(Unsupported::NoReference("call"));
    let path = match &call.action {
        Action::Charge { capture, .. } => {
            let reference = reference?;
            match (reference.strip_prefix(ORDER), capture) {
                (Some(order), _) => format!("/v2/checkout/orders/{}", sendable(order)?),
                (None, CaptureMethod::Automatic) => format!("/v2/payments/captures/{}", sendable(reference)?),
                (None, CaptureMethod::Manual) => format!("/v2/payments/authorizations/{}", sendable(reference)?),
            }
        }
        Action::Capture { .. } => format!("/v2/payments/captures/{}", sendable(reference?)?),
        Action::Refund => format!("/v2/payments/refunds/{}", sendable(reference?)?),
        Action::Void => authorization(call)?,
    };
    Ok(HttpRequest { method: Method::GET, path, headers: headers(bearer)?, body: String::new() })
}

fn post(call: &Call, path: String, body: &Value, bearer: &SecretString) -> Result<HttpRequest, Unsupported> {
    let mut headers = headers(bearer)?;
    let key = HeaderValue::from_str(&call.id.to_string()).map_err(|_| Unsupported::Unsendable)?;
    headers.insert(REQUEST_ID, key);
    headers.insert(PREFER, HeaderValue::from_static("return=representation"));
    Ok(HttpRequest { method: Method::POST, path, headers, body: body.to_string() })
}

pub(super) fn headers(bearer: &SecretString) -> Result<HeaderMap, Unsupported> {
    let mut bearer = HeaderValue::from_str(&format!("Bearer {}", bearer.expose_secret().trim()))
        .map_err(|_| Unsupported::Unsendable)?;
    bearer.set_sensitive(true);
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, bearer);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(headers)
}

fn authorization(call: &Call) -> Result<String, Unsupported> {
    let charge = call.charge.as_deref().ok_or(Unsupported::NoReference("charge"))?;
    Ok(format!("/v2/payments/authorizations/{}", sendable(charge)?))
}

/// The capture that a refund goes to. What was taken at once is a capture itself.
pub(super) fn capture_of(call: &Call) -> Result<&str, Unsupported> {
    call.capture.as_deref().or(call.charge.as_deref()).ok_or(Unsupported::NoReference("capture"))
}

/// A name that leads nowhere else in a path.
fn sendable(reference: &str) -> Result<&str, Unsupported> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if !reference.is_empty() && reference.bytes().all(plain) { Ok(reference) } else { Err(Unsupported::Unsendable) }
}
