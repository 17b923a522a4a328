//! What is asked of Stripe, carried out on the book.

use super::card::{Card, decline_by_code};
use super::intent_request::{self, fields, nothing_left};
use super::replies::{self, decline_json, invalid, missing, refund as refund_json, unexpected_state};
use crate::simulator::book::{Book, Charge, Dialect, HOLD_S, Movement, State, name};
use crate::simulator::ledger::Done;
use crate::simulator::reply::Reply;
use crate::simulator::serve::Charging;

/// Makes a charge, or a declined one.
pub(in crate::simulator) fn charge(form: &[u8], charging: &Charging) -> Result<Done, Reply> {
    let request = intent_request::parse(form)?;
    let latest_charge = name(Dialect::Stripe, "ch");
    let decline = match (request.card, &charging.decline) {
        (Card::Declines(decline), _) => Some(decline),
        (Card::Pays, Some(code)) => Some(decline_by_code(code)),
        (Card::Pays, None) => None,
    };
    let id = name(Dialect::Stripe, "pi");
    let state = match (&decline, request.manual) {
        (Some(_), _) => State::Declined,
        (None, true) => State::Held,
        (None, false) => State::Taken,
    };
    let taken = Movement {
        id: name(Dialect::Stripe, "cap"),
        amount: request.amount,
        created: charging.now,
        of: None,
        metadata: request.metadata.clone(),
        idempotency_key: charging.key.clone(),
    };
    let made = Charge {
        id,
        dialect: Dialect::Stripe,
        amount: request.amount,
        currency: request.currency.to_ascii_uppercase(),
        state,
        manual: request.manual,
        multicapture: request.multicapture,
        payment_method: request.payment_method,
        metadata: request.metadata,
        created: charging.now,
        held_until: charging.now + HOLD_S,
        decline: decline.map(|decline| decline_json(&decline, &latest_charge)),
        charge: latest_charge,
        idempotency_key: charging.key.clone(),
        captures: if state == State::Taken { vec![taken] } else { Vec::new() },
        refunds: Vec::new(),
    };
    Ok(Done { reply: replies::of_making(&made), charge: Some(made), makes: true })
}

/// Takes a held amount.
pub(super) fn capture(book: &Book, id: &str, form: &[u8], charging: &Charging) -> Result<Done, Reply> {
    let (mut fields, metadata) = fields(form)?;
    let mut charge = found(book, id, charging)?;
    let wanted = integer(fields.remove("amount_to_capture"), "amount_to_capture")?;
    let is_final = fields.remove("final_capture").is_none_or(|value| value == "true");
    nothing_left(fields)?;
    if charge.state != State::Held {
        return Err(unexpected_state(&charge, charging.now, "captured"));
    }
    if !is_final && !charge.multicapture {
        let message = "You cannot set final_capture to false: multicapture is not available for this PaymentIntent.";
        return Err(invalid("parameter_invalid", "final_capture", message));
    }
    let amount = wanted.unwrap_or(charge.capturable());
    if amount <= 0 || amount > charge.capturable() {
        let message = format!("Amount must be between 1 and {}.", charge.capturable());
        return Err(invalid("amount_too_large", "amount_to_capture", message));
    }
    charge.metadata.extend(metadata.clone());
    charge.capture(movement("cap", amount, metadata, charging), is_final);
    Ok(Done { reply: Reply::ok(replies::intent(&charge, charging.now)), charge: Some(charge), makes: false })
}

/// Gives free what is held.
pub(super) fn cancel(book: &Book, id: &str, form: &[u8], charging: &Charging) -> Result<Done, Reply> {
    let (mut fields, _) = fields(form)?;
    fields.remove("cancellation_reason");
    nothing_left(fields)?;
    let mut charge = found(book, id, charging)?;
    if charge.state != State::Held {
        return Err(unexpected_state(&charge, charging.now, "canceled"));
    }
    charge.release();
    Ok(Done { reply: Reply::ok(replies::intent(&charge, charging.now)), charge: Some(charge), makes: false })
}

/// Gives back what was taken.
pub(super) fn refund(book: &Book, form: &[u8], charging: &Charging) -> Result<Done, Reply> {
    let (mut fields, metadata) = fields(form)?;
    let id = fields.remove("payment_intent").unwrap_or_default();
    let wanted = integer(fields.remove("amount"), "amount")?;
    fields.remove("reason");
    nothing_left(fields)?;
    let mut charge = found(book, &id, charging)?;
    let left = charge.captured() - charge.refunded();
    if left == 0 {
        let message = format!("Charge {} has nothing left to be refunded.", charge.charge);
        return Err(invalid("charge_already_refunded", "payment_intent", message));
    }
    let amount = wanted.unwrap_or(left);
    if amount <= 0 || amount > left {
        let message = format!("Refund amount ({amount}) is greater than unrefunded amount on charge ({left}).");
        return Err(invalid("amount_too_large", "amount", message));
    }
    let refund = movement("re", amount, metadata, charging);
    let reply = Reply::ok(refund_json(&charge, &refund));
    charge.refunds.push(refund);
    Ok(Done { reply, charge: Some(charge), makes: false })
}

fn found(book: &Book, id: &str, charging: &Charging) -> Result<Charge, Reply> {
    let mut charge = book.find(Dialect::Stripe, id).cloned().ok_or_else(|| missing(id))?;
    charge.settle_hold(charging.now);
    Ok(charge)
}

fn movement(
    prefix: &str,
    amount: i64,
    metadata: std::collections::BTreeMap<String, String>,
    charging: &Charging,
) -> Movement {
    Movement {
        id: name(Dialect::Stripe, prefix),
        amount,
        created: charging.now,
        of: None,
        metadata,
        idempotency_key: charging.key.clone(),
    }
}

fn integer(text: Option<String>, param: &str) -> Result<Option<i64>, Reply> {
    let invalid_integer = |text: &str| invalid("parameter_invalid_integer", param, format!("Invalid integer: {text}"));
    text.map(|text| text.parse().map_err(|_| invalid_integer(&text))).transpose()
}
