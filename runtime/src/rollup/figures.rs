//! The design's formulas. Pure; tested against values calculated by hand.

use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Serializer, V2Serializer};
use rust_decimal::{Decimal, RoundingStrategy};
use thiserror::Error;

/// Two-sided 95 %.
const Z: f64 = 1.959_963_984_540_054;
/// Figures are stored with two decimals.
const DECIMALS: u32 = 2;
/// Relative error of a percentile: one in a thousand.
const SIGNIFICANT_DIGITS: u8 = 3;

/// Why there are no figures.
#[derive(Debug, Error)]
pub enum FiguresError {
    /// The histogram could not be made or filled.
    #[error("the histogram of latencies: {0}")]
    Histogram(String),
}

/// Payments of the same minute, release, kind of ending and latency.
#[derive(Clone, Debug, PartialEq)]
pub struct Tally {
    /// How they ended.
    pub ending: Ending,
    /// How long each of them took; none for those that are not at their end.
    pub latency_ms: Option<i32>,
    /// How many they are.
    pub payments: u32,
    /// The sum of their amounts in major units.
    pub amount: Decimal,
}

/// How a payment ended, as far as figures care.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The money was taken.
    Success,
    /// It was not.
    Failed,
    /// It is not at its end.
    Pending,
    /// Given up by the merchant: counts for the total alone.
    Canceled,
}

/// The figures of one stretch of time.
#[derive(Clone, Debug, PartialEq)]
pub struct Figures {
    /// Payments that began in it.
    pub n_total: u32,
    /// Of these, those that succeeded.
    pub n_success: u32,
    /// Of these, those that failed.
    pub n_failed: u32,
    /// Of these, those not at their end.
    pub n_pending: u32,
    /// Payments per second.
    pub tps: Decimal,
    /// Mean of `t_end - t_start`.
    pub avg_latency_ms: Option<Decimal>,
    /// 95th percentile.
    pub p95_latency_ms: Option<i32>,
    /// 99th percentile.
    pub p99_latency_ms: Option<i32>,
    /// Percent.
    pub success_rate: Option<Decimal>,
    /// Sum of the successful amounts in major units.
    pub total_amount: Decimal,
    /// The latencies, mergeable: HdrHistogram's V2 encoding.
    pub latency_sketch: Vec<u8>,
}

/// The figures of a stretch of `seconds`.
///
/// # Errors
/// When latencies cannot be put into a histogram.
pub fn figures(tallies: &[Tally], seconds: u32) -> Result<Figures, FiguresError> {
    let count = |ending| tallies.iter().filter(|tally| tally.ending == ending).map(|tally| tally.payments).sum();
    let n_total: u32 = tallies.iter().map(|tally| tally.payments).sum();
    let n_success: u32 = count(Ending::Success);
    let latencies = histogram(tallies)?;
    let taken = tallies.iter().filter(|tally| tally.ending == Ending::Success);
    Ok(Figures {
        n_total,
        n_success,
        n_failed: count(Ending::Failed),
        n_pending: count(Ending::Pending),
        tps: calculate_tps(n_total, seconds),
        avg_latency_ms: calculate_average_latency(tallies),
        p95_latency_ms: percentile(&latencies, 0.95),
        p99_latency_ms: percentile(&latencies, 0.99),
        success_rate: calculate_success_rate(n_success, n_total).map(|rate| rate.percent),
        total_amount: taken.map(|tally| tally.amount).sum(),
        latency_sketch: encode(&latencies)?,
    })
}

/// TPS = N_total / t_elapsed, with two decimals.
#[must_use]
pub fn calculate_tps(n_total: u32, seconds: u32) -> Decimal {
    Decimal::from(n_total).checked_div(Decimal::from(seconds)).map_or(Decimal::ZERO, rounded)
}

/// Mean of the latencies of the payments that are at their end, weighted by how many they are.
#[must_use]
pub fn calculate_average_latency(tallies: &[Tally]) -> Option<Decimal> {
    let ended = tallies.iter().filter_map(|tally| tally.latency_ms.map(|latency_ms| (latency_ms, tally.payments)));
    let (sum, payments) = ended.fold((Decimal::ZERO, 0_u32), |(sum, payments), (latency_ms, more)| {
        (sum + Decimal::from(latency_ms) * Decimal::from(more), payments + more)
    });
    sum.checked_div(Decimal::from(payments)).map(rounded)
}

/// A rate in percent, and the interval that the true one lies in with 95 % confidence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SuccessRate {
    /// N_success / N_total × 100, with two decimals.
    pub percent: Decimal,
    /// Lower end of the interval, in percent.
    pub low: f64,
    /// Upper end of the interval, in percent.
    pub high: f64,
}

/// Success rate with Wilson's interval, which, unlike the textbook's, stays between 0 and 100 and holds for few
/// payments too. None without payments: no rate is not a bad rate.
#[must_use]
pub fn calculate_success_rate(n_success: u32, n_total: u32) -> Option<SuccessRate> {
    let percent = Decimal::from(n_success).checked_div(Decimal::from(n_total))? * Decimal::ONE_HUNDRED;
    let n = f64::from(n_total);
    let p = f64::from(n_success) / n;
    let z2 = Z * Z;
    let middle = p + z2 / (2.0 * n);
    let spread = Z * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt();
    let scale = 100.0 / (1.0 + z2 / n);
    let (low, high) = ((middle - spread) * scale, (middle + spread) * scale);
    Some(SuccessRate { percent: rounded(percent), low: low.max(0.0), high: high.min(100.0) })
}

