//! What Stripe's answers mean. The rule of the whole file: what is not plainly said is Unknown.

use std::collections::HashMap;

use chrono::DateTime;
use http::StatusCode;
use serde::Deserialize;

use super::amount::wire_amount;
use super::error::{Envelope, ErrorBody, declined, refused, unknown, word};
use super::operation_answer::{self, Refund};
use super::{CALL, PAYMENT, SEARCH_IS_COMPLETE_S};
use crate::payments::CaptureMethod;
use crate::providers::{About, Action, Call, HttpResponse, Outcome};

/// A PaymentIntent, as far as it matters.
#[derive(Deserialize)]
pub(super) struct Intent {
    pub(super) id: String,
    pub(super) status: String,
    pub(super) amount: Option<i64>,
    pub(super) amount_capturable: Option<i64>,
    pub(super) amount_received: Option<i64>,
    pub(super) currency: Option<String>,
    pub(super) last_payment_error: Option<ErrorBody>,
    pub(super) latest_charge: Option<Charge>,
    #[serde(default)]
    pub(super) metadata: HashMap<String, String>,
}

/// The charge of a PaymentIntent: its name, or the whole of it where that was asked for.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Charge {
    Name(String),
    Whole { id: String, payment_method_details: Option<MethodDetails> },
}

#[derive(Deserialize)]
pub(super) struct MethodDetails {
    card: Option<CardDetails>,
}

#[derive(Deserialize)]
struct CardDetails {
    capture_before: Option<i64>,
}

/// Every kind of object that an answer can be.
#[derive(Deserialize)]
#[serde(tag = "object", rename_all = "snake_case")]
enum Object {
    PaymentIntent(Box<Intent>),
    Refund(Refund),
    SearchResult { data: Vec<Intent> },
    List { data: Vec<Refund>, has_more: bool },
}

/// The meaning of one answer.
pub(super) fn outcome(call: &Call, response: &HttpResponse) -> Outcome {
    let status = response.status;
    if status.is_server_error() {
        return unknown(&format!("Stripe answered {status}"), None);
    }
    if status == StatusCode::OK {
        return match serde_json::from_slice::<Object>(&response.body) {
            Ok(object) => object_outcome(call, object),
            Err(_) => unknown("Stripe answered 200 with a body that cannot be read", None),
        };
    }
    match serde_json::from_slice::<Envelope>(&response.body) {
        Ok(envelope) => error_outcome(call, status, envelope.error),
        Err(_) => unknown(&format!("{status} without Stripe's error envelope"), None),
    }
}

fn object_outcome(call: &Call, object: Object) -> Outcome {
    match (&call.action, object) {
        (Action::Charge { capture, .. }, Object::PaymentIntent(intent)) => intent_outcome(call, *capture, *intent),
        (Action::Charge { capture, .. }, Object::SearchResult { data }) => found(call, *capture, data),
        (Action::Capture { .. }, Object::PaymentIntent(intent)) => operation_answer::capture(call, &intent),
        (Action::Void, Object::PaymentIntent(intent)) => operation_answer::void(call, &intent),
        (Action::Refund, Object::Refund(refund)) => operation_answer::refund(call, &refund),
        (Action::Refund, Object::List { data, has_more }) => operation_answer::refund_among(call, &data, has_more),
        _ => unknown("Stripe answered with another kind of object", None),
    }
}

fn intent_outcome(call: &Call, capture: CaptureMethod, intent: Intent) -> Outcome {
    let Intent { id, status, amount, currency, last_payment_error, latest_charge, .. } = intent;
    if wire_amount(&call.money).ok() != amount || !is_currency(call, currency.as_deref()) {
        return unknown("Stripe's PaymentIntent is over another amount than the attempt", Some(id));
    }
    match (status.as_str(), capture) {
        ("succeeded", CaptureMethod::Automatic) => Outcome::Approved { reference: id, authorized_until: None },
        ("requires_capture", CaptureMethod::Manual) => {
            let capture_before = latest_charge.and_then(|charge| charge.capture_before());
            let authorized_until = capture_before.and_then(|seconds| DateTime::from_timestamp(seconds, 0));
            Outcome::Approved { reference: id, authorized_until }
        }
        ("requires_payment_method", _) => match last_payment_error {
            Some(error) => declined(error, About::Charge),
            None => refused("payment_method_refused", "The provider asks for another payment method.", About::Charge),
        },
        ("canceled", _) => refused("canceled", "The provider canceled the charge.", About::Charge),
        _ => unknown(&format!("the PaymentIntent is {}", word(&status)), Some(id)),
    }
}

