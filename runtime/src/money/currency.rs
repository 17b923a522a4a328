//! Currencies: which there are to pay with, and how many decimals each has.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};

use super::MoneyError;

/// An ISO 4217 currency that payments can be made in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Currency {
    code: iso_currency::Currency,
    exponent: u32,
}

impl Currency {
    /// The three letters.
    #[must_use]
    pub fn code(self) -> &'static str {
        self.code.code()
    }

    /// Every currency, by its letters.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let letters = || b'A'..=b'Z';
        let codes = letters().flat_map(|a| letters().flat_map(move |b| letters().map(move |c| [a, b, c])));
        codes.filter_map(|code| std::str::from_utf8(&code).ok()?.parse().ok()).collect()
    }

    /// How many decimals the currency has: 0 for JPY, 2 for USD, 3 for KWD.
    #[must_use]
    pub const fn exponent(self) -> u32 {
        self.exponent
    }
}

impl FromStr for Currency {
    type Err = MoneyError;

    fn from_str(code: &str) -> Result<Self, MoneyError> {
        let unknown = || MoneyError::UnknownCurrency(code.chars().take(3).collect());
        let iso = iso_currency::Currency::from_code(code).ok_or_else(unknown)?;
        // Gold, test codes, units of account and money of the past are in the standard, but nobody pays with them.
        let payable = !iso.is_special() && !iso.is_fund() && iso.is_superseded().is_none();
        match iso.exponent() {
            Some(exponent) if payable => Ok(Self { code: iso, exponent: u32::from(exponent) }),
            _ => Err(unknown()),
        }
    }
}

impl utoipa::PartialSchema for Currency {
    fn schema() -> RefOr<Schema> {
        let codes = Self::all().into_iter().map(Self::code);
        ObjectBuilder::new().schema_type(Type::String).enum_values(Some(codes)).examples(["USD"]).into()
    }
}

impl utoipa::ToSchema for Currency {}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_currencies_that_people_pay_with_are_known() {
        for code in ["USDX", "usd", "ZZZ", "", "XAU", "XTS", "CLF", "HRK"] {
            assert!(code.parse::<Currency>().is_err(), "{code}");
        }
    }

    #[test]
    fn a_currency_has_the_decimals_of_the_standard() {
        for (code, exponent) in [("JPY", 0), ("KRW", 0), ("USD", 2), ("EUR", 2), ("KWD", 3), ("BHD", 3)] {
            assert_eq!(code.parse::<Currency>().map(Currency::exponent), Ok(exponent), "{code}");
        }
    }

    #[test]
    fn all_currencies_are_those_that_can_be_parsed() {
        let all = Currency::all();
        assert!(all.len() > 140, "{}", all.len());
        for code in ["USD", "JPY", "KWD"] {
            assert!(all.contains(&code.parse().unwrap()), "{code}");
        }
        assert!(all.iter().all(|currency| currency.code().parse() == Ok(*currency)));
    }
}
