//! Documents that the operator, or a person, writes.

use runtime::config;
use runtime_contract::{RuntimeConfig, Settings};

use super::Target;

/// The configuration of a role.
pub(super) const CONFIG: Target = Target {
    name: "config",
    feed: |input| {
        let Ok(text) = std::str::from_utf8(input) else { return "no text".to_owned() };
        match config::parse::<RuntimeConfig>(text) {
            Ok(document) => format!("read {:?}", config::check(&document).map_err(|error| error.to_string())),
            Err(message) => kind(&message),
        }
    },
    words: &[
        "owner:",
        "release:",
        "environment:",
        "fraud:",
        "deadlineMs:",
        "onDeadline:",
        "webhooks:",
        "&a ",
        "*a",
        "<<: ",
        "!!binary ",
        "|\n",
        "- ",
    ],
};

/// The live settings.
pub(super) const SETTINGS: Target = Target {
    name: "settings",
    feed: |input| {
        let Ok(text) = std::str::from_utf8(input) else { return "no text".to_owned() };
        match config::parse::<Settings>(text) {
            Ok(document) => format!("read {} {}", document.providers.len(), document.revision.signum()),
            Err(message) => kind(&message),
        }
    },
    words: &[
        "revision:",
        "cacheTtl:",
        "providers:",
        "limits:",
        "name: STRIPE",
        "priority:",
        "&a ",
        "*a",
        "<<: ",
        "!!int ",
        "- ",
        "{",
        "}",
    ],
};

/// The first words of a message, without what it repeats of the input.
fn kind(message: &str) -> String {
    message
        .split_whitespace()
        .take(3)
        .filter(|word| word.chars().all(char::is_alphabetic))
        .collect::<Vec<_>>()
        .join(" ")
}
