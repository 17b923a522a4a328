//! Bodies of the API.

use runtime::gateway::bodies::{Request, read};

use super::Target;

/// A card number as a person would type it; it may stand nowhere.
const CARD: &[u8] = b"\"4242424242424242\"";

const WORDS: &[&str] = &[
    "\"amount\":",
    "\"10.50\"",
    "\"currency\":",
    "\"USD\"",
    "\"payment_method_id\":",
    "\"user_id\":",
    "\"description\":",
    "\"context\":{",
    "\"ip_address\":",
    "\"email\":",
    "\"url\":",
    "\"event_types\":[",
    "\"token\":",
    "\"type\":",
    "pm_01980000000070008000000000000001",
    "\"4242424242424242\"",
    "http://127.0.0.1/",
    "https://[::ffff:10.0.0.1]/",
    "\"capture_method\":\"MANUAL\"",
];

/// `POST /v1/payments`
pub(super) const PAYMENT: Target =
    Target { name: "body_payment", feed: |input| feed(Request::Payment, input), words: WORDS };
/// `POST /v1/users`
pub(super) const USER: Target = Target { name: "body_user", feed: |input| feed(Request::User, input), words: WORDS };
/// `POST /v1/payment-methods`
pub(super) const PAYMENT_METHOD: Target =
    Target { name: "body_payment_method", feed: |input| feed(Request::PaymentMethod, input), words: WORDS };
/// `POST /v1/webhook-endpoints`
pub(super) const WEBHOOK_ENDPOINT: Target =
    Target { name: "body_webhook_endpoint", feed: |input| feed(Request::WebhookEndpoint, input), words: WORDS };

fn feed(request: Request, input: &[u8]) -> String {
    let holds_card = input.windows(CARD.len()).any(|part| part == CARD);
    match read(request, input) {
        Ok(()) => {
            assert!(!holds_card, "a card number was let in");
            let keys = input.iter().filter(|byte| **byte == b':').count();
            format!("accepted {keys}")
        }
        Err(code) => code.to_owned(),
    }
}
