//! Which payments are whole: answered with their end, and told of by their event.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::times::Times;

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
    /// From the answer to the event; 0 when the event came first.
    event_lag: Mutex<Times>,
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
        Self { halves: Mutex::default(), event_lag: Mutex::new(Times::new()) }
    }

    pub(super) fn answered(&self, payment: u128) {
        let now = Instant::now();
        let mut halves = self.halves();
        if halves.told.remove(&payment).is_some() {
            halves.whole.insert(payment);
            drop(halves);
            self.lag(Duration::ZERO);
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
            self.lag(now.duration_since(answered));
        } else {
            halves.told.insert(payment, now);
        }
    }

    pub(super) fn count(&self) -> Count {
        let halves = self.halves();
        Count { whole: halves.whole.len() as u64, without_event: halves.answered.len() as u64 }
    }

    /// Times from answer to event since the last call.
    pub(super) fn take_lags(&self) -> Times {
        std::mem::replace(&mut *self.lags(), Times::new())
    }

    fn lag(&self, lag: Duration) {
        self.lags().record(lag);
    }

    fn lags(&self) -> MutexGuard<'_, Times> {
        self.event_lag.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn halves(&self) -> MutexGuard<'_, Halves> {
        self.halves.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
