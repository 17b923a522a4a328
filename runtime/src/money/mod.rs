//! Money: whole minor units of one currency. No float comes near it.

mod currency;

use std::fmt;

use rust_decimal::{Decimal, RoundingStrategy};

pub use currency::Currency;

/// An amount in whole minor units of a currency: cents of USD, yen of JPY, fils of KWD.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Money {
    minor: i64,
    currency: Currency,
}

/// Why a text or a calculation gives no money.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// No currency that payments can be made in.
    #[error("\"{0}\" is not an ISO 4217 currency that payments can be made in")]
    UnknownCurrency(String),
    /// Not digits with at most one point among them.
    #[error("the amount must be a decimal string such as \"10.50\": digits, and at most one point between them")]
    NotADecimal,
    /// Below zero.
    #[error("the amount must not be negative")]
    Negative,
    /// Nothing to pay.
    #[error("the amount must be more than zero")]
    Zero,
    /// A part of the smallest unit.
    #[error("{currency} has {} decimals, the amount has more", .currency.exponent())]
    TooManyDecimals {
        /// The currency.
        currency: Currency,
    },
    /// More than [`Money::MINOR_MAX`].
    #[error("the amount must be at most {} {}", .max, .max.currency())]
    TooLarge {
        /// The most that one payment can be.
        max: Money,
    },
    /// Two currencies in one calculation.
    #[error("{0} and {1} cannot be put together")]
    CurrencyMismatch(Currency, Currency),
}

impl MoneyError {
    /// The stable code of it in the API.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotADecimal => "amount_malformed",
            Self::Negative | Self::Zero => "amount_not_positive",
            Self::TooManyDecimals { .. } => "amount_too_precise",
            Self::TooLarge { .. } => "amount_too_large",
            Self::UnknownCurrency(_) | Self::CurrencyMismatch(..) => "unknown_currency",
        }
    }
}

/// The same amount as it is written shortest: what means the same is the same text, whatever its currency is. A text that
/// is no amount stays as it is.
#[must_use]
pub fn normalized(text: &str) -> &str {
    let is_amount = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    match text.split_once('.') {
        Some((_, fraction)) if is_amount && !fraction.is_empty() && !fraction.contains('.') => {
            text.trim_end_matches('0').trim_end_matches('.')
        }
        _ => text,
    }
}

impl Money {
    /// The most that one payment can be, in minor units. Ten times what any provider takes, and
    /// far from where `numeric(18,4)` or `i64` end, so that sums of millions of payments stay exact.
    pub const MINOR_MAX: i64 = 999_999_999_999;

    /// So many minor units.
    #[must_use]
    pub const fn from_minor(minor: i64, currency: Currency) -> Self {
        Self { minor, currency }
    }

