//! PayPal's errors, and its processors' codes, in the words that merchants know from other providers.

use http::StatusCode;
use serde::Deserialize;

use crate::providers::{About, Outcome};

/// Codes are stored in a column of 50 characters.
const CODE_CHARS_MAX: usize = 50;
/// A provider's sentence is passed on, but not a novel.
const MESSAGE_CHARS_MAX: usize = 500;

/// The envelope of every error.
#[derive(Deserialize)]
pub(super) struct ErrorBody {
    name: String,
    message: Option<String>,
    #[serde(default)]
    details: Vec<Detail>,
}

#[derive(Deserialize)]
struct Detail {
    issue: String,
    description: Option<String>,
}

impl ErrorBody {
    /// The first issue, or the error's own name.
    pub(super) fn issue(&self) -> &str {
        self.details.first().map_or(&self.name, |detail| &detail.issue)
    }

    fn sentence(&self) -> &str {
        let described = self.details.first().and_then(|detail| detail.description.as_deref());
        described.or(self.message.as_deref()).unwrap_or("The provider refused the request.")
    }
}

/// Issues by which PayPal says that this payer will not pay this: the answer about the charge itself.
const DECLINES: &[(&str, &str)] = &[
    ("CARD_CLOSED", "card_not_supported"),
    ("CARD_EXPIRED", "expired_card"),
    ("COMPLIANCE_VIOLATION", "transaction_not_allowed"),
    ("INSTRUMENT_DECLINED", "generic_decline"),
    ("PAYEE_BLOCKED_TRANSACTION", "transaction_not_allowed"),
    ("PAYER_ACCOUNT_LOCKED_OR_CLOSED", "invalid_account"),
    ("PAYER_ACCOUNT_RESTRICTED", "invalid_account"),
    ("PAYER_CANNOT_PAY", "transaction_not_allowed"),
    ("REDIRECT_PAYER_FOR_ALTERNATE_FUNDING", "insufficient_funds"),
    ("TRANSACTION_BLOCKED_BY_PAYEE", "transaction_not_allowed"),
    ("TRANSACTION_LIMIT_EXCEEDED", "withdrawal_count_limit_exceeded"),
    ("TRANSACTION_REFUSED", "generic_decline"),
];

/// Issues which say that the call, or a part of it, was done before: nothing is refused by them.
const DONE_BEFORE: &[&str] =
    &["DUPLICATE_INVOICE_ID", "DUPLICATE_REQUEST_ID", "ORDER_ALREADY_AUTHORIZED", "ORDER_ALREADY_CAPTURED"];

/// Issues about a held amount that is free again: a key that had captured it would have said so instead.
const FREE_AGAIN: &[&str] = &["AUTHORIZATION_DENIED", "AUTHORIZATION_EXPIRED", "AUTHORIZATION_VOIDED"];

/// What an error means for whatever was asked. What PayPal did under the same key before, it answers with again; so an
/// error about the payer or the authorization is about the thing itself.
pub(super) fn outcome(status: StatusCode, error: &ErrorBody) -> Outcome {
    let issue = error.issue();
    if word(issue).is_empty() {
        return unknown("an error without a name, which is none of PayPal's", None);
    }
    if let Ok(index) = DECLINES.binary_search_by(|(name, _)| (*name).cmp(issue)) {
        return refused(DECLINES[index].1, error.sentence(), About::Charge);
    }
    if FREE_AGAIN.contains(&issue) {
        return refused(&issue.to_ascii_lowercase(), error.sentence(), About::Charge);
    }
    match status.as_u16() {
        401 | 403 => Outcome::Retryable { reason: format!("PayPal refuses the credential ({status})") },
        429 => Outcome::Retryable { reason: "PayPal asks for fewer requests".into() },
        // An earlier request of this very call, perhaps under a key that is forgotten, or one that runs beside this one.
        422 if DONE_BEFORE.contains(&issue) => unknown("PayPal knows this call already", None),
        400 | 404 | 422 => refused(&issue.to_ascii_lowercase(), error.sentence(), About::Request),
        _ => unknown(&format!("PayPal answered {status} ({})", cut(issue, CODE_CHARS_MAX)), None),
    }
}

/// The word for a code of a card's processor.
pub(super) fn processor_word(code: &str) -> &'static str {
    match code {
        "00N7" | "5110" => "incorrect_cvc",
        "0390" | "1300" | "1330" => "invalid_account",
        "0500" => "do_not_honor",
        "0580" | "5700" | "5150" => "transaction_not_allowed",
        "1382" | "5400" => "expired_card",
        "5120" => "insufficient_funds",
        "5130" => "incorrect_pin",
        "5180" | "5190" | "9520" => "stolen_card",
        "9500" | "9510" => "fraudulent",
        _ => "generic_decline",
    }
}

pub(super) fn refused(code: &str, message: &str, about: About) -> Outcome {
    Outcome::Declined { code: cut(code, CODE_CHARS_MAX), message: cut(message, MESSAGE_CHARS_MAX), about }
}

pub(super) fn unknown(reason: &str, reference: Option<String>) -> Outcome {
    Outcome::Unknown { reason: cut(reason, MESSAGE_CHARS_MAX), reference }
}

pub(super) fn word(text: &str) -> String {
    cut(text, CODE_CHARS_MAX)
}

fn cut(text: &str, chars_max: usize) -> String {
    text.chars().filter(|character| !character.is_control()).take(chars_max).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_without_a_name_says_nothing() {
        for name in ["", "\u{7f}"] {
            let error = ErrorBody { name: name.into(), message: None, details: Vec::new() };
            assert!(matches!(outcome(StatusCode::NOT_FOUND, &error), Outcome::Unknown { .. }), "{name:?}");
        }
    }

    #[test]
    fn the_list_of_declines_is_sorted_for_the_search() {
        assert!(DECLINES.is_sorted());
    }
}
