//! Up to when this process has heard of every change.
//!
//! Words come in the order of their commits. Whoever says one, and hears it come back, has heard of every change before it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use uuid::Uuid;

/// What is wrong in this process, because the word of a change was lost, is wrong for so long at most.
pub const WRONG_MAX: Duration = Duration::from_secs(5);
/// For so long after it was asked for, a process goes on proving that it hears.
const WANTED_FOR: Duration = Duration::from_secs(60);
/// Begins the word that comes back. Not the name of anything that changes.
const NOUN: &str = "heard";

/// What this process has heard of. Copies of it are one.
#[derive(Clone)]
pub struct Heard(Arc<State>);

struct State {
    process: Uuid,
    /// Times are milliseconds since then; zero is never.
    begin: Instant,
    /// Every change that was committed before then was heard of.
    until_ms: AtomicU64,
    wanted_ms: AtomicU64,
}

impl Default for Heard {
    fn default() -> Self {
        let (process, begin) = (Uuid::now_v7(), Instant::now());
        Self(Arc::new(State { process, begin, until_ms: AtomicU64::default(), wanted_ms: AtomicU64::default() }))
    }
}

impl Heard {
    /// Whether all is known that was changed, but for the last moments.
    #[must_use]
    pub fn is_current(&self, now: Instant) -> bool {
        self.0.wanted_ms.store(self.ms(now), Ordering::Relaxed);
        self.is_within(&self.0.until_ms, WRONG_MAX, now)
    }

    /// Whether anybody asked lately.
    #[must_use]
    pub fn is_wanted(&self, now: Instant) -> bool {
        self.is_within(&self.0.wanted_ms, WANTED_FOR, now)
    }

    /// The word that is to come back.
    #[must_use]
    pub fn word(&self, now: Instant) -> String {
        format!("{NOUN}:{}:{}", self.0.process, self.ms(now))
    }

    /// A word was heard: whether it is one of these, of whichever process.
    #[must_use]
    pub fn hear(&self, word: &str) -> bool {
        let Some((NOUN, said)) = word.split_once(':') else { return false };
        if let Some((process, until_ms)) = said.split_once(':')
            && process.parse() == Ok(self.0.process)
            && let Ok(until_ms) = until_ms.parse()
        {
            self.0.until_ms.fetch_max(until_ms, Ordering::AcqRel);
        }
        true
    }

    fn is_within(&self, since_ms: &AtomicU64, time: Duration, now: Instant) -> bool {
        let since_ms = since_ms.load(Ordering::Acquire);
        since_ms > 0 && now < self.0.begin + Duration::from_millis(since_ms) + time
    }

    fn ms(&self, now: Instant) -> u64 {
        u64::try_from(now.duration_since(self.0.begin).as_millis()).unwrap_or(u64::MAX).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_came_back_is_good_for_a_while_from_when_it_was_said() {
        let heard = Heard::default();
        let second = |n| heard.0.begin + Duration::from_secs(n);
        assert!(!heard.is_current(second(0)), "nothing is known at first");
        let word = heard.word(second(10));
        assert!(!heard.is_current(second(10)), "what was said is not heard yet");
        assert!(heard.hear(&word));
        assert!(heard.is_current(second(14)) && !heard.is_current(second(15)));
    }

    #[test]
    fn words_of_others_and_old_words_say_nothing_new() {
        let (heard, other) = (Heard::default(), Heard::default());
        let now = heard.0.begin + Duration::from_secs(10);
        assert!(heard.hear(&other.word(now)), "it is one of these");
        assert!(!heard.is_current(now));
        assert!(!heard.hear("user:0199f2a4-c6d8-7b1e-8f3a-5b7c9d1e2f3a") && !heard.hear("heard") && !heard.hear(""));
        let (early, late) = (heard.word(now), heard.word(now + Duration::from_secs(3)));
        assert!(heard.hear(&late) && heard.hear(&early));
        assert!(heard.is_current(now + Duration::from_secs(7)));
    }

    #[test]
    fn only_who_was_asked_lately_has_to_say_anything() {
        let heard = Heard::default();
        let second = |n| heard.0.begin + Duration::from_secs(n);
        assert!(!heard.is_wanted(second(0)));
        assert!(!heard.is_current(second(0)));
        assert!(heard.is_wanted(second(59)) && !heard.is_wanted(second(61)));
    }
}
