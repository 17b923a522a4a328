//! Counts as figures for people. ★ Pure.

use runtime_contract::{Counts, Summary};

use super::difference::payments;
use super::scale::Scale;

/// The figures of what was counted within so many seconds. Quantiles are up to a hundredth too high.
#[must_use]
pub fn summary(counts: &Counts, observed_s: u64, scale: &Scale) -> Summary {
    let (times, checks) = (scale.histogram(&counts.payment_us), scale.histogram(&counts.fraud_us));
    let payments = payments(counts);
    let some = |ms: f64| (!times.is_empty()).then_some(ms);
    let quantile = |share| float(times.value_at_quantile(share)) / 1000.0;
    Summary {
        payments,
        tps: if observed_s == 0 { 0.0 } else { float(payments) / float(observed_s) },
        average_ms: some(times.mean() / 1000.0),
        p95_ms: some(quantile(0.95)),
        p99_ms: some(quantile(0.99)),
        success_rate: (payments > 0).then(|| 100.0 * float(counts.succeeded) / float(payments)),
        fraud_checks: checks.len(),
        fraud_p99_ms: (!checks.is_empty()).then(|| float(checks.value_at_quantile(0.99)) / 1000.0),
    }
}

/// Far below what a float can count exactly, unless a pod lies.
#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::fixtures::counts;

    fn scale() -> Scale {
        Scale::new().unwrap()
    }

    #[test]
    fn without_payments_there_are_no_times_and_no_rate() {
        let empty = summary(&Counts::default(), 60, &scale());
        assert_eq!(empty, Summary::default());
        assert_eq!(summary(&Counts::default(), 0, &scale()), Summary::default());
    }

    #[test]
    fn a_second_by_hand() {
        let mut counted = counts(3, 1, &[(10_000, 3), (50_000, 1)]);
        counted.fraud_us = [(4_000, 5)].into();
        let figures = summary(&counted, 2, &scale());
        let close = |figure: Option<f64>, exact: f64| figure.is_some_and(|ms| (ms / exact - 1.0).abs() < 0.01);
        assert_eq!((figures.payments, figures.tps, figures.fraud_checks), (4, 2.0, 5));
        assert_eq!(figures.success_rate, Some(75.0));
        assert!(close(figures.average_ms, 20.0) && close(figures.p95_ms, 50.0) && close(figures.p99_ms, 50.0));
        assert!(close(figures.fraud_p99_ms, 4.0), "{figures:?}");
    }

    /// Times as they are: many around ten milliseconds, a long tail, whatever the second digit is.
    #[test]
    fn quantiles_are_within_two_hundredths_of_exact_ones() {
        let scale = scale();
        for seed in 1..=20_u64 {
            let mut state = seed;
            let mut times: Vec<u64> = (0..10_000)
                .map(|_| {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    let chance = float(state >> 40) / float(1 << 24);
                    (8_000.0 * (0.2 / (1.0 - chance * 0.999)).powf(0.7) * float(seed)) as u64 + 1
                })
                .collect();
            let mut counted = Counts { succeeded: 10_000, ..Counts::default() };
            times.iter().for_each(|us| *counted.payment_us.entry(scale.cell(*us)).or_default() += 1);
            times.sort_unstable();
            let figures = summary(&counted, 60, &scale);
            let mean = float(times.iter().sum::<u64>()) / 10_000.0;
            for (told, exact) in [
                (figures.p95_ms, float(times[9_499])),
                (figures.p99_ms, float(times[9_899])),
                (figures.average_ms, mean),
            ] {
                let ratio = told.unwrap() * 1000.0 / exact;
                assert!((0.98..=1.02).contains(&ratio), "{told:?} ms for {exact} us, seed {seed}");
            }
        }
    }
}
