//! Changes inputs at random, and keeps those that a target has something new to say of.

use std::collections::HashSet;
use std::panic::{self, AssertUnwindSafe};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng as _, RngExt as _, SeedableRng as _};

use crate::targets::Target;

/// Longer inputs make it slow, and are refused by length before they are parsed.
const INPUT_MAX: usize = 16 * 1024;
/// Inputs that are kept; more would be near copies.
const KEPT_MAX: usize = 4096;
/// Changes of one input before it is tried.
const CHANGES_MAX: usize = 6;
/// Bytes that mean something to most parsers.
const TELLING: &[u8] = b"\0\"\\{}[],:.-+eE019 \n\r\t=&;%/\x7f\x80\xff";
/// Texts that do.
const WORDS: &[&str] = &[
    "null",
    "true",
    "false",
    "{}",
    "[]",
    "\"\"",
    "-1",
    "0",
    "1e999",
    "9223372036854775807",
    "-9223372036854775808",
    "99999999999999999999999",
    "0.1",
    "\\u0000",
    "\\ud800",
    "4242424242424242",
    "\u{202e}",
    "\u{fdfa}",
];

/// What a run came to.
#[derive(Clone, Copy, Debug)]
pub struct Report {
    /// Inputs that were tried.
    pub runs: u64,
    /// Different things that the target said.
    pub answers: usize,
}

/// An input under which a target broke.
#[derive(Debug)]
pub struct Failure {
    /// The bytes.
    pub input: Vec<u8>,
    /// What the panic said.
    pub message: String,
}

/// Feeds a target for a while, beginning with `corpus`.
///
/// # Errors
/// The first input under which it broke.
pub fn run(target: &Target, corpus: Vec<Vec<u8>>, seed: u64, time: Duration) -> Result<Report, Failure> {
    let begin = Instant::now();
    let mut chance = StdRng::seed_from_u64(seed);
    let mut said = HashSet::new();
    let mut kept = vec![Vec::new()];
    let mut runs = 0;
    for input in corpus {
        said.insert(feed(target, &input)?);
        kept.push(input);
        runs += 1;
    }
    while begin.elapsed() < time {
        let input = change(&kept, target, &mut chance);
        runs += 1;
        if said.insert(feed(target, &input)?) && kept.len() < KEPT_MAX {
            kept.push(input);
        }
    }
    Ok(Report { runs, answers: said.len() })
}

fn feed(target: &Target, input: &[u8]) -> Result<String, Failure> {
    panic::catch_unwind(AssertUnwindSafe(|| (target.feed)(input))).map_err(|cause| {
        let message = cause.downcast_ref::<String>().cloned();
        let message = message.or_else(|| cause.downcast_ref::<&str>().map(ToString::to_string));
        Failure { input: input.to_vec(), message: message.unwrap_or_default() }
    })
}

fn change(kept: &[Vec<u8>], target: &Target, chance: &mut StdRng) -> Vec<u8> {
    // The newest ones are the most promising.
    let near_end = chance.random_bool(0.5);
    let from = if near_end { kept.len().saturating_sub(32) } else { 0 };
    let mut input = kept[chance.random_range(from..kept.len())].clone();
    for _ in 0..chance.random_range(1..=CHANGES_MAX) {
        change_once(&mut input, kept, target, chance);
    }
    input.truncate(INPUT_MAX);
    input
}

fn change_once(input: &mut Vec<u8>, kept: &[Vec<u8>], target: &Target, chance: &mut StdRng) {
    let at = chance.random_range(0..=input.len());
    let end = chance.random_range(at..=input.len()).min(at + 64);
    match chance.random_range(0..10) {
        0 => input.truncate(at),
        1 => drop(input.drain(at..end)),
        2 => {
            let part = input[at..end].to_vec();
            input.splice(at..at, part);
        }
        3 => {
            let word = WORDS[chance.random_range(0..WORDS.len())];
            input.splice(at..end, word.bytes());
        }
        4 if !target.words.is_empty() => {
            let word = target.words[chance.random_range(0..target.words.len())];
            input.splice(at..end, word.bytes());
        }
        5 => {
            let other = &kept[chance.random_range(0..kept.len())];
            let from = chance.random_range(0..=other.len());
            input.splice(at.., other[from..].iter().copied());
        }
        6 => input.insert(at, TELLING[chance.random_range(0..TELLING.len())]),
        7 if at < input.len() => input[at] = TELLING[chance.random_range(0..TELLING.len())],
        8 if at < input.len() => input[at] ^= 1 << chance.random_range(0..8),
        _ if at < input.len() => input[at] = chance.next_u32().to_le_bytes()[0],
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaks_on_a_word(input: &[u8]) -> String {
        assert!(!input.windows(4).any(|part| part == b"null"), "null was understood");
        input.len().to_string()
    }

    #[test]
    fn what_breaks_a_target_is_found_and_handed_back() {
        let target = Target { name: "example", feed: breaks_on_a_word, words: &[] };
        let failure = run(&target, vec![b"[1]".to_vec()], 1, Duration::from_secs(20)).unwrap_err();
        assert!(failure.input.windows(4).any(|part| part == b"null") && failure.message == "null was understood");
    }

    #[test]
    fn the_same_seed_makes_the_same_inputs() {
        let target = Target { name: "example", feed: |input| format!("{input:?}"), words: &["word"] };
        let make = || {
            let mut chance = StdRng::seed_from_u64(7);
            (0..50).map(|_| change(&[b"{\"a\":1}".to_vec()], &target, &mut chance)).collect::<Vec<_>>()
        };
        assert_eq!(make(), make());
    }
}
