//! What PayPal's answers mean. The rule of the whole file: what is not plainly said is Unknown.

use chrono::{DateTime, Utc};
use http::StatusCode;
use serde::Deserialize;

use super::amount::is_same;
use super::error::{self, ErrorBody, processor_word, refused, unknown, word};
use super::operation_answer;
use super::request::ORDER;
use crate::payments::CaptureMethod;
use crate::providers::{About, Action, Call, HttpResponse, Outcome};

/// An order, an authorization, a capture or a refund: PayPal's objects do not say what they are, so they are told by what
/// they have.
#[derive(Deserialize)]
pub(super) struct Thing {
    pub(super) id: String,
    pub(super) status: String,
    intent: Option<String>,
    pub(super) amount: Option<Amount>,
    expiration_time: Option<DateTime<Utc>>,
    processor_response: Option<ProcessorResponse>,
    #[serde(default)]
    purchase_units: Vec<Unit>,
}

#[derive(Deserialize)]
pub(super) struct Amount {
    currency_code: String,
    value: String,
}

#[derive(Deserialize)]
struct ProcessorResponse {
    response_code: Option<String>,
}

#[derive(Deserialize)]
struct Unit {
    payments: Option<Payments>,
}

#[derive(Deserialize)]
struct Payments {
    #[serde(default)]
    captures: Vec<Thing>,
    #[serde(default)]
    authorizations: Vec<Thing>,
}

/// The question that follows an answer.
pub(super) enum Next {
    /// An order that nobody paid for yet.
    Finish(String),
    /// What there is of the call.
    LookUp,
}

/// The meaning of one answer.
pub(super) fn outcome(call: &Call, response: &HttpResponse) -> Outcome {
    let status = response.status;
    if status.is_server_error() {
        return unknown(&format!("PayPal answered {status}"), None);
    }
    if status == StatusCode::NO_CONTENT {
        return operation_answer::nothing(call);
    }
    if status.is_success() {
        return match serde_json::from_slice::<Thing>(&response.body) {
            Ok(thing) => thing_outcome(call, thing),
            Err(_) => unknown(&format!("PayPal answered {status} with a body that cannot be read"), None),
        };
    }
    match serde_json::from_slice::<ErrorBody>(&response.body) {
        Ok(body) => operation_answer::despite(call, body.issue()).unwrap_or_else(|| error::outcome(status, &body)),
        // PayPal's answer to a token that ended has another shape than its errors.
        Err(_) if status == StatusCode::UNAUTHORIZED && is_token_error(&response.body) => {
            Outcome::Retryable { reason: "PayPal refuses the token".into() }
        }
        Err(_) => unknown(&format!("{status} without PayPal's error envelope"), None),
    }
}

fn is_token_error(body: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct OAuthError {
        #[serde(rename = "error")]
        _error: String,
    }
    serde_json::from_slice::<OAuthError>(body).is_ok()
}

/// Whether something more must be asked, and what.
pub(super) fn next(call: &Call, response: &HttpResponse) -> Option<Next> {
    if !matches!(call.action, Action::Charge { .. }) {
        // Whether a hold is gone can be read, whatever became of the request that was to end it.
        let asks = matches!(call.action, Action::Void) && call.age_s > 0 && response.status.is_server_error();
        return asks.then_some(Next::LookUp);
    }
    let thing: Thing = response.status.is_success().then(|| serde_json::from_slice(&response.body).ok())??;
    (thing.intent.is_some() && thing.status == "APPROVED").then_some(Next::Finish(thing.id))
}

fn thing_outcome(call: &Call, thing: Thing) -> Outcome {
    match &call.action {
        Action::Charge { capture, .. } if thing.intent.is_some() => order_outcome(call, *capture, thing),
        Action::Charge { capture, .. } => charge_outcome(call, *capture, &thing),
        Action::Capture { .. } => operation_answer::capture(call, &thing),
        Action::Refund => operation_answer::refund(call, &thing),
        Action::Void => operation_answer::void(call, &thing),
    }
}

fn order_outcome(call: &Call, capture: CaptureMethod, order: Thing) -> Outcome {
    let Thing { id, status, purchase_units, .. } = order;
    let name = Some(format!("{ORDER}{id}"));
    let [Unit { payments }] = purchase_units.as_slice() else {
        return unknown("PayPal's order is not over one purchase", name);
    };
    let made = payments.as_ref().map(|payments| match capture {
        CaptureMethod::Automatic => payments.captures.as_slice(),
        CaptureMethod::Manual => payments.authorizations.as_slice(),
    });
    match (status.as_str(), made) {
        ("COMPLETED", Some([made])) => charge_outcome(call, capture, made),
        ("PAYER_ACTION_REQUIRED", _) => {
            refused("authentication_required", "The payer would have to agree at PayPal.", About::Charge)
        }
        ("VOIDED", _) => refused("canceled", "The provider canceled the charge.", About::Charge),
        _ => unknown(&format!("PayPal's order is {}", word(&status)), name),
    }
}

fn charge_outcome(call: &Call, capture: CaptureMethod, made: &Thing) -> Outcome {
    let reference = made.id.clone();
    if !made.is_over(call) {
        return unknown("what PayPal made is over another amount than the attempt", Some(reference));
    }
    match (made.status.as_str(), capture) {
        ("COMPLETED", CaptureMethod::Automatic) => Outcome::Approved { reference, authorized_until: None },
        ("CREATED", CaptureMethod::Manual) => Outcome::Approved { reference, authorized_until: made.expiration_time },
        ("DECLINED" | "FAILED", CaptureMethod::Automatic) | ("DENIED", CaptureMethod::Manual) => made.declined(),
        (status, _) => unknown(&format!("what PayPal made is {}", word(status)), Some(reference)),
    }
}

impl Thing {
    /// Whether it is over the amount of the call.
    pub(super) fn is_over(&self, call: &Call) -> bool {
        self.amount.as_ref().is_some_and(|amount| is_same(&call.money, &amount.currency_code, &amount.value))
    }

    /// Refused by the one who was to pay.
    pub(super) fn declined(&self) -> Outcome {
        let code = self.processor_response.as_ref().and_then(|response| response.response_code.as_deref());
        let word = processor_word(code.unwrap_or_default());
        let message = match code {
            Some(code) => format!("The payment was declined (processor's code {code})."),
            None => "The payment was declined.".into(),
        };
        refused(word, &message, About::Charge)
    }
}
