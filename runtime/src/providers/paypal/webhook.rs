//! PayPal's webhooks: the question whether one is PayPal's, and which payment it is about.

use http::Method;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::json;

use super::request::headers;
use crate::providers::{HttpRequest, HttpResponse, Notice, WebhookDelivery, WebhookError};

#[derive(Deserialize)]
struct Event {
    id: String,
    event_type: String,
    resource_type: Option<String>,
    resource: Resource,
}

#[derive(Deserialize)]
struct Resource {
    id: String,
    custom_id: Option<String>,
    #[serde(default)]
    purchase_units: Vec<Unit>,
}

#[derive(Deserialize)]
struct Unit {
    custom_id: Option<String>,
}

#[derive(Deserialize)]
struct Verification {
    verification_status: String,
}

/// Reads what the message is about.
pub(super) fn notice(delivery: &WebhookDelivery<'_>) -> Result<Notice, WebhookError> {
    for name in ["paypal-transmission-id", "paypal-transmission-sig"] {
        header(delivery, name)?;
    }
    let Event { id, event_type, resource_type, resource } =
        serde_json::from_slice(delivery.body).map_err(|_| WebhookError::Unreadable)?;
    let Resource { id: reference, custom_id, purchase_units } = resource;
    let custom_id = custom_id.or_else(|| purchase_units.into_iter().find_map(|unit| unit.custom_id));
    let (payment, call) = custom_id.as_deref().and_then(|text| text.split_once(':')).unzip();
    let reference = match resource_type.as_deref() {
        Some("checkout-order") => Some(format!("{}{reference}", super::request::ORDER)),
        Some("authorization" | "capture" | "refund") => Some(reference),
        _ => None,
    };
    Ok(Notice {
        event_id: id,
        kind: event_type,
        payment_id: payment.and_then(|text| text.parse().ok()),
        call_id: call.and_then(|text| text.parse().ok()),
        reference,
    })
}

/// The question. The message goes into it byte for byte: written anew, its signature would be another one's.
pub(super) fn verification(
    delivery: &WebhookDelivery<'_>,
    webhook_id: &SecretString,
    bearer: &SecretString,
) -> Result<HttpRequest, WebhookError> {
    let message = std::str::from_utf8(delivery.body).map_err(|_| WebhookError::Unreadable)?;
    let fields = json!({
        "auth_algo": header(delivery, "paypal-auth-algo")?,
        "cert_url": header(delivery, "paypal-cert-url")?,
        "transmission_id": header(delivery, "paypal-transmission-id")?,
        "transmission_sig": header(delivery, "paypal-transmission-sig")?,
        "transmission_time": header(delivery, "paypal-transmission-time")?,
        "webhook_id": webhook_id.expose_secret().trim(),
    })
    .to_string();
    let body = format!("{},\"webhook_event\":{message}}}", fields.trim_end_matches('}'));
    let headers = headers(bearer).map_err(|_| WebhookError::NoSignature)?;
    let path = "/v1/notifications/verify-webhook-signature".into();
    Ok(HttpRequest { method: Method::POST, path, headers, body })
}

/// What PayPal says to it.
pub(super) fn is_verified(response: &HttpResponse) -> Option<bool> {
    if !response.status.is_success() {
        return None;
    }
    let Verification { verification_status } = serde_json::from_slice(&response.body).ok()?;
    match verification_status.as_str() {
        "SUCCESS" => Some(true),
        "FAILURE" => Some(false),
        _ => None,
    }
}

fn header<'a>(delivery: &WebhookDelivery<'a>, name: &str) -> Result<&'a str, WebhookError> {
    let value = delivery.headers.get(name).ok_or(WebhookError::NoSignature)?;
    value.to_str().map_err(|_| WebhookError::NoSignature)
}
