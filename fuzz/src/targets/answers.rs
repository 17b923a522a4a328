//! What providers answer. Input: a line `STATUS ACTION`, then the body.

use http::StatusCode;
use runtime::ids::PaymentId;
use runtime::money::Money;
use runtime::payments::CaptureMethod;
use runtime::providers::{Action, Adapter, Call, HttpResponse, Outcome, adapter};
use runtime_contract::ProviderName;
use secrecy::SecretString;
use uuid::Uuid;

use super::Target;

/// Stripe's answers.
pub(super) const STRIPE: Target = Target {
    name: "stripe_answer",
    feed: |input| feed(ProviderName::Stripe, input),
    words: &[
        "200 charge\n",
        "402 charge\n",
        "200 capture\n",
        "200 refund\n",
        "200 void\n",
        "409 charge\n",
        "500 charge\n",
        "payment_intent",
        "succeeded",
        "requires_capture",
        "canceled",
        "processing",
        "requires_payment_method",
        "card_error",
        "idempotency_error",
        "card_declined",
        "last_payment_error",
        "metadata",
        "\"data\":[",
        "error",
    ],
};

/// PayPal's answers.
pub(super) const PAYPAL: Target = Target {
    name: "paypal_answer",
    feed: |input| feed(ProviderName::Paypal, input),
    words: &[
        "201 charge\n",
        "422 charge\n",
        "201 capture\n",
        "201 refund\n",
        "204 void\n",
        "COMPLETED",
        "APPROVED",
        "DECLINED",
        "purchase_units",
        "payments",
        "captures",
        "authorizations",
        "\"status\":",
        "INSTRUMENT_DECLINED",
        "details",
        "issue",
    ],
};

fn feed(name: ProviderName, input: &[u8]) -> String {
    let Some(adapter) = adapter(name) else { return "no adapter".to_owned() };
    let line_end = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    let (line, body) = (String::from_utf8_lossy(&input[..line_end]), input.get(line_end + 1..).unwrap_or_default());
    let (status, action) = line.split_once(' ').unwrap_or((&line, "charge"));
    let Some(status) = status.parse().ok().and_then(|status| StatusCode::from_u16(status).ok()) else {
        return "no status".to_owned();
    };
    let (call, bearer) = (call(action), SecretString::from("sk_test_fuzz"));
    let response = HttpResponse { status, body: body.to_vec() };
    let outcome = adapter.outcome(&call, &response);
    check(&outcome, &response);
    let followed = adapter.follow_up(&call, &response, &bearer).is_some();
    let token = adapter.token(&response).is_ok();
    let verified = adapter.is_verified(&response);
    format!("{status} {} {} {followed} {token} {verified:?}", call.action.as_str(), shown(&outcome))
}

/// What must hold whatever a provider says.
fn check(outcome: &Outcome, response: &HttpResponse) {
    // Lossy, and by shape alone: a broken character or escape in a field that nobody reads changes nothing.
    let text = String::from_utf8_lossy(&response.body);
    let is_json = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
    match outcome {
        Outcome::Approved { reference, .. } => {
            assert!(!reference.is_empty() && reference.len() <= 255, "approved without a name: {outcome:?}");
            assert!(response.status.is_success(), "approved by an error: {outcome:?}");
            // A 204 has no body: whatever stands there is none.
            let has_body = response.status != StatusCode::NO_CONTENT && !response.body.is_empty();
            assert!(is_json || !has_body, "approved by what is not JSON: {outcome:?}");
        }
        Outcome::Declined { code, .. } => {
            assert!(
                !code.is_empty() && code.chars().count() <= 50,
                "a decline's code must fit its column: {outcome:?}"
            );
            assert!(!response.status.is_server_error(), "declined by a server that failed: {outcome:?}");
        }
        Outcome::Unknown { reference, .. } => {
            assert!(reference.as_ref().is_none_or(|name| !name.is_empty()), "an empty name: {outcome:?}");
        }
        Outcome::Retryable { .. } => {
            assert!(!response.status.is_success(), "nothing was done, says a success: {outcome:?}");
        }
    }
}

fn shown(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Approved { authorized_until, .. } => format!("approved {}", authorized_until.is_some()),
        Outcome::Declined { code, about, .. } if code.len() < 12 => format!("declined {code} {about:?}"),
        Outcome::Declined { about, .. } => format!("declined {about:?}"),
        Outcome::Retryable { .. } => "retryable".to_owned(),
        Outcome::Unknown { reference, reason } => format!("unknown {} {}", reference.is_some(), reason.len()),
    }
}

fn call(action: &str) -> Call {
    let token = SecretString::from("pm_card_visa");
    let charge = |capture| Action::Charge { capture, token, multiple_captures: true };
    let action = match action.trim() {
        "capture" => Action::Capture { is_final: false },
        "refund" => Action::Refund,
        "void" => Action::Void,
        "hold" => charge(CaptureMethod::Manual),
        _ => charge(CaptureMethod::Automatic),
    };
    let follows = !matches!(action, Action::Charge { .. });
    Call {
        id: Uuid::from_u128(0x0198_0000_0000_7000_8000_0000_0000_0001),
        payment_id: PaymentId::from_uuid(Uuid::from_u128(0x0198_0000_0000_7000_8000_0000_0000_0002)),
        money: money(),
        action,
        charge: follows.then(|| "pi_1".to_owned()),
        capture: follows.then(|| "CAP1".to_owned()),
        reference: None,
        age_s: 0,
    }
}

fn money() -> Money {
    let usd = "USD".parse().unwrap_or_else(|_| unreachable!("a currency"));
    Money::from_minor(1050, usd)
}

/// For targets beside this one.
pub(super) fn of(name: ProviderName) -> Option<&'static dyn Adapter> {
    adapter(name)
}
