//! What comes in as a provider's webhook. Input: header lines, an empty line, then the body.

use chrono::{DateTime, Utc};
use http::{HeaderMap, HeaderName, HeaderValue};
use runtime::providers::{Webhook, WebhookDelivery};
use runtime_contract::ProviderName;
use secrecy::SecretString;

use super::{Target, answers};

/// The one message in the corpus that is signed; nothing else can be.
const SIGNED: &[u8] = br#"{"id":"evt_1","object":"event","type":"payment_intent.succeeded","data":{"object":{"id":"pi_1","object":"payment_intent","metadata":{}}}}"#;
/// When it was signed: 2026-01-01.
const SIGNED_AT: i64 = 1_767_225_600;
const SECRET: &str = "whsec_fuzz";

/// Stripe's messages and their signature.
pub(super) const STRIPE: Target = Target {
    name: "stripe_webhook",
    feed: |input| feed(ProviderName::Stripe, input),
    words: &[
        "stripe-signature: ",
        "t=1767225600",
        ",v1=",
        "payment_intent",
        "\"metadata\":{",
        "\"type\":",
        "\r\n\r\n",
        "\n\n",
    ],
};

/// PayPal's messages.
pub(super) const PAYPAL: Target = Target {
    name: "paypal_webhook",
    feed: |input| feed(ProviderName::Paypal, input),
    words: &[
        "paypal-transmission-id: ",
        "paypal-transmission-sig: ",
        "paypal-cert-url: ",
        "PAYMENT.CAPTURE.COMPLETED",
        "resource",
        "custom_id",
        "supplementary_data",
        "related_ids",
        "\"event_type\":",
        "\n\n",
    ],
};

fn feed(name: ProviderName, input: &[u8]) -> String {
    let Some(adapter) = answers::of(name) else { return "no adapter".to_owned() };
    let split = input.windows(2).position(|pair| pair == b"\n\n").unwrap_or(input.len());
    let body = input.get(split + 2..).unwrap_or_default();
    let headers = headers(&input[..split.min(input.len())]);
    let delivery = WebhookDelivery { headers: &headers, body };
    let (secret, now) = (SecretString::from(SECRET), now());
    let asked = adapter.verification(&delivery, &secret, &SecretString::from("token")).is_ok();
    match adapter.webhook(&delivery, &secret, now) {
        Ok(Webhook::Verified(notice)) => {
            assert_eq!(body, SIGNED, "a forged message was believed");
            format!("verified {} {asked}", notice.kind)
        }
        Ok(Webhook::Unverified(notice)) => {
            assert_ne!(name, ProviderName::Stripe, "Stripe signs what it sends");
            let known = (notice.payment_id.is_some(), notice.call_id.is_some(), notice.reference.is_some());
            format!("unverified {} {known:?} {asked}", notice.kind.len().min(40))
        }
        Err(error) => format!("{error:?} {asked}"),
    }
}

fn headers(text: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in text.split(|byte| *byte == b'\n').take(16) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let value = line[colon + 1..].trim_ascii();
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(&line[..colon]), HeaderValue::from_bytes(value)) {
            headers.append(name, value);
        }
    }
    headers
}

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(SIGNED_AT, 0).unwrap_or_else(|| unreachable!("a time"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signed_message_of_the_corpus_is_believed() {
        let signature = runtime::providers::stripe::sign(SIGNED, &SecretString::from(SECRET), now());
        let mut input = format!("stripe-signature: {signature}\n\n").into_bytes();
        input.extend_from_slice(SIGNED);
        assert!(feed(ProviderName::Stripe, &input).starts_with("verified"));
        let corpus = crate::corpus::read("stripe_webhook").unwrap();
        assert!(corpus.contains(&input), "write this into the corpus: {}", String::from_utf8_lossy(&input));
    }
}
