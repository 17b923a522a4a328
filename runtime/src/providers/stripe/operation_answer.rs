//! What Stripe's answers mean for a capture, a void and a refund.

use std::collections::HashMap;

use serde::Deserialize;

use super::amount::wire_amount;
use super::answer::{Charge, Intent, is_currency};
use super::error::{refused, unknown, word};
use super::request::capture_mark;
use super::{CALL, READ_IS_COMPLETE_S};
use crate::providers::{About, Call, Outcome};

/// A Refund, as far as it matters.
#[derive(Deserialize)]
pub(super) struct Refund {
    id: String,
    status: Option<String>,
    amount: i64,
    currency: String,
    payment_intent: Option<String>,
    failure_reason: Option<String>,
    #[serde(default)]
    metadata: HashMap<String, String>,
}

/// A capture made nothing of its own; that it was made is written on the PaymentIntent.
pub(super) fn capture(call: &Call, intent: &Intent) -> Outcome {
    if !is_charge(call, intent) {
        return unknown("Stripe answered with another PaymentIntent", None);
    }
    let Some(captured) = intent.metadata.get(&capture_mark(call)) else {
        return not_captured(call, intent);
    };
    if wire_amount(&call.money).ok() != captured.parse().ok() {
        return unknown("Stripe captured another amount than the one asked for", None);
    }
    match intent.status.as_str() {
        "succeeded" | "requires_capture" => {
            let reference = intent.latest_charge.as_ref().map_or(intent.id.as_str(), Charge::id).to_owned();
            Outcome::Approved { reference, authorized_until: None }
        }
        status => unknown(&format!("the captured PaymentIntent is {}", word(status)), None),
    }
}

fn not_captured(call: &Call, intent: &Intent) -> Outcome {
    match intent.status.as_str() {
        "canceled" => refused("authorization_canceled", "The held amount is free again.", About::Charge),
        "succeeded" => refused("nothing_to_capture", "Nothing more can be taken from this charge.", About::Charge),
        _ if call.age_s >= READ_IS_COMPLETE_S => {
            refused("not_captured", "The provider never made this capture.", About::Charge)
        }
        status => unknown(&format!("not captured; the PaymentIntent is {}", word(status)), None),
    }
}

/// What is left of the held amount is free when the PaymentIntent is canceled, or has ended with nothing left.
pub(super) fn void(call: &Call, intent: &Intent) -> Outcome {
    if !is_charge(call, intent) {
        return unknown("Stripe answered with another PaymentIntent", None);
    }
    match intent.status.as_str() {
        "canceled" => Outcome::Approved { reference: intent.id.clone(), authorized_until: None },
        "succeeded" if is_free(call, intent) => {
            Outcome::Approved { reference: intent.id.clone(), authorized_until: None }
        }
        "succeeded" if intent.amount_capturable == Some(0) => {
            refused("nothing_to_void", "More was captured than the platform knows of.", About::Charge)
        }
        _ if call.age_s >= READ_IS_COMPLETE_S => {
            refused("not_voided", "The provider never made this void.", About::Charge)
        }
        status => unknown(&format!("not canceled; the PaymentIntent is {}", word(status)), None),
    }
}

/// A refund.
pub(super) fn refund(call: &Call, refund: &Refund) -> Outcome {
    let id = refund.id.clone();
    if wire_amount(&call.money) != Ok(refund.amount) || !is_currency(call, Some(&refund.currency)) {
        return unknown("Stripe's Refund is over another amount than the one asked for", Some(id));
    }
    if refund.payment_intent.is_some() && refund.payment_intent != call.charge {
        return unknown("Stripe's Refund is of another PaymentIntent", Some(id));
    }
    match refund.status.as_deref() {
        Some("succeeded") => Outcome::Approved { reference: id, authorized_until: None },
        Some("failed" | "canceled") => {
            let code = refund.failure_reason.as_deref().unwrap_or("refund_failed");
            refused(code, "The provider could not give the amount back.", About::Charge)
        }
        status => unknown(&format!("the Refund is {}", word(status.unwrap_or("without status"))), Some(id)),
    }
}

/// The call's refund among those of the charge.
pub(super) fn refund_among(call: &Call, refunds: &[Refund], has_more: bool) -> Outcome {
    let id = call.id.to_string();
    match refunds.iter().find(|refund| refund.metadata.get(CALL) == Some(&id)) {
        Some(found) => refund(call, found),
        None if !has_more && call.age_s >= READ_IS_COMPLETE_S => {
            refused("not_refunded", "The provider never made this refund.", About::Charge)
        }
        None => unknown("the refund is not among those of the charge", None),
    }
}

/// Whether nothing is held any more, and what is now free is the amount to be voided: it was not captured by somebody else.
fn is_free(call: &Call, intent: &Intent) -> bool {
    let (Some(amount), Some(received)) = (intent.amount, intent.amount_received) else { return false };
    intent.amount_capturable == Some(0) && wire_amount(&call.money).ok() == amount.checked_sub(received)
}

fn is_charge(call: &Call, intent: &Intent) -> bool {
    call.charge.as_deref() == Some(&intent.id) && is_currency(call, intent.currency.as_deref())
}
