//! Times of many events, and their quantiles.

use std::time::Duration;

use hdrhistogram::Histogram;

/// Microseconds up to a minute.
const MICROSECONDS_MAX: u64 = 60_000_000;

#[derive(Debug)]
pub(super) struct Times(Histogram<u64>);

impl Times {
    pub(super) fn new() -> Self {
        // The bounds are constants that the crate accepts; without them it grows as needed.
        Self(Histogram::new_with_bounds(1, MICROSECONDS_MAX, 3).unwrap_or_else(|_| unreachable!("constant bounds")))
    }

    pub(super) fn record(&mut self, time: Duration) {
        self.0.saturating_record(u64::try_from(time.as_micros()).unwrap_or(MICROSECONDS_MAX));
    }

    /// The time at this quantile, in milliseconds.
    pub(super) fn ms(&self, quantile: f64) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
        let microseconds = self.0.value_at_quantile(quantile) as f64;
        microseconds / 1000.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_in_milliseconds() {
        let mut times = Times::new();
        for ms in 1..=100 {
            times.record(Duration::from_millis(ms));
        }
        assert!((times.ms(0.5) - 50.0).abs() < 0.1, "{}", times.ms(0.5));
        assert!((times.ms(0.99) - 99.0).abs() < 0.1, "{}", times.ms(0.99));
    }
}
