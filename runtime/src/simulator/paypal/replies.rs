//! Answers in PayPal's format.

use chrono::{DateTime, SecondsFormat, Utc};
use http::StatusCode;
use serde_json::{Value, json};

use crate::money::Money;
use crate::simulator::book::{Charge, Movement, State};
use crate::simulator::notify::News;
use crate::simulator::reply::Reply;

/// The order that was made.
pub(in crate::simulator) fn of_making(charge: &Charge) -> Reply {
    Reply { status: StatusCode::CREATED, body: order(charge) }
}

/// A request that is no request of this API.
pub(super) fn invalid(field: &str, issue: &str) -> Reply {
    error(StatusCode::BAD_REQUEST, "INVALID_REQUEST", issue, field)
}

/// A request that is well formed and cannot be done.
pub(in crate::simulator) fn unprocessable(issue: &str, description: &str) -> Reply {
    error(StatusCode::UNPROCESSABLE_ENTITY, "UNPROCESSABLE_ENTITY", issue, description)
}

/// No such thing.
pub(super) fn missing() -> Reply {
    error(StatusCode::NOT_FOUND, "RESOURCE_NOT_FOUND", "INVALID_RESOURCE_ID", "Specified resource ID does not exist.")
}

fn error(status: StatusCode, name: &str, issue: &str, description: &str) -> Reply {
    let details = json!([{"issue": issue, "description": description}]);
    let message = "The requested action could not be performed.";
    Reply { status, body: json!({"name": name, "message": message, "debug_id": "s1", "details": details}) }
}

/// An order, with what was made of it.
pub(super) fn order(charge: &Charge) -> Value {
    let payments = match (charge.manual, charge.is_approved()) {
        (true, true) => {
            let captures: Vec<_> = charge.captures.iter().map(|made| capture(charge, made)).collect();
            json!({"authorizations": [authorization(charge, charge.created)], "captures": captures})
        }
        (true, false) => json!({"authorizations": [declined(charge, "DENIED")]}),
        (false, true) => json!({"captures": [capture(charge, &charge.captures[0])]}),
        (false, false) => json!({"captures": [declined(charge, "DECLINED")]}),
    };
    json!({
        "id": charge.id,
        "intent": if charge.manual { "AUTHORIZE" } else { "CAPTURE" },
        "status": "COMPLETED",
        "create_time": time(charge.created),
        "purchase_units": [{
            "reference_id": "default",
            "amount": amount(charge, charge.amount),
            "custom_id": charge.metadata.get("custom_id"),
            "invoice_id": charge.metadata.get("invoice_id"),
            "payments": payments,
        }],
    })
}

fn declined(charge: &Charge, status: &str) -> Value {
    json!({
        "id": charge.charge,
        "status": status,
        "amount": amount(charge, charge.amount),
        "custom_id": charge.metadata.get("custom_id"),
        "processor_response": {"response_code": charge.decline},
        "create_time": time(charge.created),
    })
}

/// An authorization as it is now.
pub(super) fn authorization(charge: &Charge, now: i64) -> Value {
    let mut charge = charge.clone();
    charge.settle_hold(now);
    let status = match charge.state {
        State::Declined => "DENIED",
        State::Held if charge.captures.is_empty() => "CREATED",
        State::Held => "PARTIALLY_CAPTURED",
        State::Taken if charge.captured() == charge.amount => "CAPTURED",
        State::Taken | State::Canceled => "VOIDED",
    };
    json!({
        "id": charge.charge,
        "status": status,
        "amount": amount(&charge, charge.amount),
        "custom_id": charge.metadata.get("custom_id"),
        "invoice_id": charge.metadata.get("invoice_id"),
        "expiration_time": time(charge.held_until),
        "create_time": time(charge.created),
        "supplementary_data": {"related_ids": {"order_id": charge.id}},
    })
}

/// A capture.
pub(super) fn capture(charge: &Charge, capture: &Movement) -> Value {
    let refunded: i64 = charge
        .refunds
        .iter()
        .filter(|refund| refund.of.as_ref() == Some(&capture.id))
        .map(|refund| refund.amount)
        .sum();
    let status = match refunded {
        0 => "COMPLETED",
        all if all == capture.amount => "REFUNDED",
        _ => "PARTIALLY_REFUNDED",
    };
    json!({
        "id": capture.id,
        "status": status,
        "amount": amount(charge, capture.amount),
        "custom_id": charge.metadata.get("custom_id"),
        "invoice_id": capture.metadata.get("invoice_id"),
        "final_capture": charge.state == State::Taken,
        "create_time": time(capture.created),
        "supplementary_data": {"related_ids": {"order_id": charge.id}},
    })
}

/// A refund.
pub(super) fn refund(charge: &Charge, refund: &Movement) -> Value {
    json!({
        "id": refund.id,
        "status": "COMPLETED",
        "amount": amount(charge, refund.amount),
        "custom_id": refund.metadata.get("custom_id"),
        "invoice_id": refund.metadata.get("invoice_id"),
        "create_time": time(refund.created),
    })
}

fn amount(charge: &Charge, minor: i64) -> Value {
    let value = charge.currency.parse().ok().map(|currency| Money::from_minor(minor, currency));
    let mut value = value.map(|money| money.to_string()).unwrap_or_default();
    if matches!(charge.currency.as_str(), "HUF" | "TWD") {
        value = value.trim_end_matches(".00").to_owned();
    }
    json!({"currency_code": charge.currency, "value": value})
}

fn time(seconds: i64) -> String {
    DateTime::from_timestamp(seconds, 0).unwrap_or_default().to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// What a webhook tells of an action.
pub(in crate::simulator) fn news(action: &str, charge: &Charge) -> Option<News> {
    let news = |kind, resource, object| Some(News { kind, resource, object });
    match (action, charge.state) {
        ("charge", State::Declined) => news("PAYMENT.CAPTURE.DECLINED", "capture", declined(charge, "DECLINED")),
        ("charge", State::Held) => {
            news("PAYMENT.AUTHORIZATION.CREATED", "authorization", authorization(charge, charge.created))
        }
        ("charge" | "capture", _) => {
            news("PAYMENT.CAPTURE.COMPLETED", "capture", capture(charge, charge.captures.last()?))
        }
        ("void", _) => news("PAYMENT.AUTHORIZATION.VOIDED", "authorization", authorization(charge, charge.created)),
        ("refund", _) => news("PAYMENT.CAPTURE.REFUNDED", "refund", refund(charge, charge.refunds.last()?)),
        _ => None,
    }
}

/// The message around it.
pub(in crate::simulator) fn event(news: &News, id: &str) -> Value {
    json!({
        "id": id,
        "event_version": "1.0",
        "create_time": Utc::now().to_rfc3339_opts(SecondsFormat::Secs, true),
        "resource_type": news.resource,
        "resource_version": "2.0",
        "event_type": news.kind,
        "summary": news.kind,
        "resource": news.object,
    })
}
