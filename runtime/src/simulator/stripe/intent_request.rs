//! Reading the form of `POST /v1/payment_intents`, as strictly as Stripe does.

use std::collections::BTreeMap;

use super::card::{Card, card};
use super::replies::invalid;
use crate::simulator::reply::Reply;

/// Eight digits; twelve for rupiah.
const AMOUNT_MAX: i64 = 99_999_999;
const AMOUNT_MAX_IDR: i64 = 999_999_999_999;

/// A request that can be carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct IntentRequest {
    pub(super) amount: i64,
    pub(super) currency: String,
    pub(super) payment_method: String,
    pub(super) card: Card,
    pub(super) manual: bool,
    pub(super) multicapture: bool,
    pub(super) metadata: BTreeMap<String, String>,
}

/// Fields of a form, and its metadata.
pub(super) type Fields = (BTreeMap<String, String>, BTreeMap<String, String>);

/// Takes a form apart. A parameter that comes twice is refused.
pub(super) fn fields(form: &[u8]) -> Result<Fields, Reply> {
    let mut fields = BTreeMap::new();
    let mut metadata = BTreeMap::new();
    for (name, value) in form_urlencoded::parse(form) {
        if let Some(key) = name.strip_prefix("metadata[").and_then(|rest| rest.strip_suffix(']')) {
            metadata.insert(key.to_owned(), value.into_owned());
        } else if fields.insert(name.to_string(), value.into_owned()).is_some() {
            return Err(invalid("parameter_invalid", &name, format!("{name} is given twice.")));
        }
    }
    Ok((fields, metadata))
}

/// Refuses what is left of a form: a misspelt parameter would otherwise look as if it worked.
pub(super) fn nothing_left(fields: BTreeMap<String, String>) -> Result<(), Reply> {
    match fields.into_keys().next() {
        Some(name) => Err(invalid("parameter_unknown", &name, format!("Received unknown parameter: {name}"))),
        None => Ok(()),
    }
}

/// Reads and judges a form.
pub(super) fn parse(form: &[u8]) -> Result<IntentRequest, Reply> {
    let (mut fields, metadata) = fields(form)?;
    let mut required = |name: &str| {
        let missing = || invalid("parameter_missing", name, format!("Missing required param: {name}."));
        fields.remove(name).ok_or_else(missing)
    };
    let amount = required("amount")?;
    let currency = required("currency")?;
    let payment_method = required("payment_method")?;
    let manual = fields.get("capture_method").is_some_and(|method| method == "manual");
    let multicapture = fields.remove("payment_method_options[card][request_multicapture]");
    settle_the_rest(fields)?;
    let amount = amount_of(&amount, &currency)?;
    let no_such =
        || invalid("resource_missing", "payment_method", format!("No such PaymentMethod: '{payment_method}'"));
    let card = card(&payment_method).ok_or_else(no_such)?;
    let multicapture = multicapture.is_some_and(|wish| wish == "if_available");
    Ok(IntentRequest { amount, currency, payment_method, card, manual, multicapture, metadata })
}

/// The simulator does confirmed card payments without a customer at the screen. Whoever asks
/// for anything else is told so, rather than given something else.
fn settle_the_rest(mut fields: BTreeMap<String, String>) -> Result<(), Reply> {
    let expected = [
        ("confirm", "true"),
        ("off_session", "true"),
        ("error_on_requires_action", "true"),
        ("payment_method_types[]", "card"),
    ];
    for (name, value) in expected {
        match fields.remove(name) {
            Some(given) if given == value => {}
            _ => {
                return Err(invalid("parameter_invalid", name, format!("The simulator needs {name}={value}.")));
            }
        }
    }
    match fields.remove("capture_method").as_deref() {
        None | Some("automatic" | "manual") => {}
        Some(other) => {
            return Err(invalid("parameter_invalid", "capture_method", format!("Invalid capture_method: {other}.")));
        }
    }
    fields.remove("description");
    fields.remove("expand[]");
    nothing_left(fields)
}

pub(super) fn amount_of(amount: &str, currency: &str) -> Result<i64, Reply> {
    let known = currency.len() == 3 && currency.bytes().all(|byte| byte.is_ascii_lowercase());
    if !known || currency.to_ascii_uppercase().parse::<crate::money::Currency>().is_err() {
        return Err(invalid("parameter_invalid", "currency", format!("Invalid currency: {currency}.")));
    }
    let no_integer = |_| invalid("parameter_invalid_integer", "amount", format!("Invalid integer: {amount}"));
    let amount: i64 = amount.parse().map_err(no_integer)?;
    let maximum = if currency == "idr" { AMOUNT_MAX_IDR } else { AMOUNT_MAX };
    if amount < minimum(currency) {
        return Err(invalid("amount_too_small", "amount", "Amount is below the minimum of the currency."));
    }
    if amount > maximum {
        return Err(invalid("amount_too_large", "amount", format!("Amount must be no more than {maximum}.")));
    }
    let thousandths = matches!(currency, "bhd" | "jod" | "kwd" | "omr" | "tnd");
    let hundredths_unused = matches!(currency, "isk" | "ugx");
    if (thousandths && amount % 10 != 0) || (hundredths_unused && amount % 100 != 0) {
        return Err(invalid("parameter_invalid_integer", "amount", format!("Amount in {currency} must be rounded.")));
    }
    Ok(amount)
}

const fn minimum(currency: &str) -> i64 {
    match currency.as_bytes() {
        b"usd" | b"eur" | b"chf" | b"cad" | b"aud" | b"jpy" => 50,
        b"gbp" => 30,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "amount=1050&currency=usd&payment_method=pm_card_visa&payment_method_types%5B%5D=card&confirm=true\
                        &capture_method=automatic&off_session=true&error_on_requires_action=true&metadata%5Ba%5D=b";

    fn code(form: &str) -> String {
        let reply = parse(form.as_bytes()).unwrap_err();
        reply.body["error"]["code"].as_str().unwrap().to_owned()
    }

    #[test]
    fn the_form_of_the_adapter_is_understood() {
        let request = parse(GOOD.as_bytes()).unwrap();
        assert_eq!((request.amount, request.currency.as_str(), request.card), (1050, "usd", Card::Pays));
        assert_eq!(request.metadata["a"], "b");
    }

    #[test]
    fn each_wrong_form_is_refused_with_stripes_code() {
        for (from, to, expected) in [
            ("amount=1050&", "", "parameter_missing"),
            ("amount=1050", "amount=10.50", "parameter_invalid_integer"),
            ("amount=1050", "amount=49", "amount_too_small"),
            ("amount=1050", "amount=100000000", "amount_too_large"),
            ("amount=1050&currency=usd", "amount=5124&currency=kwd", "parameter_invalid_integer"),
            ("currency=usd", "currency=USD", "parameter_invalid"),
            ("currency=usd", "currency=zzz", "parameter_invalid"),
            ("capture_method=automatic", "capture_method=later", "parameter_invalid"),
            ("pm_card_visa", "pm_invented", "resource_missing"),
            ("confirm=true", "confirm=false", "parameter_invalid"),
            ("off_session=true", "ofsession=true", "parameter_invalid"),
            ("&metadata", "&colour=red&metadata", "parameter_unknown"),
            ("&metadata", "&amount=2&metadata", "parameter_invalid"),
        ] {
            assert_eq!(code(&GOOD.replace(from, to)), expected, "{to}");
        }
    }
}
