//! How PayPal's side signs its webhooks. PayPal signs with a certificate, and answers whether a signature is its own; all
//! that a receiver sees is that question, so a secret that never leaves the simulator does as well.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use chrono::{DateTime, SecondsFormat, Utc};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use sha2::Sha256;
use uuid::Uuid;

/// The headers of a message that is sent now.
pub(in crate::simulator) fn headers(
    body: &str,
    webhook_id: &SecretString,
    own: &SecretString,
    now: DateTime<Utc>,
) -> Vec<(&'static str, String)> {
    let id = Uuid::now_v7().to_string();
    let time = now.to_rfc3339_opts(SecondsFormat::Secs, true);
    let event = serde_json::from_str(body).unwrap_or_default();
    let signature = sign(&id, &time, webhook_id.expose_secret(), &event, own);
    vec![
        ("paypal-auth-algo", "SHA256withRSA".into()),
        ("paypal-cert-url", "https://simulator.invalid/certs/CERT-1".into()),
        ("paypal-transmission-id", id),
        ("paypal-transmission-sig", signature),
        ("paypal-transmission-time", time),
    ]
}

/// Whether the question of a receiver is about a message that was sent so.
pub(super) fn is_right(question: &Value, own: &SecretString) -> bool {
    let text = |name: &str| question[name].as_str().unwrap_or_default();
    let expected =
        sign(text("transmission_id"), text("transmission_time"), text("webhook_id"), &question["webhook_event"], own);
    text("auth_algo") == "SHA256withRSA" && text("transmission_sig") == expected
}

fn sign(id: &str, time: &str, webhook_id: &str, event: &Value, own: &SecretString) -> String {
    let mut mac = <Hmac<Sha256>>::new_from_slice(own.expose_secret().as_bytes())
        .unwrap_or_else(|_| unreachable!("HMAC takes keys of every length"));
    mac.update(format!("{id}|{time}|{webhook_id}|{event}").as_bytes());
    BASE64_STANDARD.encode(mac.finalize().into_bytes())
}
