//! What PayPal's answers mean for a capture, a refund and a void.

use super::READ_IS_COMPLETE_S;
use super::answer::Thing;
use super::error::{refused, unknown, word};
use crate::providers::{About, Action, Call, Outcome};

/// A capture of a held amount. One that was refunded since was made all the same.
pub(super) fn capture(call: &Call, thing: &Thing) -> Outcome {
    made(call, thing, &["COMPLETED", "PARTIALLY_REFUNDED", "REFUNDED"])
}

/// A refund.
pub(super) fn refund(call: &Call, thing: &Thing) -> Outcome {
    made(call, thing, &["COMPLETED"])
}

fn made(call: &Call, thing: &Thing, done: &[&str]) -> Outcome {
    let reference = thing.id.clone();
    if !thing.is_over(call) {
        return unknown("what PayPal made is over another amount than the one asked for", Some(reference));
    }
    match thing.status.as_str() {
        status if done.contains(&status) => Outcome::Approved { reference, authorized_until: None },
        "DECLINED" | "FAILED" => thing.declined(),
        "CANCELLED" => refused("canceled", "The provider canceled it.", About::Charge),
        status => unknown(&format!("what PayPal made is {}", word(status)), Some(reference)),
    }
}

/// A held amount, as it stands after a void.
pub(super) fn void(call: &Call, thing: &Thing) -> Outcome {
    if call.charge.as_deref() != Some(&thing.id) {
        return unknown("PayPal answered with another authorization", None);
    }
    match thing.status.as_str() {
        "VOIDED" | "EXPIRED" => Outcome::Approved { reference: thing.id.clone(), authorized_until: None },
        "CAPTURED" | "DENIED" => refused("not_voidable", "Nothing is held any more.", About::Charge),
        _ if call.age_s >= READ_IS_COMPLETE_S => {
            refused("not_voided", "The provider never made this void.", About::Charge)
        }
        status => unknown(&format!("not voided; the authorization is {}", word(status)), None),
    }
}

/// 204, which only a void is answered with.
pub(super) fn nothing(call: &Call) -> Outcome {
    match (&call.action, &call.charge) {
        (Action::Void, Some(charge)) => Outcome::Approved { reference: charge.clone(), authorized_until: None },
        _ => unknown("PayPal answered nothing", None),
    }
}

/// An error that says that what is wanted is so: what is to be free is free.
pub(super) fn despite(call: &Call, issue: &str) -> Option<Outcome> {
    let free = matches!(issue, "PREVIOUSLY_VOIDED" | "AUTHORIZATION_VOIDED" | "AUTHORIZATION_EXPIRED");
    match (&call.action, &call.charge) {
        (Action::Void, Some(charge)) if free => {
            Some(Outcome::Approved { reference: charge.clone(), authorized_until: None })
        }
        _ => None,
    }
}
