//! What Stripe's answers mean. The rule of the whole file: what is not plainly said is Unknown.

use http::StatusCode;
use serde::Deserialize;

use super::amount::wire_amount;
use crate::providers::{About, Attempt, HttpResponse, Outcome};

/// Codes are stored in a column of 50 characters.
const CODE_CHARS_MAX: usize = 50;
/// A provider's sentence is passed on, but not a novel.
const MESSAGE_CHARS_MAX: usize = 500;

#[derive(Deserialize)]
struct Intent {
    id: String,
    object: String,
    status: String,
    amount: i64,
    currency: String,
    last_payment_error: Option<ErrorBody>,
}

#[derive(Deserialize)]
struct Envelope {
    error: ErrorBody,
}

#[derive(Deserialize)]
struct ErrorBody {
    #[serde(rename = "type")]
    kind: Option<String>,
    code: Option<String>,
    decline_code: Option<String>,
    message: Option<String>,
    payment_intent: Option<IntentOfError>,
}

#[derive(Deserialize)]
struct IntentOfError {
    id: String,
    status: String,
}

/// The meaning of one answer.
pub(super) fn outcome(attempt: &Attempt, response: &HttpResponse) -> Outcome {
    let status = response.status;
    if status.is_server_error() {
        return unknown(format!("Stripe answered {status}"), None);
    }
    if status == StatusCode::OK {
        return match serde_json::from_slice::<Intent>(&response.body) {
            Ok(intent) => intent_outcome(attempt, intent),
            Err(_) => unknown("Stripe answered 200 with a body that is not a PaymentIntent".into(), None),
        };
    }
    match serde_json::from_slice::<Envelope>(&response.body) {
        Ok(envelope) => error_outcome(status, envelope.error),
        Err(_) => unknown(format!("{status} without Stripe's error envelope"), None),
    }
}

fn intent_outcome(attempt: &Attempt, intent: Intent) -> Outcome {
    let Intent { id, object, status, amount, currency, last_payment_error } = intent;
    if object != "payment_intent" {
        return unknown("Stripe answered with another kind of object".into(), None);
    }
    let same_amount = wire_amount(&attempt.money) == Ok(amount);
    if !same_amount || !currency.eq_ignore_ascii_case(attempt.money.currency().code()) {
        return unknown("Stripe's PaymentIntent is over another amount than the attempt".into(), Some(id));
    }
    match status.as_str() {
        "succeeded" => Outcome::Approved { reference: id },
        "requires_payment_method" => match last_payment_error {
            Some(error) => declined(error, About::Charge),
            None => refused("payment_method_refused", "The provider asks for another payment method.", About::Charge),
        },
        "canceled" => refused("canceled", "The provider canceled the charge.", About::Charge),
        _ => unknown(format!("the PaymentIntent is {}", cut(&status, CODE_CHARS_MAX)), Some(id)),
    }
}

fn error_outcome(status: StatusCode, error: ErrorBody) -> Outcome {
    // An error may come with an intent that went further than the error says: then only the intent counts.
    if let Some(intent) = &error.payment_intent
        && !matches!(intent.status.as_str(), "requires_payment_method" | "canceled")
    {
        return unknown(
            format!("{status}, but the PaymentIntent is {}", cut(&intent.status, CODE_CHARS_MAX)),
            Some(intent.id.clone()),
        );
    }
    let kind = error.kind.as_deref().unwrap_or_default();
    let code = error.code.as_deref().unwrap_or_default();
    match (status.as_u16(), kind) {
        (402, "card_error") => declined(error, About::Charge),
        (401 | 403, _) => Outcome::Retryable { reason: format!("Stripe refuses the credential ({status})") },
        (429, _) => Outcome::Retryable { reason: "Stripe asks for fewer requests".into() },
        (400, "invalid_request_error" | "card_error") => declined(error, About::Request),
        (404, "invalid_request_error") if code == "resource_missing" => declined(error, About::Request),
        _ => unknown(format!("Stripe answered {status} ({kind} {code})"), None),
    }
}

fn declined(error: ErrorBody, about: About) -> Outcome {
    // "card_declined" says that it was, the decline code says why.
    let code = error.decline_code.or(error.code).unwrap_or_else(|| "declined".into());
    let message = error.message.unwrap_or_else(|| "The provider declined the payment.".into());
    refused(&code, &message, about)
}

fn refused(code: &str, message: &str, about: About) -> Outcome {
    Outcome::Declined { code: cut(code, CODE_CHARS_MAX), message: cut(message, MESSAGE_CHARS_MAX), about }
}

fn unknown(reason: String, reference: Option<String>) -> Outcome {
    Outcome::Unknown { reason: cut(&reason, MESSAGE_CHARS_MAX), reference }
}

fn cut(text: &str, chars_max: usize) -> String {
    // PostgreSQL stores no NUL, and a control character in an answer helps nobody.
    text.chars().filter(|character| !character.is_control()).take(chars_max).collect()
}
