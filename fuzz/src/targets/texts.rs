//! Small texts: what is read is written the same way again.

use runtime::idempotency::IdempotencyKey;
use runtime::ids::{MerchantId, PaymentId, PaymentMethodId, UserId};
use runtime::money::{Currency, Money};

use super::Target;

/// An amount, a space, a currency.
pub(super) const MONEY: Target = Target {
    name: "money",
    feed: |input| {
        let Ok(text) = std::str::from_utf8(input) else { return "no text".to_owned() };
        let (amount, currency) = text.split_once(' ').unwrap_or((text, "USD"));
        let Ok(currency) = currency.parse::<Currency>() else { return "no currency".to_owned() };
        match Money::parse(amount, currency) {
            Ok(money) => {
                let again = Money::parse(&money.to_string(), currency);
                assert_eq!(again, Ok(money), "{amount} was read as {money}");
                assert_eq!(
                    Money::from_decimal(money.to_decimal(), currency),
                    Ok(money),
                    "{amount} changed on its way through SQL"
                );
                assert!(money.minor() > 0, "{amount} is not positive");
                format!("read {} {}", money.minor().ilog2(), currency.code())
            }
            Err(error) => format!("{:?}", std::mem::discriminant(&error)),
        }
    },
    words: &["JPY", "KWD", "USD", "UYW", " ", ".", "0.01", "-0", "+1", "1e3", "999999999999.9999", "٣"],
};

/// Ids as merchants send them.
pub(super) const IDS: Target = Target {
    name: "ids",
    feed: |input| {
        let Ok(text) = std::str::from_utf8(input) else { return "no text".to_owned() };
        let same = |written: String| assert_eq!(written, text, "an id has one form");
        let mut read = Vec::new();
        let mut note = |kind: &'static str, written: Option<String>| {
            if let Some(written) = written {
                same(written);
                read.push(kind);
            }
        };
        note("payment", text.parse::<PaymentId>().ok().map(|id| (id.to_string(), id.created_at()).0));
        note("method", text.parse::<PaymentMethodId>().ok().map(|id| (id.to_string(), id.created_at()).0));
        note("user", text.parse::<UserId>().ok().map(|id| (id.to_string(), id.created_at()).0));
        note("merchant", text.parse::<MerchantId>().ok().map(|id| (id.to_string(), id.created_at()).0));
        format!("{read:?} {}", text.len().min(40))
    },
    words: &["pay_", "pm_", "usr_", "mer_", "0198", "7", "8", "ffffffffffff7fff8fffffffffffffff", "F", "-"],
};

/// Idempotency keys.
pub(super) const KEYS: Target = Target {
    name: "idempotency_key",
    feed: |input| match IdempotencyKey::parse(input) {
        Some(key) => {
            assert_eq!(key.as_str().as_bytes(), input, "a key is what was sent");
            assert!((1..=255).contains(&input.len()), "a key must fit its column");
            format!("read {}", input.len())
        }
        None => format!("refused {}", input.len().min(300)),
    },
    words: &["key", " ", "\u{7f}", "é"],
};