    /// A positive amount as a client writes it: `"10.50"`. No sign, no exponent, no thousands separators.
    ///
    /// # Errors
    /// Every variant of [`MoneyError`] that speaks of the amount.
    pub fn parse(text: &str, currency: Currency) -> Result<Self, MoneyError> {
        let (negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        let leading_zero = whole.len() > 1 && whole.starts_with('0');
        if !digits(whole) || !digits(fraction) || leading_zero {
            return Err(MoneyError::NotADecimal);
        }
        if negative {
            return Err(MoneyError::Negative);
        }
        if text.contains('.') && fraction.len() > currency.exponent() as usize {
            return Err(MoneyError::TooManyDecimals { currency });
        }
        let fraction = if currency.exponent() == 0 { "" } else { fraction };
        let minor = format!("{whole}{fraction:0<width$}", width = currency.exponent() as usize);
        Self::within_limit(minor.parse().unwrap_or(i64::MAX), currency)
    }

    /// An amount read from SQL, where it stands in major units.
    ///
    /// # Errors
    /// When it has more decimals than its currency, or is beyond `i64`.
    pub fn from_decimal(major: Decimal, currency: Currency) -> Result<Self, MoneyError> {
        let minor = major
            .checked_mul(Decimal::from(10_i64.pow(currency.exponent())))
            .ok_or(MoneyError::TooLarge { max: Self::max(currency) })?
            .normalize();
        if minor.scale() > 0 {
            return Err(MoneyError::TooManyDecimals { currency });
        }
        let minor = i64::try_from(minor.mantissa()).map_err(|_| MoneyError::TooLarge { max: Self::max(currency) })?;
        Ok(Self { minor, currency })
    }

    /// Whole minor units.
    #[must_use]
    pub const fn minor(self) -> i64 {
        self.minor
    }

    /// The currency.
    #[must_use]
    pub const fn currency(self) -> Currency {
        self.currency
    }

    /// Major units, as SQL keeps them.
    #[must_use]
    pub fn to_decimal(self) -> Decimal {
        Decimal::new(self.minor, self.currency.exponent())
    }

    /// The sum.
    ///
    /// # Errors
    /// When the currencies differ, or the sum is beyond `i64`.
    pub fn checked_add(self, other: Self) -> Result<Self, MoneyError> {
        if self.currency != other.currency {
            return Err(MoneyError::CurrencyMismatch(self.currency, other.currency));
        }
        let minor =
            self.minor.checked_add(other.minor).ok_or(MoneyError::TooLarge { max: Self::max(self.currency) })?;
        Ok(Self { minor, ..self })
    }

    /// The same amount the other way round: a credit for a debit.
    #[must_use]
    pub const fn negated(self) -> Self {
        // No amount is as large as i64, so every one has its opposite.
        Self { minor: self.minor.saturating_neg(), ..self }
    }

    /// A share of it in percent, rounded half to even to whole minor units: over many payments the
    /// halves cancel out, so neither side gains by rounding.
    ///
    /// # Errors
    /// When the share is beyond `i64`.
    pub fn percentage(self, percent: Decimal) -> Result<Self, MoneyError> {
        let too_large = || MoneyError::TooLarge { max: Self::max(self.currency) };
        let share = Decimal::from(self.minor)
            .checked_mul(percent)
            .and_then(|product| product.checked_div(Decimal::ONE_HUNDRED))
            .ok_or_else(too_large)?
            .round_dp_with_strategy(0, RoundingStrategy::MidpointNearestEven);
        let minor = i64::try_from(share.normalize().mantissa()).map_err(|_| too_large())?;
        Ok(Self { minor, ..self })
    }

    const fn max(currency: Currency) -> Self {
        Self { minor: Self::MINOR_MAX, currency }
    }

    fn within_limit(minor: i64, currency: Currency) -> Result<Self, MoneyError> {
        match minor {
            0 => Err(MoneyError::Zero),
            1..=Self::MINOR_MAX => Ok(Self { minor, currency }),
            _ => Err(MoneyError::TooLarge { max: Self::max(currency) }),
        }
    }
}

/// Major units with all decimals of the currency, as in the API: `10.50`, `1000`, `1.500`.
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_decimal().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, currency: &str) -> Result<i64, MoneyError> {
        Money::parse(text, currency.parse().unwrap()).map(Money::minor)
    }

    #[test]
    fn amounts_become_minor_units_by_the_exponent_of_their_currency() {
        for (text, currency, minor) in [
            ("10.50", "USD", 1050),
            ("10.5", "USD", 1050),
            ("10", "USD", 1000),
            ("0.01", "USD", 1),
            ("500", "JPY", 500),
            ("1.234", "KWD", 1234),
            ("9999999999.99", "USD", Money::MINOR_MAX),
        ] {
            assert_eq!(parse(text, currency), Ok(minor), "{text} {currency}");
        }
    }

    #[test]
    fn what_is_not_a_plain_decimal_is_refused() {
        for text in ["", ".", "1.", ".5", "1e3", "+1", " 1", "1,000.00", "0x10", "01", "1.0.0", "NaN", "--1", "١"] {
            assert_eq!(parse(text, "USD"), Err(MoneyError::NotADecimal), "{text:?}");
        }
    }

    #[test]
    fn an_amount_that_cannot_be_paid_is_refused_with_the_reason() {
        let usd: Currency = "USD".parse().unwrap();
        let jpy: Currency = "JPY".parse().unwrap();
        let too_large = Err(MoneyError::TooLarge { max: Money::from_minor(Money::MINOR_MAX, usd) });
        assert_eq!(parse("0", "USD"), Err(MoneyError::Zero));
        assert_eq!(parse("0.00", "USD"), Err(MoneyError::Zero));
        assert_eq!(parse("-1.00", "USD"), Err(MoneyError::Negative));
        assert_eq!(parse("1.001", "USD"), Err(MoneyError::TooManyDecimals { currency: usd }));
        assert_eq!(parse("1.0", "JPY"), Err(MoneyError::TooManyDecimals { currency: jpy }));
        assert_eq!(parse("10000000000.00", "USD"), too_large);
        assert_eq!(parse("100000000000000000000", "USD"), too_large);
    }

    #[test]
    fn an_amount_is_written_with_all_decimals_of_its_currency() {
        for (minor, currency, text) in
            [(1050, "USD", "10.50"), (500, "JPY", "500"), (1500, "KWD", "1.500"), (1, "USD", "0.01")]
        {
            assert_eq!(Money::from_minor(minor, currency.parse().unwrap()).to_string(), text);
        }
    }

    #[test]
    fn an_amount_from_sql_loses_nothing() {
        let kwd: Currency = "KWD".parse().unwrap();
        assert_eq!(Money::from_decimal(Decimal::new(15_000, 4), kwd).map(Money::minor), Ok(1500));
        assert_eq!(
            Money::from_decimal(Decimal::new(15_001, 4), kwd),
            Err(MoneyError::TooManyDecimals { currency: kwd })
        );
    }

    #[test]
    fn a_share_is_rounded_half_to_even() {
        let usd: Currency = "USD".parse().unwrap();
        let share = |minor, percent: Decimal| Money::from_minor(minor, usd).percentage(percent).unwrap().minor();
        assert_eq!(share(1000, Decimal::new(29, 1)), 29);
        assert_eq!(share(50, Decimal::ONE), 0, "0.5 cents go to the even 0");
        assert_eq!(share(150, Decimal::ONE), 2, "1.5 cents go to the even 2");
        assert_eq!(share(250, Decimal::ONE), 2, "2.5 cents go to the even 2");
        assert_eq!(share(100_000, Decimal::ONE_HUNDRED), 100_000);
    }

    #[test]
    fn two_currencies_do_not_add_up() {
        let usd = Money::from_minor(1, "USD".parse().unwrap());
        let eur = Money::from_minor(1, "EUR".parse().unwrap());
        assert!(matches!(usd.checked_add(eur), Err(MoneyError::CurrencyMismatch(..))));
    }

    #[test]
    fn amounts_that_mean_the_same_are_normalized_to_the_same_text() {
        for (text, short) in [("10.50", "10.5"), ("10.00", "10"), ("10", "10"), ("100", "100"), ("0.0", "0")] {
            assert_eq!(normalized(text), short);
        }
        for none in ["10.", "1.0.0", "-1.0", "1e0", "", "x.0"] {
            assert_eq!(normalized(none), none);
        }
    }
}
