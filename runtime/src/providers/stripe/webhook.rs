//! Stripe's webhooks: their signature, and which payment they are about.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use sha2::Sha256;

use super::{CALL, PAYMENT, SIGNATURE};
use crate::providers::{Notice, WebhookDelivery, WebhookError};

/// How far the time of a signature may be from the present, in seconds. As Stripe's own libraries have it.
const TOLERANCE_S: i64 = 300;
/// More signatures than secrets can be live at once.
const SIGNATURES_MAX: usize = 8;

#[derive(Deserialize)]
struct Event {
    id: String,
    #[serde(rename = "type")]
    kind: String,
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    object: Thing,
}

#[derive(Deserialize)]
struct Thing {
    id: String,
    object: String,
    metadata: Option<HashMap<String, String>>,
    payment_intent: Option<String>,
}

/// Checks the signature, and reads what the message is about.
pub(super) fn notice(
    delivery: &WebhookDelivery<'_>,
    secret: &SecretString,
    now: DateTime<Utc>,
) -> Result<Notice, WebhookError> {
    verify(delivery, secret, now)?;
    let event: Event = serde_json::from_slice(delivery.body).map_err(|_| WebhookError::Unreadable)?;
    let Thing { id, object, metadata, payment_intent } = event.data.object;
    let metadata = metadata.unwrap_or_default();
    // A charge carries the metadata of its PaymentIntent, which is what it is asked about by.
    let reference = match object.as_str() {
        "payment_intent" | "refund" => Some(id),
        _ => payment_intent,
    };
    Ok(Notice {
        event_id: event.id,
        kind: event.kind,
        payment_id: metadata.get(PAYMENT).and_then(|text| text.parse().ok()),
        call_id: metadata.get(CALL).and_then(|text| text.parse().ok()),
        reference,
    })
}

fn verify(delivery: &WebhookDelivery<'_>, secret: &SecretString, now: DateTime<Utc>) -> Result<(), WebhookError> {
    let header = delivery.headers.get(SIGNATURE).ok_or(WebhookError::NoSignature)?;
    let header = header.to_str().map_err(|_| WebhookError::NoSignature)?;
    let parts = || header.split(',').filter_map(|part| part.trim().split_once('='));
    let time: i64 = parts()
        .find_map(|(name, value)| (name == "t").then(|| value.parse().ok()).flatten())
        .ok_or(WebhookError::NoSignature)?;
    let signatures = parts().filter(|(name, _)| *name == "v1").filter_map(|(_, value)| hex::decode(value).ok());
    let mac = mac(delivery.body, time, secret);
    // Compared in constant time, or the time of the answer would tell how much of a guess was right.
    if !signatures.take(SIGNATURES_MAX).any(|signature| mac.clone().verify_slice(&signature).is_ok()) {
        return Err(WebhookError::WrongSignature);
    }
    if now.timestamp().abs_diff(time) > TOLERANCE_S.unsigned_abs() {
        return Err(WebhookError::Stale);
    }
    Ok(())
}

fn mac(body: &[u8], time: i64, secret: &SecretString) -> Hmac<Sha256> {
    let mut mac = <Hmac<Sha256>>::new_from_slice(secret.expose_secret().trim().as_bytes())
        .unwrap_or_else(|_| unreachable!("HMAC takes keys of every length"));
    mac.update(format!("{time}.").as_bytes());
    mac.update(body);
    mac
}

/// The `stripe-signature` of a message that is sent now.
#[must_use]
pub fn sign(body: &[u8], secret: &SecretString, now: DateTime<Utc>) -> String {
    let time = now.timestamp();
    format!("t={time},v1={}", hex::encode(mac(body, time, secret).finalize().into_bytes()))
}
