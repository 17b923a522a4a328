//! When a delivery is tried again, and when an endpoint that fails is left alone.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

/// For how long a delivery is tried.
pub const GIVE_UP_AFTER: TimeDelta = TimeDelta::days(3);
/// Waits after the first, second, … failure; the last one is for all that follow.
const WAITS_S: [u64; 7] = [5, 60, 300, 1_800, 7_200, 18_000, 36_000];
/// Up to this share is added, so that what failed together does not come back together.
const JITTER: f64 = 0.2;

/// So many failures in a row, and the endpoint rests.
const REST_AFTER: u32 = 8;
const REST_FIRST: Duration = Duration::from_secs(1);
const REST_LONGEST: Duration = Duration::from_secs(60);

/// What becomes of a delivery that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// It is tried again after this.
    After(Duration),
    /// Its time is over.
    GiveUp,
}

/// What becomes of a delivery made at `created_at` that has now failed for the `attempts`-th time. `chance` is from 0 to 1.
#[must_use]
pub fn next(attempts: u32, created_at: DateTime<Utc>, now: DateTime<Utc>, chance: f64) -> Next {
    let left = GIVE_UP_AFTER - (now - created_at);
    // A clock that was set back must not make it wait for longer than its whole time.
    let Ok(left) = left.min(GIVE_UP_AFTER).to_std() else { return Next::GiveUp };
    if left.is_zero() {
        return Next::GiveUp;
    }
    let place = (attempts.max(1) as usize - 1).min(WAITS_S.len() - 1);
    let wait = Duration::from_secs(WAITS_S[place]).mul_f64(1.0 + JITTER * chance.clamp(0.0, 1.0));
    // The last try is at the very end of its time.
    Next::After(wait.min(left))
}

/// For how long nothing is sent to an endpoint after so many failures in a row; none while it may just have hiccuped. One
/// try follows each rest, so a dead endpoint costs next to nothing, and one that is back is noticed within a minute.
#[must_use]
pub fn rest(failures: u32, chance: f64) -> Option<Duration> {
    let beyond = failures.checked_sub(REST_AFTER)?;
    let full = REST_FIRST.saturating_mul(1 << beyond.min(16)).min(REST_LONGEST);
    Some(full.mul_f64(1.0 - 0.5 * JITTER * chance.clamp(0.0, 1.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).unwrap()
    }

    #[test]
    fn the_waits_grow_to_hours() {
        let waits: Vec<Next> = (1..=8).map(|attempts| next(attempts, now(), now(), 0.0)).collect();
        let seconds = [5, 60, 300, 1_800, 7_200, 18_000, 36_000, 36_000].map(|s| Next::After(Duration::from_secs(s)));
        assert_eq!(waits, seconds);
    }

    #[test]
    fn jitter_adds_at_most_a_fifth() {
        assert_eq!(next(2, now(), now(), 1.0), Next::After(Duration::from_secs(72)));
        assert_eq!(next(2, now(), now(), 9.0), Next::After(Duration::from_secs(72)));
        assert_eq!(next(2, now(), now(), -9.0), Next::After(Duration::from_secs(60)));
    }

    #[test]
    fn after_three_days_it_is_given_up_and_the_last_try_is_at_their_end() {
        let created_at = now() - GIVE_UP_AFTER + TimeDelta::seconds(30);
        assert_eq!(next(9, created_at, now(), 0.5), Next::After(Duration::from_secs(30)));
        for late in [0, 1, 86_400] {
            assert_eq!(next(9, now() - GIVE_UP_AFTER - TimeDelta::seconds(late), now(), 0.5), Next::GiveUp);
        }
    }

    #[test]
    fn a_clock_that_was_set_back_gives_nothing_up() {
        let tomorrow = now() + TimeDelta::days(1);
        assert_eq!(next(1, tomorrow, now(), 0.0), Next::After(Duration::from_secs(5)));
    }

    #[test]
    fn whoever_tries_to_the_end_has_tried_for_three_days() {
        let (mut at, mut tries) = (now(), 0);
        while let Next::After(wait) = next(tries + 1, now(), at, 1.0) {
            at += wait;
            tries += 1;
        }
        assert_eq!(at - now(), GIVE_UP_AFTER);
        assert!((8..20).contains(&tries), "{tries}");
    }

    #[test]
    fn an_endpoint_rests_longer_the_longer_it_fails_but_never_beyond_a_minute() {
        let rests: Vec<Option<u64>> = (6..=16).map(|f| rest(f, 0.0).map(|rest| rest.as_secs())).collect();
        let seconds =
            [None, None, Some(1), Some(2), Some(4), Some(8), Some(16), Some(32), Some(60), Some(60), Some(60)];
        assert_eq!(rests, seconds);
        assert_eq!(rest(u32::MAX, 1.0), Some(Duration::from_secs(54)));
    }
}
