//! What is asked of PayPal, carried out on the book.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::replies::{self, invalid, missing, unprocessable};
use crate::money::{Currency, Money};
use crate::simulator::book::{Book, Charge, Dialect, HOLD_S, Movement, State, name};
use crate::simulator::ledger::Done;
use crate::simulator::reply::Reply;
use crate::simulator::serve::Charging;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    intent: String,
    purchase_units: [Unit; 1],
    payment_source: BTreeMap<String, Source>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unit {
    custom_id: Option<String>,
    invoice_id: Option<String>,
    amount: Amount,
}

#[derive(Deserialize)]
struct Source {
    vault_id: Option<String>,
    /// Of a billing agreement.
    id: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Amount {
    currency_code: String,
    value: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Capture {
    amount: Option<Amount>,
    #[serde(default)]
    final_capture: bool,
    invoice_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Refund {
    amount: Option<Amount>,
    custom_id: Option<String>,
    invoice_id: Option<String>,
}

/// For PayPal the amount of currencies without decimals must have none, in whatever way ISO 4217 counts them.
const WHOLE: &[&str] = &["HUF", "JPY", "TWD"];

impl Amount {
    fn minor(&self) -> Result<(i64, Currency), Reply> {
        let currency: Currency =
            self.currency_code.parse().map_err(|_| unprocessable("CURRENCY_NOT_SUPPORTED", "No such currency."))?;
        if WHOLE.contains(&currency.code()) && self.value.contains('.') {
            return Err(unprocessable("DECIMALS_NOT_SUPPORTED", "Currency does not support decimals."));
        }
        let money = Money::parse(&self.value, currency)
            .map_err(|_| unprocessable("DECIMAL_PRECISION", "The value has too many decimals, or is no number."))?;
        Ok((money.minor(), currency))
    }
}

/// Makes an order and pays it from what is in the vault, in one step.
pub(super) fn order(body: &[u8], charging: &Charging) -> Result<Done, Reply> {
    let Order { intent, purchase_units: [unit], payment_source } = parse(body)?;
    let (amount, currency) = unit.amount.minor()?;
    let manual = match intent.as_str() {
        "CAPTURE" => false,
        "AUTHORIZE" => true,
        _ => return Err(invalid("/intent", "INVALID_PARAMETER_VALUE")),
    };
    if charging.key.is_none() {
        return Err(invalid("PayPal-Request-Id", "PAYPAL_REQUEST_ID_REQUIRED"));
    }
    let (kind, source) =
        payment_source.into_iter().next().ok_or_else(|| invalid("/payment_source", "MISSING_REQUIRED_PARAMETER"))?;
    let token =
        source.vault_id.or(source.id).ok_or_else(|| invalid("/payment_source", "MISSING_REQUIRED_PARAMETER"))?;
    let decline = decline(&kind, &token, charging)?;
    let state = match (&decline, manual) {
        (Some(_), _) => State::Declined,
        (None, true) => State::Held,
        (None, false) => State::Taken,
    };
    let charge = name(Dialect::Paypal, "");
    let metadata = metadata([("custom_id", unit.custom_id), ("invoice_id", unit.invoice_id)]);
    let taken = Movement { id: charge.clone(), metadata: metadata.clone(), ..movement(amount, None, charging) };
    let made = Charge {
        id: name(Dialect::Paypal, ""),
        dialect: Dialect::Paypal,
        charge,
        amount,
        currency: currency.code().into(),
        state,
        manual,
        multicapture: true,
        payment_method: token,
        metadata,
        created: charging.now,
        held_until: charging.now + HOLD_S,
        decline,
        idempotency_key: charging.key.clone(),
        captures: if state == State::Taken { vec![taken] } else { Vec::new() },
        refunds: Vec::new(),
    };
    Ok(Done { reply: replies::of_making(&made), charge: Some(made), makes: true })
}

/// A wallet that declines refuses the order; a card's processor says why in an answer of its own. `declined` in a token
/// declines, with the processor's code behind it if there is one.
fn decline(kind: &str, token: &str, charging: &Charging) -> Result<Option<Value>, Reply> {
    if token.contains("missing") {
        return Err(unprocessable("TOKEN_ID_NOT_FOUND", "Specified token was not found."));
    }
    let asked = charging.decline.is_some();
    match (kind, token.split_once("declined")) {
        ("card", Some((_, code))) => {
            let code = code.trim_start_matches(['-', '_']);
            Ok(Some(json!(if code.is_empty() { "0500" } else { code })))
        }
        ("card", None) if asked => Ok(Some(json!("5120"))),
        (_, Some(_)) => Err(instrument_declined()),
        _ if asked => Err(instrument_declined()),
        _ => Ok(None),
    }
}

fn instrument_declined() -> Reply {
    unprocessable("INSTRUMENT_DECLINED", "The instrument presented was either declined by the processor or bank.")
}

/// Takes a held amount.
pub(super) fn capture(book: &Book, id: &str, body: &[u8], charging: &Charging) -> Result<Done, Reply> {
    let Capture { amount, final_capture, invoice_id } = parse(body)?;
    let mut charge = authorization(book, id, charging)?;
    match charge.state {
        State::Held => {}
        State::Canceled if charging.now >= charge.held_until => {
            return Err(unprocessable("AUTHORIZATION_EXPIRED", "An expired authorization cannot be captured."));
        }
        State::Canceled => {
            return Err(unprocessable("AUTHORIZATION_VOIDED", "A voided authorization cannot be captured."));
        }
        State::Taken | State::Declined => {
            return Err(unprocessable("AUTHORIZATION_ALREADY_CAPTURED", "Authorization has already been captured."));
        }
    }
    let amount = wanted(amount, &charge, charge.capturable(), "MAX_CAPTURE_AMOUNT_EXCEEDED")?;
    let capture = Movement { metadata: metadata([("invoice_id", invoice_id)]), ..movement(amount, None, charging) };
    let reply = Reply { status: http::StatusCode::CREATED, body: replies::capture(&charge, &capture) };
    charge.capture(capture, final_capture);
    Ok(Done { reply, charge: Some(charge), makes: false })
}

/// Gives free what is held.
pub(super) fn void(book: &Book, id: &str, charging: &Charging) -> Result<Done, Reply> {
    let mut charge = authorization(book, id, charging)?;
    match charge.state {
        State::Held => charge.release(),
        State::Canceled => return Err(previously_voided()),
        State::Taken if charge.captured() < charge.amount => return Err(previously_voided()),
        State::Taken | State::Declined => {
            return Err(unprocessable("PREVIOUSLY_CAPTURED", "Authorization has been previously captured."));
        }
    }
    let reply = Reply { status: http::StatusCode::NO_CONTENT, body: Value::Null };
    Ok(Done { reply, charge: Some(charge), makes: false })
}

fn previously_voided() -> Reply {
    unprocessable("PREVIOUSLY_VOIDED", "Authorization has been previously voided.")
}

/// Gives back what one capture took.
pub(super) fn refund(book: &Book, id: &str, body: &[u8], charging: &Charging) -> Result<Done, Reply> {
    let Refund { amount, custom_id, invoice_id } = parse(body)?;
    let mut charge = book.find(Dialect::Paypal, id).cloned().ok_or_else(missing)?;
    let captured = charge.captures.iter().find(|capture| capture.id == id).ok_or_else(missing)?.amount;
    let of_it = charge.refunds.iter().filter(|refund| refund.of.as_deref() == Some(id));
    let left = captured - of_it.map(|refund| refund.amount).sum::<i64>();
    if left == 0 {
        return Err(unprocessable("CAPTURE_FULLY_REFUNDED", "The capture has already been fully refunded."));
    }
    let amount = wanted(amount, &charge, left, "REFUND_AMOUNT_EXCEEDED")?;
    let metadata = metadata([("custom_id", custom_id), ("invoice_id", invoice_id)]);
    let refund = Movement { metadata, ..movement(amount, Some(id.to_owned()), charging) };
    let reply = Reply { status: http::StatusCode::CREATED, body: replies::refund(&charge, &refund) };
    charge.refunds.push(refund);
    Ok(Done { reply, charge: Some(charge), makes: false })
}

fn authorization(book: &Book, id: &str, charging: &Charging) -> Result<Charge, Reply> {
    let found = book.find(Dialect::Paypal, id).filter(|charge| charge.manual && charge.charge == id);
    let mut charge = found.cloned().ok_or_else(missing)?;
    charge.settle_hold(charging.now);
    Ok(charge)
}

fn wanted(amount: Option<Amount>, charge: &Charge, left: i64, exceeded: &str) -> Result<i64, Reply> {
    let Some(amount) = amount else { return Ok(left) };
    let (minor, currency) = amount.minor()?;
    if currency.code() != charge.currency {
        return Err(unprocessable("CURRENCY_MISMATCH", "The currency must be that of the payment."));
    }
    if minor > left {
        return Err(unprocessable(exceeded, "The amount is more than what is left."));
    }
    Ok(minor)
}

fn movement(amount: i64, of: Option<String>, charging: &Charging) -> Movement {
    Movement {
        id: name(Dialect::Paypal, ""),
        amount,
        created: charging.now,
        of,
        metadata: BTreeMap::new(),
        idempotency_key: charging.key.clone(),
    }
}

fn metadata<const N: usize>(pairs: [(&str, Option<String>); N]) -> BTreeMap<String, String> {
    pairs.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Reply> {
    serde_json::from_slice(body).map_err(|error| invalid(&error.to_string(), "INVALID_PARAMETER_SYNTAX"))
}
