//! Slices of figures as the tests want them. ★ Pure.

use runtime_contract::{Slice, Times};

/// One second: cases, and bad ones among them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Second {
    pub(super) cases: u64,
    pub(super) bad: u64,
}

/// Payments, with those that took longer as the bad ones.
pub(super) fn payments_over(slices: &[Slice], limit_us: u64) -> Vec<Second> {
    slices.iter().map(|slice| over(&slice.counts.payment_us, limit_us)).collect()
}

/// Fraud checks, with those that took longer as the bad ones.
pub(super) fn fraud_over(slices: &[Slice], limit_us: u64) -> Vec<Second> {
    slices.iter().map(|slice| over(&slice.counts.fraud_us, limit_us)).collect()
}

/// Payments, with those that did not end well as the bad ones.
pub(super) fn failures(slices: &[Slice]) -> Vec<Second> {
    let of = |slice: &Slice| {
        let (succeeded, failed) = (slice.counts.succeeded, slice.counts.failed);
        Second { cases: succeeded.saturating_add(failed), bad: failed }
    };
    slices.iter().map(of).collect()
}

/// Payments of all slices.
pub(super) fn payments(slices: &[Slice]) -> u64 {
    slices.iter().map(|slice| slice.counts.succeeded.saturating_add(slice.counts.failed)).sum()
}

/// Payments, and their mean time in microseconds, of one slice; `None` without payments.
pub(super) fn mean_us(times: &Times) -> Option<(u64, f64)> {
    let cases: u64 = times.values().sum();
    let sum: f64 = times.iter().map(|(us, cases)| super::suspicion::count(*us) * super::suspicion::count(*cases)).sum();
    (cases > 0).then(|| (cases, sum / super::suspicion::count(cases)))
}

fn over(times: &Times, limit_us: u64) -> Second {
    let bad = times.range(limit_us.saturating_add(1)..).map(|(_, cases)| cases).sum();
    Second { cases: times.values().sum(), bad }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_just_as_long_as_it_may_is_not_bad() {
        let times = Times::from([(10_000, 3), (50_000, 2), (50_001, 1)]);
        assert_eq!(over(&times, 50_000), Second { cases: 6, bad: 1 });
        assert_eq!(mean_us(&Times::from([(1_000, 1), (4_000, 2)])), Some((3, 3_000.0)));
        assert_eq!(mean_us(&Times::new()), None);
    }
}
