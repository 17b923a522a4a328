//! Answers in Stripe's format.

use http::StatusCode;
use serde_json::{Value, json};

use super::card::Decline;
use crate::providers::stripe::API_VERSION;
use crate::simulator::book::{Charge, Movement, State};
use crate::simulator::notify::News;
use crate::simulator::reply::Reply;

/// The PaymentIntent, or the card error that a declined one is told by.
pub(in crate::simulator) fn of_making(charge: &Charge) -> Reply {
    match &charge.decline {
        None => Reply::ok(intent(charge, charge.created)),
        Some(error) => {
            let mut error = error.clone();
            error["payment_intent"] = intent(charge, charge.created);
            Reply { status: StatusCode::PAYMENT_REQUIRED, body: json!({ "error": error }) }
        }
    }
}

/// A wrong request.
pub(super) fn invalid(code: &str, param: &str, message: impl Into<String>) -> Reply {
    let error = json!({"type": "invalid_request_error", "code": code, "param": param, "message": message.into()});
    Reply { status: StatusCode::BAD_REQUEST, body: json!({ "error": error }) }
}

/// No such object.
pub(super) fn missing(id: &str) -> Reply {
    let message = format!("No such payment_intent: '{id}'");
    Reply { status: StatusCode::NOT_FOUND, ..invalid("resource_missing", "intent", message) }
}

/// A PaymentIntent that is not where the request needs it.
pub(super) fn unexpected_state(charge: &Charge, now: i64, verb: &str) -> Reply {
    let message = format!("This PaymentIntent could not be {verb} because it has a status of {}.", status(charge));
    let mut reply = invalid("payment_intent_unexpected_state", "intent", message);
    reply.body["error"]["payment_intent"] = intent(charge, now);
    reply
}

/// What an intent's `last_payment_error` says of a decline.
pub(super) fn decline_json(decline: &Decline, charge: &str) -> Value {
    json!({
        "type": "card_error",
        "charge": charge,
        "code": decline.code,
        "decline_code": decline.decline_code,
        "doc_url": format!("https://stripe.com/docs/error-codes/{}", decline.code.replace('_', "-")),
        "message": decline.message,
    })
}

/// A PaymentIntent as it is now.
pub(in crate::simulator) fn intent(charge: &Charge, now: i64) -> Value {
    let mut charge = charge.clone();
    charge.settle_hold(now);
    let method = if charge.manual { "manual" } else { "automatic" };
    json!({
        "id": charge.id,
        "object": "payment_intent",
        "amount": charge.amount,
        "amount_capturable": charge.capturable(),
        "amount_received": charge.captured(),
        "capture_method": method,
        "client_secret": format!("{}_secret_{}", charge.id, &charge.charge[3..]),
        "confirmation_method": "automatic",
        "created": charge.created,
        "currency": charge.currency.to_ascii_lowercase(),
        "last_payment_error": charge.decline,
        "latest_charge": latest_charge(&charge),
        "livemode": false,
        "metadata": charge.metadata,
        "payment_method": charge.payment_method,
        "payment_method_types": ["card"],
        "status": status(&charge),
    })
}

/// A held charge is shown whole, since whoever holds wants to know until when.
fn latest_charge(charge: &Charge) -> Value {
    if !charge.manual || !charge.is_approved() {
        return json!(charge.charge);
    }
    let multicapture = if charge.multicapture { "available" } else { "unavailable" };
    json!({
        "id": charge.charge,
        "object": "charge",
        "amount": charge.amount,
        "amount_captured": charge.captured(),
        "captured": charge.state == State::Taken,
        "payment_method_details": {
            "type": "card",
            "card": {"capture_before": charge.held_until, "multicapture": {"status": multicapture}},
        },
    })
}

const fn status(charge: &Charge) -> &'static str {
    match charge.state {
        State::Declined => "requires_payment_method",
        State::Held => "requires_capture",
        State::Taken => "succeeded",
        State::Canceled => "canceled",
    }
}

/// A Refund.
pub(in crate::simulator) fn refund(charge: &Charge, refund: &Movement) -> Value {
    json!({
        "id": refund.id,
        "object": "refund",
        "amount": refund.amount,
        "charge": charge.charge,
        "created": refund.created,
        "currency": charge.currency.to_ascii_lowercase(),
        "metadata": refund.metadata,
        "payment_intent": charge.id,
        "reason": null,
        "status": "succeeded",
    })
}

/// What a webhook tells of an action.
pub(in crate::simulator) fn news(action: &str, charge: &Charge) -> Option<News> {
    let whole = |kind| Some(News { kind, resource: "payment_intent", object: intent(charge, charge.created) });
    match (action, charge.state) {
        ("charge", State::Declined) => whole("payment_intent.payment_failed"),
        ("charge" | "capture", State::Held) => whole("payment_intent.amount_capturable_updated"),
        ("charge" | "capture", _) => whole("payment_intent.succeeded"),
        ("void", _) => whole("payment_intent.canceled"),
        ("refund", _) => {
            let object = refund(charge, charge.refunds.last()?);
            Some(News { kind: "refund.created", resource: "refund", object })
        }
        _ => None,
    }
}

/// The message around it.
pub(in crate::simulator) fn event(news: &News, id: &str) -> Value {
    json!({
        "id": id,
        "object": "event",
        "api_version": API_VERSION,
        "created": chrono::Utc::now().timestamp(),
        "data": {"object": news.object},
        "livemode": false,
        "pending_webhooks": 1,
        "type": news.kind,
    })
}
