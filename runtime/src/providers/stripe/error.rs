//! Stripe's error envelope, and the words for outcomes that every answer is told by.

use serde::Deserialize;

use super::answer::Intent;
use crate::providers::{About, Outcome};

/// Codes are stored in a column of 50 characters.
const CODE_CHARS_MAX: usize = 50;
/// A provider's sentence is passed on, but not a novel.
const MESSAGE_CHARS_MAX: usize = 500;

#[derive(Deserialize)]
pub(super) struct Envelope {
    pub(super) error: ErrorBody,
}

#[derive(Deserialize)]
pub(super) struct ErrorBody {
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
    pub(super) code: Option<String>,
    pub(super) decline_code: Option<String>,
    pub(super) message: Option<String>,
    pub(super) payment_intent: Option<Box<Intent>>,
}

pub(super) fn declined(error: ErrorBody, about: About) -> Outcome {
    // "card_declined" says that it was, the decline code says why.
    let named = |code: &String| !word(code).is_empty();
    let code = error.decline_code.filter(named).or(error.code.filter(named)).unwrap_or_else(|| "declined".into());
    let message = error.message.unwrap_or_else(|| "The provider declined the payment.".into());
    refused(&code, &message, about)
}

pub(super) fn refused(code: &str, message: &str, about: About) -> Outcome {
    let code = Some(word(code)).filter(|code| !code.is_empty()).unwrap_or_else(|| "declined".into());
    Outcome::Declined { code, message: cut(message, MESSAGE_CHARS_MAX), about }
}

pub(super) fn unknown(reason: &str, reference: Option<String>) -> Outcome {
    Outcome::Unknown { reason: cut(reason, MESSAGE_CHARS_MAX), reference }
}

pub(super) fn word(text: &str) -> String {
    cut(text, CODE_CHARS_MAX)
}

fn cut(text: &str, chars_max: usize) -> String {
    // PostgreSQL stores no NUL, and a control character in an answer helps nobody.
    text.chars().filter(|character| !character.is_control()).take(chars_max).collect()
}
