//! Amounts as Stripe counts them. Its unit is not always that of ISO 4217, see <https://docs.stripe.com/currencies>.

use crate::money::Money;
use crate::providers::Unsupported;

/// Stripe knows these; all of them count as ISO 4217 does, but for what [`step`] says.
const CURRENCIES: &[&str] = &[
    "AED", "AFN", "ALL", "AMD", "ANG", "AOA", "ARS", "AUD", "AWG", "AZN", "BAM", "BBD", "BDT", "BHD", "BIF", "BMD",
    "BND", "BOB", "BRL", "BSD", "BWP", "BYN", "BZD", "CAD", "CDF", "CHF", "CLP", "CNY", "COP", "CRC", "CVE", "CZK",
    "DJF", "DKK", "DOP", "DZD", "EGP", "ETB", "EUR", "FJD", "FKP", "GBP", "GEL", "GIP", "GMD", "GNF", "GTQ", "GYD",
    "HKD", "HNL", "HTG", "HUF", "IDR", "ILS", "INR", "ISK", "JMD", "JOD", "JPY", "KES", "KGS", "KHR", "KMF", "KRW",
    "KWD", "KYD", "KZT", "LAK", "LBP", "LKR", "LRD", "LSL", "MAD", "MDL", "MGA", "MKD", "MMK", "MNT", "MOP", "MUR",
    "MVR", "MWK", "MXN", "MYR", "MZN", "NAD", "NGN", "NIO", "NOK", "NPR", "NZD", "OMR", "PAB", "PEN", "PGK", "PHP",
    "PKR", "PLN", "PYG", "QAR", "RON", "RSD", "RUB", "RWF", "SAR", "SBD", "SCR", "SEK", "SGD", "SHP", "SOS", "SRD",
    "SZL", "THB", "TJS", "TND", "TOP", "TRY", "TTD", "TWD", "TZS", "UAH", "UGX", "USD", "UYU", "UZS", "VND", "VUV",
    "WST", "XAF", "XCD", "XOF", "XPF", "YER", "ZAR", "ZMW",
];

/// The largest `amount` for most currencies: eight digits.
const AMOUNT_MAX: i64 = 99_999_999;
/// Rupiah are small, and Stripe takes twelve digits of them.
const AMOUNT_MAX_IDR: i64 = 999_999_999_999;

/// How one of our minor units becomes Stripe's.
enum Step {
    /// The same number.
    Same,
    /// Stripe wants decimals that the currency has not (kept by Stripe for old integrations).
    Times(i64),
    /// Stripe has no decimals where ISO 4217 has them.
    Over(i64),
    /// The same number, but only in steps: the last digit is always zero.
    Multiple(i64),
}

fn step(currency: &str) -> Step {
    match currency {
        "ISK" | "UGX" => Step::Times(100),
        "MGA" => Step::Over(100),
        "BHD" | "JOD" | "KWD" | "OMR" | "TND" => Step::Multiple(10),
        _ => Step::Same,
    }
}

/// The number for Stripe's `amount` parameter. Never rounded: an amount that does not fit is refused, since charging
/// another amount than the merchant asked for is worse than not charging.
pub(super) fn wire_amount(money: &Money) -> Result<i64, Unsupported> {
    let code = money.currency().code();
    if CURRENCIES.binary_search(&code).is_err() {
        return Err(Unsupported::Currency(code.to_owned()));
    }
    let maximum = if code == "IDR" { AMOUNT_MAX_IDR } else { AMOUNT_MAX };
    let minor = money.minor();
    let amount = match step(code) {
        Step::Same => minor,
        Step::Times(factor) => minor.checked_mul(factor).ok_or(Unsupported::TooLarge { maximum })?,
        Step::Over(factor) if minor % factor == 0 => minor / factor,
        Step::Multiple(factor) if minor % factor == 0 => minor,
        Step::Over(_) | Step::Multiple(_) => return Err(Unsupported::Precision(code.to_owned())),
    };
    if amount > maximum {
        return Err(Unsupported::TooLarge { maximum });
    }
    Ok(amount)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn amount(decimal: &str, currency: &str) -> Result<i64, Unsupported> {
        wire_amount(&Money::parse(decimal, currency.parse().unwrap()).unwrap())
    }

    #[test]
    fn the_list_of_currencies_is_sorted_for_the_search() {
        assert!(CURRENCIES.is_sorted());
    }

    #[test]
    fn ordinary_currencies_go_in_their_minor_unit() {
        assert_eq!(amount("10.50", "USD"), Ok(1050));
        assert_eq!(amount("500", "JPY"), Ok(500));
        assert_eq!(amount("10.45", "HUF"), Ok(1045));
    }

    #[test]
    fn isk_and_ugx_get_two_decimals_that_they_do_not_have() {
        assert_eq!(amount("5", "ISK"), Ok(500));
        assert_eq!(amount("5", "UGX"), Ok(500));
    }

    #[test]
    fn ariary_lose_their_decimals_and_are_refused_when_there_are_any() {
        assert_eq!(amount("5", "MGA"), Ok(5));
        assert_eq!(amount("5.20", "MGA"), Err(Unsupported::Precision("MGA".into())));
    }

    #[test]
    fn three_decimal_currencies_end_in_zero_or_are_refused() {
        assert_eq!(amount("5.120", "KWD"), Ok(5120));
        assert_eq!(amount("5.124", "KWD"), Err(Unsupported::Precision("KWD".into())));
    }

    #[test]
    fn nine_digits_are_too_many_and_eight_are_not() {
        assert_eq!(amount("999999.99", "USD"), Ok(99_999_999));
        assert_eq!(amount("1000000.00", "USD"), Err(Unsupported::TooLarge { maximum: AMOUNT_MAX }));
        assert_eq!(amount("1000000.00", "IDR"), Ok(100_000_000));
    }

    #[test]
    fn a_currency_that_stripe_does_not_know_is_refused() {
        assert_eq!(amount("1.000", "IQD"), Err(Unsupported::Currency("IQD".into())));
    }
}
