//! Which payments are whole: answered with their end, and told of by their event.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use hdrhistogram::Histogram;

/// Microseconds up to a minute.
const MICROSECONDS_MAX: u64 = 60_000_000;

#[derive(Debug, Default)]
struct Halves {
    answered: HashMap<u128, Instant>,
    told: HashMap<u128, Instant>,
    whole: HashSet<u128>,
}

/// Sees both ends of each payment.
#[derive(Debug)]
pub(super) struct Tracker {
    halves: Mutex<Halves>,
    /// From the answer to the event, in microseconds; 0 when the event came first.
    event_lag: Mutex<Histogram<u64>>,
}

/// What stands at a moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Count {
    /// Payments that are whole.
    pub(super) whole: u64,
    /// Answered payments whose event is not there yet.
    pub(super) without_event: u64,
}

impl Tracker {
    pub(super) fn new() -> Self {
        Self { halves: Mutex::default(), event_lag: Mutex::new(histogram()) }
    }

    pub(super) fn answered(&self, payment: u128) {
        let now = Instant::now();
        let mut halves = self.halves();
        if halves.told.remove(&payment).is_some() {
            halves.whole.insert(payment);
            drop(halves);
            self.lag(0);
        } else {
            halves.answered.insert(payment, now);
        }
    }

    /// Told again is told once.
    pub(super) fn told(&self, payment: u128) {
        let now = Instant::now();
        let mut halves = self.halves();
        if halves.whole.contains(&payment) {
            return;
        }
        if let Some(answered) = halves.answered.remove(&payment) {
            halves.whole.insert(payment);
            drop(halves);
            self.lag(u64::try_from(now.duration_since(answered).as_micros()).unwrap_or(MICROSECONDS_MAX));
        } else {
            halves.told.insert(payment, now);
        }
    }

    pub(super) fn count(&self) -> Count {
        let halves = self.halves();
        Count { whole: halves.whole.len() as u64, without_event: halves.answered.len() as u64 }
    }

    /// Time from answer to event so far, in milliseconds at this quantile.
    pub(super) fn event_lag_ms(&self, quantile: f64) -> f64 {
        let lag = self.event_lag.lock().unwrap_or_else(PoisonError::into_inner);
        millis(lag.value_at_quantile(quantile))
    }

    /// Forgets the times so far: what is measured next goes at another rate.
    pub(super) fn forget_lags(&self) {
        self.event_lag.lock().unwrap_or_else(PoisonError::into_inner).reset();
    }

    fn lag(&self, microseconds: u64) {
        let mut lag = self.event_lag.lock().unwrap_or_else(PoisonError::into_inner);
        lag.saturating_record(microseconds);
    }

    fn halves(&self) -> MutexGuard<'_, Halves> {
        self.halves.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Of microseconds.
pub(super) fn histogram() -> Histogram<u64> {
    // The bounds are constants that the crate accepts; without them it grows as needed.
    Histogram::new_with_bounds(1, MICROSECONDS_MAX, 3).unwrap_or_else(|_| unreachable!("constant bounds"))
}

/// Milliseconds with their decimals.
pub(super) fn millis(microseconds: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let value = microseconds as f64 / 1000.0;
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payment_is_whole_once_it_was_answered_and_told_of_in_either_order() {
        let tracker = Tracker::new();
        tracker.answered(1);
        assert_eq!((tracker.count().whole, tracker.count().without_event), (0, 1));
        tracker.told(1);
        tracker.told(2);
        tracker.told(1);
        tracker.answered(2);
        assert_eq!((tracker.count().whole, tracker.count().without_event), (2, 0));
    }
}
