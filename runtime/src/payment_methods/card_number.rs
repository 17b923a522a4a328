//! Finds card numbers where none may be, so that they are refused before anything is stored or logged.

use serde_json::Value;
use uuid::Uuid;

/// Lengths of card numbers, by ISO/IEC 7812.
const DIGITS: std::ops::RangeInclusive<usize> = 13..=19;
/// First digits of payment cards, by ISO/IEC 7812: travel, banking, merchandising. Without this every tenth time stamp in
/// milliseconds, an order number at many shops, would be refused as a card.
const ISSUERS: std::ops::RangeInclusive<u8> = 2..=6;
/// How the digits of a card are grouped where they are printed.
const PRINTED: [&[usize]; 4] = [&[4, 4, 4, 4], &[4, 4, 4, 4, 3], &[4, 6, 5], &[4, 6, 4]];
/// Words this long that mix letters and digits are ids and hashes: one in two hundred SHA-256 values would look like a card.
const HASH_LENGTH: usize = 32;

/// Whether a card number stands anywhere in a JSON document: in a text, a number or a key.
#[must_use]
pub fn stands_in(document: &Value) -> bool {
    match document {
        Value::String(text) => stands_in_text(text),
        Value::Number(number) => stands_in_text(&number.to_string()),
        Value::Array(items) => items.iter().any(stands_in),
        Value::Object(fields) => fields.iter().any(|(key, value)| stands_in_text(key) || stands_in(value)),
        Value::Null | Value::Bool(_) => false,
    }
}

/// Whether a card number stands in a text, also when its digits are parted by single spaces or dashes, and when other
/// digits stand beside it, as in `4242 4242 4242 4242 12/27`.
#[must_use]
pub fn stands_in_text(text: &str) -> bool {
    if Uuid::try_parse(text).is_ok() {
        return false;
    }
    let readable: String = text
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| is_hash(word))
        .fold(text.to_owned(), |text, hash| text.replace(hash, "#"));
    runs(&readable).iter().any(|groups| {
        is_card(&groups.concat())
            || groups.iter().any(|group| is_card(group))
            || PRINTED.iter().any(|lengths| groups.windows(lengths.len()).any(|window| is_printed(window, lengths)))
    })
}

fn is_card(digits: &[u8]) -> bool {
    DIGITS.contains(&digits.len()) && digits.first().is_some_and(|first| ISSUERS.contains(first)) && is_luhn(digits)
}

fn is_printed(groups: &[Vec<u8>], lengths: &[usize]) -> bool {
    groups.iter().map(Vec::len).eq(lengths.iter().copied()) && is_card(&groups.concat())
}

fn is_hash(word: &str) -> bool {
    word.len() >= HASH_LENGTH && word.bytes().any(|byte| byte.is_ascii_alphabetic())
}

/// Runs of groups of digits; a single space or dash parts two groups of a run.
fn runs(text: &str) -> Vec<Vec<Vec<u8>>> {
    let mut runs = vec![Vec::new()];
    for group in text.split_inclusive(|c: char| !c.is_ascii_digit()) {
        let (digits, parting) = match group.strip_suffix(|c: char| !c.is_ascii_digit()) {
            Some(digits) => (digits, &group[digits.len()..]),
            None => (group, ""),
        };
        if let (Some(run), false) = (runs.last_mut(), digits.is_empty()) {
            run.push(digits.bytes().map(|byte| byte - b'0').collect());
        }
        if digits.is_empty() || !matches!(parting, " " | "-") {
            runs.push(Vec::new());
        }
    }
    runs
}

fn is_luhn(digits: &[u8]) -> bool {
    let doubled = |digit: u8| if digit > 4 { 2 * digit - 9 } else { 2 * digit };
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| u32::from(if place % 2 == 1 { doubled(*digit) } else { *digit }))
        .sum();
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn card_numbers_are_found_wherever_they_stand() {
        for document in [
            json!({"token": "4242424242424242"}),
            json!({"token": "4242 4242 4242 4242"}),
            json!({"a": [{"b": "card: 4242-4242-4242-4242."}]}),
            json!({"text": "4242 4242 4242 4242 12/27"}),
            json!({"text": "12 4242424242424242 123"}),
            json!({"text": "1 3782-822463-10005 0327"}),
            json!({"number": 378_282_246_310_005_u64}),
            json!({"4242424242424242": true}),
            json!({"token": "x4242424242424242"}),
            json!({"text": "pay_4242424242424242"}),
        ] {
            assert!(stands_in(&document), "{document}");
        }
    }

    #[test]
    fn what_only_resembles_a_card_number_passes() {
        for document in [
            json!({"token": "4242424242424241"}),
            json!({"amount": "1234567890.00", "last_four": "4242"}),
            json!({"token": "tok_1NxxVisa"}),
            json!({"id": "pm_0199424242424242424242abcdef7abc"}),
            json!({"id": "01994242-4242-7242-8242-424242abcdef"}),
            json!({"fingerprint": "a4242424242424242b7d2f0c9e8a7b6c5d4e3f2a1b0c9d8e7f6a5b4c3d2e1f0a"}),
            json!({"text": "42424242424242424242424242424242"}),
            json!({"order": "1795400000000"}),
        ] {
            assert!(!stands_in(&document), "{document}");
        }
    }
}