/// The latency that this share of the payments did not exceed.
#[must_use]
pub fn percentile(latencies: &Histogram<u64>, share: f64) -> Option<i32> {
    if latencies.is_empty() {
        return None;
    }
    // The upper end of a cell: up to a thousandth above the latency itself.
    Some(i32::try_from(latencies.value_at_quantile(share)).unwrap_or(i32::MAX))
}

fn histogram(tallies: &[Tally]) -> Result<Histogram<u64>, FiguresError> {
    let wrong = |error: &dyn std::fmt::Display| FiguresError::Histogram(error.to_string());
    let mut histogram = Histogram::new(SIGNIFICANT_DIGITS).map_err(|error| wrong(&error))?;
    for tally in tallies {
        if let Some(latency_ms) = tally.latency_ms {
            let latency_ms = u64::from(latency_ms.max(0).unsigned_abs());
            histogram.record_n(latency_ms, u64::from(tally.payments)).map_err(|error| wrong(&error))?;
        }
    }
    Ok(histogram)
}

fn encode(histogram: &Histogram<u64>) -> Result<Vec<u8>, FiguresError> {
    let mut bytes = Vec::new();
    let written = V2Serializer::new().serialize(histogram, &mut bytes);
    written.map_err(|error| FiguresError::Histogram(error.to_string()))?;
    Ok(bytes)
}

fn rounded(figure: Decimal) -> Decimal {
    figure.round_dp_with_strategy(DECIMALS, RoundingStrategy::MidpointAwayFromZero)
}

#[cfg(test)]
mod tests {
    use hdrhistogram::serialization::Deserializer;

    use super::*;

    fn tally(ending: Ending, latency_ms: Option<i32>, payments: u32, amount: i64) -> Tally {
        Tally { ending, latency_ms, payments, amount: Decimal::new(amount, 2) }
    }

    fn close(actual: f64, expected: f64) -> bool {
        (actual - expected).abs() < 0.005
    }

    #[test]
    fn tps_is_the_total_over_the_seconds() {
        assert_eq!(calculate_tps(90, 60), Decimal::new(150, 2));
        assert_eq!(calculate_tps(100, 60), Decimal::new(167, 2));
        assert_eq!(calculate_tps(0, 60), Decimal::ZERO);
        assert_eq!(calculate_tps(5, 0), Decimal::ZERO);
    }

    #[test]
    fn the_success_rate_of_nine_in_ten_has_wilsons_interval() {
        let rate = calculate_success_rate(9, 10).unwrap();
        assert_eq!(rate.percent, Decimal::from(90));
        assert!(close(rate.low, 59.585) && close(rate.high, 98.212), "{rate:?}");
    }

    #[test]
    fn the_interval_stays_within_bounds_where_all_or_none_succeed() {
        let all = calculate_success_rate(20, 20).unwrap();
        assert!(close(all.low, 83.887) && close(all.high, 100.0), "{all:?}");
        let none = calculate_success_rate(0, 20).unwrap();
        assert!(close(none.low, 0.0) && close(none.high, 16.113), "{none:?}");
        assert_eq!(calculate_success_rate(0, 0), None);
    }

    #[test]
    fn a_minute_by_hand() {
        // 1..=100 ms once each: mean 50.5, p95 = 95, p99 = 99.
        let mut tallies: Vec<Tally> = (1..=100).map(|ms| tally(Ending::Success, Some(ms), 1, 1000)).collect();
        tallies.push(tally(Ending::Pending, None, 20, 999));
        let figures = figures(&tallies, 60).unwrap();
        assert_eq!((figures.n_total, figures.n_success, figures.n_failed, figures.n_pending), (120, 100, 0, 20));
        assert_eq!(figures.tps, Decimal::TWO);
        assert_eq!(figures.avg_latency_ms, Some(Decimal::new(505, 1)));
        assert_eq!((figures.p95_latency_ms, figures.p99_latency_ms), (Some(95), Some(99)));
        assert_eq!(figures.success_rate, Some(Decimal::new(8333, 2)));
        assert_eq!(figures.total_amount, Decimal::from(1000));
    }

    #[test]
    fn failed_payments_count_for_latency_but_not_for_the_amount() {
        let tallies = [tally(Ending::Success, Some(10), 3, 300), tally(Ending::Failed, Some(50), 1, 700)];
        let figures = figures(&tallies, 60).unwrap();
        assert_eq!((figures.n_failed, figures.total_amount), (1, Decimal::from(3)));
        assert_eq!(figures.avg_latency_ms, Some(Decimal::from(20)));
        assert_eq!(figures.p99_latency_ms, Some(50));
    }

    #[test]
    fn without_an_ended_payment_there_is_no_latency() {
        let figures = figures(&[tally(Ending::Pending, None, 2, 100)], 60).unwrap();
        assert_eq!((figures.avg_latency_ms, figures.p95_latency_ms, figures.p99_latency_ms), (None, None, None));
        assert_eq!(figures.success_rate, Some(Decimal::ZERO));
    }

    #[test]
    fn the_sketch_holds_the_latencies_for_a_later_merge() {
        let figures =
            figures(&[tally(Ending::Success, Some(7), 3, 1), tally(Ending::Failed, Some(9000), 1, 1)], 60).unwrap();
        let sketch: Histogram<u64> = Deserializer::new().deserialize(&mut figures.latency_sketch.as_slice()).unwrap();
        assert_eq!((sketch.len(), sketch.count_at(7)), (4, 3));
        assert!((8991..=9009).contains(&sketch.max()));
    }
}
