//! What a canary may be worse by than the release before it, in figures of the same time. ★ Pure.
//!
//! An SLA says what is good enough for everybody; a canary that is much worse than what it is to replace is no good even within it.

use runtime_contract::{ReleaseFigures, Times};

use super::suspicion::count;
use super::tally;

/// Payments of the release before without which its tail and its failures are not known.
const PAYMENTS_MIN: u64 = 100;
/// Payments of it without which nothing is compared.
const FEW_MIN: u64 = 30;
/// A canary may be slower by a half than what so many of 100 payments of the release before took, and by this.
const SLOWER_US: u64 = 20_000;
/// A canary may fail in one more of a hundred payments than the release before.
const FAILURES_MORE: f64 = 0.01;
/// The release before may be better than it looks by so many deviations.
const BENEFIT: f64 = 3.0;

/// What the release before sets as limits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Baseline {
    /// What takes more payments than there may be.
    pub(super) of_many: Option<OfMany>,
    /// 75 of 100 payments of a canary are to be as quick as this: tells of a canary that is slower throughout.
    pub(super) p75_us: u64,
}

/// Limits that a hundred payments set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct OfMany {
    /// 95 of 100 payments of a canary are to be as quick as this.
    pub(super) p95_us: u64,
    /// Share of a canary's payments that may fail.
    pub(super) failures: f64,
}

/// Reads them off the release before; `None` when it has too few payments for that.
pub(super) fn baseline(before: &ReleaseFigures) -> Option<Baseline> {
    let payments = tally::payments(&before.slices);
    let times = || before.slices.iter().map(|slice| &slice.counts.payment_us);
    if payments < FEW_MIN {
        return None;
    }
    // Of a few payments, those that are slow by bad luck decide: the limit is where 75 of 100 may be at most.
    let p75_us = with_room(quantile(times(), 0.75 + BENEFIT * deviation(0.75, payments))?);
    let of_many = || {
        let failed: u64 = before.slices.iter().map(|slice| slice.counts.failed).sum();
        let share = count(failed) / count(payments);
        Some(OfMany {
            p95_us: with_room(quantile(times(), 0.95)?),
            failures: (share + BENEFIT * deviation(share, payments) + FAILURES_MORE).min(0.99),
        })
    };
    Some(Baseline { of_many: (payments >= PAYMENTS_MIN).then(of_many).flatten(), p75_us })
}

/// How far a share of so many cases is from the true one, as bad luck has it.
fn deviation(share: f64, cases: u64) -> f64 {
    (share * (1.0 - share) / count(cases)).sqrt()
}

const fn with_room(us: u64) -> u64 {
    us.saturating_add(us / 2).saturating_add(SLOWER_US)
}

/// The time that this share of the cases did not exceed. The counts come out of histograms already: nothing is estimated.
fn quantile<'a>(all: impl Iterator<Item = &'a Times>, share: f64) -> Option<u64> {
    let mut sum = Times::new();
    for times in all {
        for (us, cases) in times {
            *sum.entry(*us).or_default() += cases;
        }
    }
    let wanted = count(sum.values().sum()) * share.min(1.0);
    let mut so_far = 0;
    sum.into_iter().find_map(|(us, cases)| {
        so_far += cases;
        // What a float rounds is far below one case.
        (count(so_far) + 1e-6 >= wanted).then_some(us)
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
        let Baseline { of_many: Some(found), p75_us } = baseline(&before).unwrap() else { panic!("there are many") };
        assert_eq!((found.p95_us, p75_us), (35_000, 35_000));
        assert!(found.failures > 0.02 && found.failures < 0.04, "{found:?}");
    }

    #[test]
    fn few_payments_set_the_limit_of_what_is_slower_throughout_and_fewer_none() {
        let of =
            |quick: u64, slow: u64| baseline(&figures(quick + slow, 0, Times::from([(10_000, quick), (40_000, slow)])));
        assert_eq!(of(99, 0), Some(Baseline { of_many: None, p75_us: 35_000 }));
        // Thirty may be thirty lucky ones: the slowest of them sets the limit.
        assert_eq!(of(29, 1), Some(Baseline { of_many: None, p75_us: 80_000 }));
        assert_eq!(of(29, 0), None);
    }

    #[test]
    fn quantiles_are_exact() {
        let one_to_hundred: Times = (1..=100).map(|us| (us, 1)).collect();
        for (share, us) in [(0.95, 95), (0.75, 75), (0.951, 96), (1.0, 100), (1.2, 100)] {
            assert_eq!(quantile([&one_to_hundred].into_iter(), share), Some(us), "{share}");
        }
        assert_eq!(quantile([].into_iter(), 0.95), None);
    }
}
