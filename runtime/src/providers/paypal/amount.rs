//! Amounts as PayPal writes them, see <https://developer.paypal.com/api/rest/reference/currency-codes/>.

use serde::Serialize;

use crate::money::Money;
use crate::providers::Unsupported;

/// PayPal knows these.
const CURRENCIES: &[&str] = &[
    "AUD", "BRL", "CAD", "CHF", "CNY", "CZK", "DKK", "EUR", "GBP", "HKD", "HUF", "ILS", "JPY", "MXN", "MYR", "NOK",
    "NZD", "PHP", "PLN", "SEK", "SGD", "THB", "TWD", "USD",
];
/// PayPal takes no decimals of these. ISO 4217 has two for all of them but the yen.
const WHOLE: &[&str] = &["HUF", "JPY", "TWD"];
/// Seven digits before the point.
const MINOR_MAX: i64 = 999_999_999;

/// An amount in a request.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct WireAmount {
    currency_code: &'static str,
    value: String,
}

/// The amount for PayPal. Never rounded: what does not fit is refused.
pub(super) fn wire_amount(money: &Money) -> Result<WireAmount, Unsupported> {
    let code = money.currency().code();
    if CURRENCIES.binary_search(&code).is_err() {
        return Err(Unsupported::Currency(code.to_owned()));
    }
    if money.minor() > MINOR_MAX {
        return Err(Unsupported::TooLarge { maximum: MINOR_MAX });
    }
    let value = money.to_string();
    if !WHOLE.contains(&code) {
        return Ok(WireAmount { currency_code: code, value });
    }
    match value.split_once('.') {
        None => Ok(WireAmount { currency_code: code, value }),
        Some((whole, decimals)) if decimals.bytes().all(|digit| digit == b'0') => {
            Ok(WireAmount { currency_code: code, value: whole.to_owned() })
        }
        Some(_) => Err(Unsupported::Precision(code.to_owned())),
    }
}

/// Whether an amount in an answer is this one, however many zeros it is written with.
pub(super) fn is_same(money: &Money, currency_code: &str, value: &str) -> bool {
    currency_code == money.currency().code()
        && Money::parse(value, money.currency()).is_ok_and(|answered| answered == *money)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(decimal: &str, currency: &str) -> Result<String, Unsupported> {
        wire_amount(&Money::parse(decimal, currency.parse().unwrap()).unwrap()).map(|amount| amount.value)
    }

    #[test]
    fn the_list_of_currencies_is_sorted_for_the_search() {
        assert!(CURRENCIES.is_sorted());
    }

    #[test]
    fn amounts_have_two_decimals_and_forint_yen_and_taiwan_dollars_none() {
        assert_eq!(value("10.50", "USD"), Ok("10.50".into()));
        assert_eq!(value("10", "EUR"), Ok("10.00".into()));
        assert_eq!(value("500", "JPY"), Ok("500".into()));
        assert_eq!(value("500.00", "HUF"), Ok("500".into()));
        assert_eq!(value("500.00", "TWD"), Ok("500".into()));
        assert_eq!(value("500.50", "HUF"), Err(Unsupported::Precision("HUF".into())));
    }

    #[test]
    fn an_unknown_currency_and_eight_digits_are_refused() {
        assert_eq!(value("1.000", "KWD"), Err(Unsupported::Currency("KWD".into())));
        assert_eq!(value("1", "ISK"), Err(Unsupported::Currency("ISK".into())));
        assert_eq!(value("9999999.99", "USD"), Ok("9999999.99".into()));
        assert_eq!(value("10000000.00", "USD"), Err(Unsupported::TooLarge { maximum: MINOR_MAX }));
    }

    #[test]
    fn an_answered_amount_is_compared_as_money_and_not_as_text() {
        let money = Money::parse("500", "HUF".parse().unwrap()).unwrap();
        assert!(is_same(&money, "HUF", "500") && is_same(&money, "HUF", "500.00"));
        assert!(!is_same(&money, "HUF", "500.01") && !is_same(&money, "EUR", "500") && !is_same(&money, "HUF", "many"));
    }
}
