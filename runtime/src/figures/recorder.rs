//! What this process has counted since it started.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::TimeDelta;
use hdrhistogram::{CreationError, Histogram};
use runtime_contract::{Counts, PodFigures};
use uuid::Uuid;

use super::scale::{self, Scale};
use crate::payments::Status;

/// Counts payments and fraud checks. One short lock for each.
pub struct Recorder {
    release: String,
    process: Uuid,
    scale: Scale,
    counted: Mutex<Counted>,
}

struct Counted {
    succeeded: u64,
    failed: u64,
    payments: Histogram<u64>,
    fraud_checks: Histogram<u64>,
}

impl Recorder {
    /// One that has counted nothing.
    ///
    /// # Errors
    /// As [`Scale::new`].
    pub fn new(release: &str) -> Result<Self, CreationError> {
        let scale = Scale::new()?;
        let (payments, fraud_checks) = (scale.empty(), scale.empty());
        let counted = Mutex::new(Counted { succeeded: 0, failed: 0, payments, fraud_checks });
        // It carries the time of the start, which the collector goes by.
        Ok(Self { release: release.to_owned(), process: Uuid::now_v7(), scale, counted })
    }

    /// A payment came to its end, so long after it was asked for, and that is committed: the commit is part of what its merchant
    /// waits for. To be called by whoever ended it, once: one whose commit was not confirmed is ended by somebody else, or was
    /// ended without being counted; none counts twice.
    pub fn payment(&self, status: Status, took: TimeDelta) {
        let Some(succeeded) = ended_well(status) else { return };
        // A clock that stepped back gives no time, never a negative one.
        let us = took.num_microseconds().and_then(|us| u64::try_from(us).ok()).unwrap_or(0);
        let mut counted = self.counted();
        if succeeded {
            counted.succeeded += 1;
        } else {
            counted.failed += 1;
        }
        scale::record(&mut counted.payments, us);
    }

    /// A fraud check has ended for the one who asked, with a verdict or without.
    pub fn fraud_check(&self, took: Duration) {
        scale::record(&mut self.counted().fraud_checks, u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    }

    /// All of it.
    #[must_use]
    pub fn figures(&self) -> PodFigures {
        let counted = self.counted();
        let counts = Counts {
            succeeded: counted.succeeded,
            failed: counted.failed,
            payment_us: scale::times(&counted.payments),
            fraud_us: scale::times(&counted.fraud_checks),
        };
        drop(counted);
        PodFigures { release: self.release.clone(), process: self.process.to_string(), counts }
    }

    /// The cells it counts in.
    #[must_use]
    pub const fn scale(&self) -> &Scale {
        &self.scale
    }

    fn counted(&self) -> MutexGuard<'_, Counted> {
        // Nothing panics while it is held, and a count more or less would not matter.
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a payment with this status ended well for its merchant, as the roll-up sees it too; none where it has not ended.
/// A held amount is a success: the provider agreed, and whether and when it is taken is the merchant's affair, as is what goes
/// back later. A merchant who gives a payment up says nothing of the platform: that is neither.
const fn ended_well(status: Status) -> Option<bool> {
    match status {
        Status::Authorized | Status::Success | Status::PartiallyRefunded | Status::Refunded => Some(true),
        Status::Failed => Some(false),
        Status::Pending | Status::Processing | Status::InReview | Status::Canceled => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_count_by_what_they_are_for_the_merchant() {
        let recorder = Recorder::new("0.1.0").unwrap();
        for status in Status::ALL {
            recorder.payment(status, TimeDelta::milliseconds(20));
        }
        let told = recorder.figures();
        assert_eq!((told.release.as_str(), told.counts.succeeded, told.counts.failed), ("0.1.0", 4, 1));
        assert_eq!(told.counts.payment_us.values().sum::<u64>(), 5);
        assert!(told.counts.payment_us.keys().all(|us| (20_000..=20_200).contains(us)), "{told:?}");
    }

    #[test]
    fn a_clock_that_stepped_back_counts_as_no_time() {
        let recorder = Recorder::new("0.1.0").unwrap();
        recorder.payment(Status::Success, TimeDelta::seconds(-5));
        assert_eq!(recorder.figures().counts.payment_us.into_iter().collect::<Vec<_>>(), [(1, 1)]);
    }

    #[test]
    fn a_missed_deadline_is_not_told_as_one_that_was_kept() {
        let recorder = Recorder::new("0.1.0").unwrap();
        recorder.fraud_check(Duration::from_millis(50));
        let told = recorder.figures().counts.fraud_us;
        assert!(told.keys().all(|us| (50_000..=50_500).contains(us)) && told.len() == 1, "{told:?}");
    }

    #[test]
    fn each_start_is_another_process() {
        let (one, other) = (Recorder::new("0.1.0").unwrap(), Recorder::new("0.1.0").unwrap());
        assert_ne!(one.figures().process, other.figures().process);
    }
}
