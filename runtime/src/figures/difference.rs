//! Counts as sums and differences. ★ Pure.

use runtime_contract::{Counts, Times};

use super::scale::Scale;

/// What was counted between two answers of one process. None when a count is lower than before: it began anew, and nobody
/// knows what came in between.
#[must_use]
pub fn difference(now: &Counts, before: &Counts) -> Option<Counts> {
    Some(Counts {
        succeeded: now.succeeded.checked_sub(before.succeeded)?,
        failed: now.failed.checked_sub(before.failed)?,
        payment_us: times_between(&now.payment_us, &before.payment_us)?,
        fraud_us: times_between(&now.fraud_us, &before.fraud_us)?,
    })
}

fn times_between(now: &Times, before: &Times) -> Option<Times> {
    if before.keys().any(|us| !now.contains_key(us)) {
        return None;
    }
    let mut more = Times::new();
    for (us, count) in now {
        let new = count.checked_sub(before.get(us).copied().unwrap_or(0))?;
        if new > 0 {
            more.insert(*us, new);
        }
    }
    Some(more)
}

/// Counts these as well.
pub fn add(sum: &mut Counts, more: &Counts) {
    sum.succeeded = sum.succeeded.saturating_add(more.succeeded);
    sum.failed = sum.failed.saturating_add(more.failed);
    add_times(&mut sum.payment_us, &more.payment_us);
    add_times(&mut sum.fraud_us, &more.fraud_us);
}

fn add_times(sum: &mut Times, more: &Times) {
    for (us, count) in more {
        let cell = sum.entry(*us).or_default();
        *cell = cell.saturating_add(*count);
    }
}

/// The same on our own scale: what a pod says is its own affair, how much of it is kept is not.
#[must_use]
pub fn on_scale(counts: &Counts, scale: &Scale) -> Counts {
    let times = |foreign: &Times| {
        let mut ours = Times::new();
        for (us, count) in foreign {
            add_times(&mut ours, &Times::from([(scale.cell(*us), *count)]));
        }
        ours
    };
    Counts { payment_us: times(&counts.payment_us), fraud_us: times(&counts.fraud_us), ..*counts }
}

/// Payments in all.
#[must_use]
pub const fn payments(counts: &Counts) -> u64 {
    counts.succeeded.saturating_add(counts.failed)
}

/// How much room they take.
#[must_use]
pub fn cells(counts: &Counts) -> usize {
    counts.payment_us.len() + counts.fraud_us.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::fixtures::counts;

    #[test]
    fn what_is_between_and_what_was_before_are_what_is_now() {
        let (before, now) = (counts(3, 1, &[(10, 4)]), counts(5, 2, &[(10, 5), (20, 2)]));
        let between = difference(&now, &before).unwrap();
        assert_eq!(between, counts(2, 1, &[(10, 1), (20, 2)]));
        let mut sum = before;
        add(&mut sum, &between);
        assert_eq!(sum, now);
    }

    #[test]
    fn a_count_that_went_back_has_no_difference() {
        let before = counts(3, 1, &[(10, 3), (20, 1)]);
        let wrong = [
            counts(2, 9, &[(10, 9), (20, 9)]),
            counts(9, 0, &[(10, 9), (20, 9)]),
            counts(9, 9, &[(10, 2), (20, 9)]),
            counts(9, 9, &[(10, 9)]),
        ];
        for now in wrong {
            assert_eq!(difference(&now, &before), None, "{now:?}");
        }
        assert_eq!(difference(&before, &before), Some(Counts::default()));
    }

    #[test]
    fn sums_stay_at_what_a_number_can_hold() {
        let mut sum = counts(u64::MAX, 1, &[(10, u64::MAX)]);
        add(&mut sum, &counts(1, u64::MAX, &[(10, 1)]));
        assert_eq!(sum, counts(u64::MAX, u64::MAX, &[(10, u64::MAX)]));
        assert_eq!(payments(&sum), u64::MAX);
    }

    #[test]
    fn foreign_cells_become_ours_and_are_no_more_than_ours() {
        let scale = Scale::new().unwrap();
        let many = Counts { payment_us: (0..20_000).map(|n| (100_000 + n, 1)).collect(), ..Counts::default() };
        let ours = on_scale(&many, &scale);
        assert_eq!(ours.payment_us.values().sum::<u64>(), 20_000);
        assert!(cells(&ours) < 50, "{}", cells(&ours));
    }
}
