//! Finds card numbers where none may be, so that they are refused before anything is stored or logged.

use std::borrow::Cow;

use serde_json::Value;
use uuid::Uuid;

/// How the digits of a card are grouped where they are printed.
const PRINTED: [&[usize]; 6] =
    [&[4, 4, 4, 4], &[4, 4, 4, 4, 1], &[4, 4, 4, 4, 2], &[4, 4, 4, 4, 3], &[4, 6, 5], &[4, 6, 4]];
/// How people group the others. Lists of numbers look so as well: only where no other group stands beside these counts.
const TYPED: [&[usize]; 3] = [&[4, 4, 4, 2], &[4, 4, 4, 3], &[6, 13]];
/// The digits of nearly every card, which people group in ways of their own.
const USUAL: usize = 16;
/// The digits of the shortest card in use. Those of 13 are history, and telephone numbers look like them.
const SHORTEST: usize = 14;
/// Words this long that mix letters and digits are ids and hashes: one in two hundred SHA-256 values would look like a card.
const HASH_LENGTH: usize = 32;

/// What parts the groups of a card number: one character, of one kind throughout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Parting {
    /// Spaces, tabs and dashes.
    Gap,
    /// Dots. Numbers and addresses have them too, so that only what is grouped as cards are printed counts.
    Dot,
}

/// Digits that stand together, and what stands between them and the digits after them.
struct Group {
    digits: Vec<u8>,
    then: Option<Parting>,
    place: Place,
}

/// Where digits stand in a decimal number, should they be of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Of none.
    None,
    /// Before its dot.
    Whole,
    /// Behind its dot: no card number, as in 0.4242424242424242.
    Fraction,
}

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

/// Whether a card number stands in a text, also when its digits are parted by single spaces, tabs, dashes or dots, and when
/// other digits stand beside it, as in `4242 4242 4242 4242 12/27`.
#[must_use]
pub fn stands_in_text(text: &str) -> bool {
    // Nearly every text ends here.
    if text.bytes().filter(u8::is_ascii_digit).count() < SHORTEST {
        return false;
    }
    let groups = groups(&without_ids(text));
    let is_parted_by = |parting| runs(&groups, parting).any(|run| is_parted(run, parting));
    groups.iter().any(|group| group.place != Place::Fraction && is_card(&group.digits))
        || is_parted_by(Parting::Gap)
        || is_parted_by(Parting::Dot)
}

/// Whether a run of groups has a card number in it, or is one.
fn is_parted(run: &[Group], parting: Parting) -> bool {
    let digits = |groups: &[Group]| groups.iter().flat_map(|group| group.digits.iter().copied()).collect::<Vec<_>>();
    let is_grouped = |groups: &[Group], lengths: &[usize]| {
        groups.iter().map(|group| group.digits.len()).eq(lengths.iter().copied()) && is_card(&digits(groups))
    };
    if PRINTED.iter().any(|lengths| run.windows(lengths.len()).any(|groups| is_grouped(groups, lengths))) {
        return true;
    }
    if parting == Parting::Dot || run.iter().any(|group| group.place != Place::None) {
        return false;
    }
    let whole = digits(run);
    let is_own_way = whole.len() == USUAL && run.iter().all(|group| group.digits.len() >= 4) && is_card(&whole);
    is_own_way || TYPED.iter().any(|lengths| is_grouped(run, lengths))
}

fn is_card(digits: &[u8]) -> bool {
    is_issued(digits) && is_luhn(digits)
}

/// Whether a network issues numbers that begin so and are so long, by ISO/IEC 7812. Without this every tenth time stamp,
/// telephone or order number of 13 digits or more would be refused as a card.
fn is_issued(digits: &[u8]) -> bool {
    let &[first, second, ..] = digits else { return false };
    match (10 * first + second, digits.len()) {
        // Mir and Mastercard.
        (22, 16..=19) | (23..=27 | 51..=55, 16) => true,
        // Diners Club, JCB, American Express.
        (30 | 36 | 38 | 39, 14 | 16..=19) | (35, 16..=19) | (34 | 37, 15) => true,
        // Visa.
        (40..=49, 16 | 19) => true,
        // Maestro, Discover, UnionPay, RuPay.
        (50 | 56..=58 | 60..=69, 15..=19) => true,
        // RuPay, Troy.
        (81 | 82 | 97, 16) => true,
        _ => false,
    }
}

/// The text with `#` in place of each UUID and hash.
fn without_ids(text: &str) -> Cow<'_, str> {
    let is_uuid = |word: &&str| Uuid::try_parse(word).is_ok();
    let is_hash = |word: &&str| word.len() >= HASH_LENGTH && word.bytes().any(|byte| byte.is_ascii_alphabetic());
    let dashed = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-').filter(is_uuid);
    let plain = text.split(|c: char| !c.is_ascii_alphanumeric()).filter(is_hash);
    dashed.chain(plain).fold(Cow::Borrowed(text), |text, id| Cow::Owned(text.replace(id, "#")))
}

/// The groups of digits in a text, in order.
fn groups(text: &str) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    let mut last = None;
    for c in text.chars() {
        let is_next = last.is_some_and(|last: char| last.is_ascii_digit());
        match (digit(c), groups.last_mut()) {
            (Some(digit), Some(group)) if is_next => group.digits.push(digit),
            (Some(digit), group) => {
                let whole = group.filter(|group| last == Some('.') && group.then.is_some());
                let place = if whole.is_some() { Place::Fraction } else { Place::None };
                if let Some(whole) = whole
                    && whole.place == Place::None
                {
                    whole.place = Place::Whole;
                }
                groups.push(Group { digits: vec![digit], then: None, place });
            }
            // One character parts two groups; with a second one they do not belong together.
            (None, Some(group)) => group.then = parting(c).filter(|_| is_next),
            (None, None) => {}
        }
        last = Some(c);
    }
    groups
}

fn digit(c: char) -> Option<u8> {
    c.to_digit(10).and_then(|digit| u8::try_from(digit).ok())
}

fn parting(c: char) -> Option<Parting> {
    match c {
        // No card number goes over the end of a line.
        '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}' => None,
        // Hyphens and dashes, a minus, and what is as wide as nothing.
        '-' | '\u{ad}' | '\u{2010}'..='\u{2015}' | '\u{2043}' | '\u{2212}' | '\u{fe58}' | '\u{fe63}' | '\u{ff0d}' => {
            Some(Parting::Gap)
        }
        '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{feff}' => Some(Parting::Gap),
        '.' | '\u{b7}' | '\u{2022}' | '\u{2024}' | '\u{2219}' | '\u{22c5}' | '\u{30fb}' | '\u{ff0e}' => {
            Some(Parting::Dot)
        }
        c => c.is_whitespace().then_some(Parting::Gap),
    }
}

/// Groups that are parted by this alone, as long as it goes.
fn runs(groups: &[Group], parting: Parting) -> impl Iterator<Item = &[Group]> {
    groups.split_inclusive(move |group| group.then != Some(parting))
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
mod tests;
