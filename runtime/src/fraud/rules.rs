//! The rules of the table `fraud_rules`, as types, and what each of them says of a payment. Pure.

use std::collections::HashMap;

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use serde::Deserialize;
use thiserror::Error;

use super::signals::Velocity;
use super::wire::Triggered;
use crate::money::{Currency, Money};

/// One rule that counts.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// Shown as a reason.
    pub name: String,
    /// Added to the score when it matches, 0 to 100.
    pub points: u8,
    /// What it looks at.
    pub test: Test,
}

/// What a rule looks at.
#[derive(Clone, Debug, PartialEq)]
pub enum Test {
    /// The amount is over the limit of its currency. A currency without a limit never matches.
    Amount {
        /// In whole minor units.
        limits: HashMap<Currency, Money>,
    },
    /// The user made more payments in the window than allowed, this one counted.
    Velocity {
        /// How far back it looks.
        window: Window,
        /// The most that is still in order.
        payments_max: u64,
    },
}

/// How far back a velocity looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Window {
    /// One minute.
    #[serde(rename = "1m")]
    Minute,
    /// One hour.
    #[serde(rename = "1h")]
    Hour,
    /// 24 hours.
    #[serde(rename = "24h")]
    Day,
}

/// Why a row is not a rule.
#[derive(Debug, PartialEq, Error)]
pub enum RuleError {
    /// Its kind is not known to this release.
    #[error("kind {0} is not known")]
    Kind(String),
    /// Its parameters do not fit its kind.
    #[error("parameters: {0}")]
    Parameters(String),
    /// Its points are not a whole number from 0 to 100.
    #[error("points {0} are not a whole number from 0 to 100")]
    Points(Decimal),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AmountParameters {
    limits: HashMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct VelocityParameters {
    #[serde(rename = "subject")]
    _subject: Subject,
    window: Window,
    payments_max: u64,
}

/// Whom a velocity counts for. Only users so far; naming it keeps a rule for another subject from counting users.
#[derive(Deserialize)]
enum Subject {
    #[serde(rename = "USER")]
    User,
}

impl Rule {
    /// A rule from its row.
    ///
    /// # Errors
    /// Says what is wrong with the row.
    pub fn parse(name: String, kind: &str, points: Decimal, parameters: serde_json::Value) -> Result<Self, RuleError> {
        let whole = points.is_integer().then(|| points.to_u8()).flatten().filter(|points| *points <= 100);
        let points = whole.ok_or(RuleError::Points(points))?;
        let test = match kind {
            "AMOUNT" => amount_test(parse_parameters(parameters)?)?,
            "VELOCITY" => {
                let VelocityParameters { _subject: Subject::User, window, payments_max } =
                    parse_parameters(parameters)?;
                Test::Velocity { window, payments_max }
            }
            other => return Err(RuleError::Kind(other.to_owned())),
        };
        Ok(Self { name, points, test })
    }

    /// What the rule says of a payment; nothing when it does not match, or its signal is missing.
    #[must_use]
    pub fn evaluate(&self, money: Money, velocity: Option<&Velocity>) -> Option<Triggered> {
        let reason = match &self.test {
            Test::Amount { limits } => {
                let limit = limits.get(&money.currency()).filter(|limit| money.minor() > limit.minor())?;
                format!("{money} {} is over the limit of {limit}", money.currency())
            }
            Test::Velocity { window, payments_max } => {
                let payments = velocity?.in_window(*window);
                if payments <= *payments_max {
                    return None;
                }
                format!(
                    "{payments} payments of the user within {}, at most {payments_max} are in order",
                    window.words()
                )
            }
        };
        Some(Triggered { rule: self.name.clone(), points: self.points, reason })
    }
}

impl Window {
    const fn words(self) -> &'static str {
        match self {
            Self::Minute => "one minute",
            Self::Hour => "one hour",
            Self::Day => "24 hours",
        }
    }
}

fn parse_parameters<T: for<'de> Deserialize<'de>>(parameters: serde_json::Value) -> Result<T, RuleError> {
    serde_json::from_value(parameters).map_err(|error| RuleError::Parameters(error.to_string()))
}

fn amount_test(parameters: AmountParameters) -> Result<Test, RuleError> {
    let mut limits = HashMap::new();
    for (code, limit) in parameters.limits {
        let wrong = |error: crate::money::MoneyError| RuleError::Parameters(format!("limit of {code}: {error}"));
        let currency: Currency = code.parse().map_err(wrong)?;
        limits.insert(currency, Money::parse(&limit, currency).map_err(wrong)?);
    }
    Ok(Test::Amount { limits })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rule(kind: &str, parameters: serde_json::Value) -> Result<Rule, RuleError> {
        Rule::parse("rule".into(), kind, Decimal::from(40), parameters)
    }

    fn usd(amount: &str) -> Money {
        Money::parse(amount, "USD".parse().unwrap()).unwrap()
    }

    #[test]
    fn an_amount_matches_only_above_the_limit_of_its_own_currency() {
        let rule = rule("AMOUNT", json!({"limits": {"USD": "5000.00"}})).unwrap();
        assert_eq!(rule.evaluate(usd("5000.00"), None), None);
        let triggered = rule.evaluate(usd("5000.01"), None).unwrap();
        assert_eq!((triggered.points, triggered.reason.as_str()), (40, "5000.01 USD is over the limit of 5000.00"));
        assert_eq!(rule.evaluate(Money::parse("900000", "JPY".parse().unwrap()).unwrap(), None), None);
    }

    #[test]
    fn a_velocity_matches_above_its_limit_in_its_own_window() {
        let rule = rule("VELOCITY", json!({"subject": "USER", "window": "1h", "payments_max": 3})).unwrap();
        let velocity = |hour| Velocity { minute: 9, hour, day: 9 };
        assert_eq!(rule.evaluate(usd("1"), Some(&velocity(3))), None);
        assert!(rule.evaluate(usd("1"), Some(&velocity(4))).is_some());
    }

    #[test]
    fn a_velocity_without_its_signal_does_not_match() {
        let rule = rule("VELOCITY", json!({"subject": "USER", "window": "1m", "payments_max": 0})).unwrap();
        assert_eq!(rule.evaluate(usd("1"), None), None);
    }

    #[test]
    fn a_row_that_is_not_a_rule_says_why() {
        assert_eq!(rule("GEOLOCATION", json!({})), Err(RuleError::Kind("GEOLOCATION".into())));
        for (kind, parameters) in [
            ("AMOUNT", json!({})),
            ("AMOUNT", json!({"limits": {"USD": "5000.001"}})),
            ("AMOUNT", json!({"limits": {"XXX": "1"}})),
            ("AMOUNT", json!({"limits": {}, "limit": 3})),
            ("VELOCITY", json!({"subject": "CARD", "window": "1m", "payments_max": 1})),
            ("VELOCITY", json!({"subject": "USER", "window": "2m", "payments_max": 1})),
            ("VELOCITY", json!({"subject": "USER", "window": "1m", "payments_max": -1})),
        ] {
            let shown = parameters.to_string();
            assert!(matches!(rule(kind, parameters), Err(RuleError::Parameters(_))), "{kind} {shown}");
        }
        let points = Decimal::new(1005, 1);
        assert_eq!(Rule::parse("r".into(), "AMOUNT", points, json!({"limits": {}})), Err(RuleError::Points(points)));
    }
}
