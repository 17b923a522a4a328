//! What a canary may be worse by than the release before it, in figures of the same time. ★ Pure.
//!
//! An SLA says what is good enough for everybody; a canary that is much worse than what it is to replace is no good even within it.

use runtime_contract::{ReleaseFigures, Times};

use super::suspicion::count;
use super::tally;

/// Payments of the release before without which nothing is compared.
const PAYMENTS_MIN: u64 = 100;
/// A canary may be slower by a half than what 95 of 100 payments of the release before took, and by this.
const SLOWER_US: u64 = 20_000;
/// A canary may fail in one more of a hundred payments than the release before.
const FAILURES_MORE: f64 = 0.01;
/// The release before may be better than it looks by so many deviations.
const BENEFIT: f64 = 3.0;

/// What the release before sets as limits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Baseline {
    /// 95 of 100 payments of a canary are to be as quick as this.
    pub(super) p95_us: u64,
    /// Share of a canary's payments that may fail.
    pub(super) failures: f64,
}

/// Reads them off the release before; `None` when it has too few payments for that.
pub(super) fn baseline(before: &ReleaseFigures) -> Option<Baseline> {
    let payments = tally::payments(&before.slices);
    if payments < PAYMENTS_MIN {
        return None;
    }
    let failed: u64 = before.slices.iter().map(|slice| slice.counts.failed).sum();
    let share = count(failed) / count(payments);
    let deviation = (share * (1.0 - share) / count(payments)).sqrt();
    let p95_us = quantile(before.slices.iter().map(|slice| &slice.counts.payment_us), 95)?;
    Some(Baseline {
        p95_us: p95_us.saturating_add(p95_us / 2).saturating_add(SLOWER_US),
        failures: (share + BENEFIT * deviation + FAILURES_MORE).min(0.99),
    })
}

/// The time that `percent` of a hundred cases did not exceed. The counts come out of histograms already: nothing is estimated.
fn quantile<'a>(all: impl Iterator<Item = &'a Times>, percent: u64) -> Option<u64> {
    let mut sum = Times::new();
    for times in all {
        for (us, cases) in times {
            *sum.entry(*us).or_default() += cases;
        }
    }
    let cases: u64 = sum.values().sum();
    let mut left = (cases * percent).div_ceil(100);
    sum.into_iter().find_map(|(us, cases)| {
        let is_there = cases >= left;
        left = left.saturating_sub(cases);
        is_there.then_some(us)
    })
}

#[cfg(test)]
mod tests {
    use runtime_contract::{Counts, Slice};

    use super::*;

    fn figures(succeeded: u64, failed: u64, payment_us: Times) -> ReleaseFigures {
        let counts = Counts { succeeded, failed, payment_us, fraud_us: Times::new() };
        ReleaseFigures { slices: vec![Slice { second: 1, counts }], ..ReleaseFigures::default() }
    }

    #[test]
    fn the_release_before_sets_the_limit_with_some_room() {
        let before = figures(990, 10, Times::from([(10_000, 950), (40_000, 50)]));
        let found = baseline(&before).unwrap();
        assert_eq!(found.p95_us, 35_000);
        assert!(found.failures > 0.02 && found.failures < 0.04, "{found:?}");
        assert_eq!(baseline(&figures(99, 0, Times::from([(1, 99)]))), None);
    }

    #[test]
    fn quantiles_are_exact() {
        let one_to_hundred: Times = (1..=100).map(|us| (us, 1)).collect();
        assert_eq!(quantile([&one_to_hundred].into_iter(), 95), Some(95));
        assert_eq!(quantile([&one_to_hundred].into_iter(), 100), Some(100));
        assert_eq!(quantile([].into_iter(), 95), None);
    }
}