fn found(call: &Call, capture: CaptureMethod, mut data: Vec<Intent>) -> Outcome {
    let (id, payment) = (call.id.to_string(), call.payment_id.to_string());
    let is_of_call = |intent: &Intent| intent.metadata.get(CALL) == Some(&id);
    // An earlier release named only the payment. A payment has one attempt at most that a provider may know of: whatever
    // came before an open one was never sent.
    let is_of_payment =
        |intent: &Intent| !intent.metadata.contains_key(CALL) && intent.metadata.get(PAYMENT) == Some(&payment);
    let place = data.iter().position(is_of_call).or_else(|| data.iter().position(is_of_payment));
    match place.map(|place| data.swap_remove(place)) {
        Some(intent) => intent_outcome(call, capture, intent),
        None if call.age_s >= SEARCH_IS_COMPLETE_S => {
            refused("not_charged", "The provider never made this charge.", About::Charge)
        }
        None => unknown("Stripe's search does not find the attempt yet", None),
    }
}

fn error_outcome(call: &Call, status: StatusCode, error: ErrorBody) -> Outcome {
    // An error may come with an intent that went further than the error says: then only the intent counts.
    if let Some(intent) = &error.payment_intent
        && let Some(outcome) = outcome_despite(call, status, intent)
    {
        return outcome;
    }
    let kind = error.kind.as_deref().unwrap_or_default();
    let code = error.code.as_deref().unwrap_or_default();
    match (status.as_u16(), kind) {
        (402, "card_error") => declined(error, About::Charge),
        (401 | 403, _) => Outcome::Retryable { reason: format!("Stripe refuses the credential ({status})") },
        (429, _) => Outcome::Retryable { reason: "Stripe asks for fewer requests".into() },
        (400, "invalid_request_error" | "card_error") => declined(error, About::Request),
        (404, "invalid_request_error") if code == "resource_missing" => declined(error, About::Request),
        _ => unknown(&format!("Stripe answered {status} ({} {})", word(kind), word(code)), None),
    }
}

fn outcome_despite(call: &Call, status: StatusCode, intent: &Intent) -> Option<Outcome> {
    match call.action {
        Action::Charge { .. } if matches!(intent.status.as_str(), "requires_payment_method" | "canceled") => None,
        Action::Charge { .. } => {
            let reason = format!("{status}, but the PaymentIntent is {}", word(&intent.status));
            Some(unknown(&reason, Some(intent.id.clone())))
        }
        Action::Capture { .. } => decided(operation_answer::capture(call, intent)),
        Action::Void => decided(operation_answer::void(call, intent)),
        Action::Refund => None,
    }
}

fn decided(outcome: Outcome) -> Option<Outcome> {
    matches!(outcome, Outcome::Approved { .. } | Outcome::Declined { about: About::Charge, .. }).then_some(outcome)
}

pub(super) fn is_currency(call: &Call, currency: Option<&str>) -> bool {
    currency.is_some_and(|currency| currency.eq_ignore_ascii_case(call.money.currency().code()))
}

impl Charge {
    /// The charge's own name.
    pub(super) fn id(&self) -> &str {
        let (Self::Name(id) | Self::Whole { id, .. }) = self;
        id
    }

    fn capture_before(&self) -> Option<i64> {
        match self {
            Self::Name(_) => None,
            Self::Whole { payment_method_details, .. } => {
                payment_method_details.as_ref()?.card.as_ref()?.capture_before
            }
        }
    }
}
