//! Counts and answers for tests.

use runtime_contract::{Counts, PodFigures};
use uuid::{Builder, Uuid};

/// So many that ended well and otherwise, and their times.
pub(super) fn counts(succeeded: u64, failed: u64, payment_us: &[(u64, u64)]) -> Counts {
    Counts { succeeded, failed, payment_us: payment_us.iter().copied().collect(), ..Counts::default() }
}

/// A process that started then; different for each number.
pub(super) fn process(started: i64, number: u8) -> Uuid {
    Builder::from_unix_timestamp_millis(started.unsigned_abs() * 1000, &[number; 10]).into_uuid()
}

/// What it says.
pub(super) fn answer(release: &str, process: Uuid, counts: Counts) -> PodFigures {
    PodFigures { release: release.to_owned(), process: process.to_string(), counts }
}
