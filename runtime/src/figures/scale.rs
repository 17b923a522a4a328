//! The cells that times are counted in: HdrHistogram's, of two significant digits, from a microsecond to an hour. ★ Pure.

use hdrhistogram::{CreationError, Histogram};
use runtime_contract::Times;

const SHORTEST_US: u64 = 1;
const LONGEST_US: u64 = 3_600_000_000;
/// Relative error of a time: less than a hundredth.
const SIGNIFICANT_DIGITS: u8 = 2;

/// The cells: an empty histogram, which is copied for each one that is filled.
#[derive(Clone)]
pub struct Scale(Histogram<u64>);

impl Scale {
    /// # Errors
    /// Never with these bounds, which a test sees to.
    pub fn new() -> Result<Self, CreationError> {
        Histogram::new_with_bounds(SHORTEST_US, LONGEST_US, SIGNIFICANT_DIGITS).map(Self)
    }

    /// The time that stands for its cell: the longest in it, so that nothing is said to be faster than it was. A check that
    /// missed its deadline is not within it.
    #[must_use]
    pub fn cell(&self, us: u64) -> u64 {
        self.0.highest_equivalent(within(us))
    }

    /// A histogram without anything in it.
    #[must_use]
    pub fn empty(&self) -> Histogram<u64> {
        self.0.clone()
    }

    /// A histogram of these.
    #[must_use]
    pub fn histogram(&self, times: &Times) -> Histogram<u64> {
        let mut histogram = self.empty();
        for (us, count) in times {
            histogram.saturating_record_n(within(*us), *count);
        }
        histogram
    }
}

/// Counts one.
pub(super) fn record(histogram: &mut Histogram<u64>, us: u64) {
    histogram.saturating_record(within(us));
}

/// What a histogram holds.
pub(super) fn times(histogram: &Histogram<u64>) -> Times {
    histogram.iter_recorded().map(|cell| (cell.value_iterated_to(), cell.count_at_value())).collect()
}

fn within(us: u64) -> u64 {
    us.clamp(SHORTEST_US, LONGEST_US)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_stands_for_times_up_to_a_hundredth_shorter() {
        let scale = Scale::new().unwrap();
        for us in [1_u64, 2, 255, 256, 257, 999, 50_000, 123_456, 7_654_321, 3_599_999_999] {
            let cell = scale.cell(us);
            assert!(cell >= us && cell - us <= us / 100, "{us} stands in {cell}");
            assert_eq!(scale.cell(cell), cell, "what was rounded stays as it is");
        }
    }

    #[test]
    fn times_beyond_the_scale_stand_at_its_ends() {
        let scale = Scale::new().unwrap();
        assert_eq!((scale.cell(0), scale.cell(u64::MAX)), (1, scale.cell(LONGEST_US)));
        let mut histogram = scale.empty();
        [0, u64::MAX].into_iter().for_each(|us| record(&mut histogram, us));
        assert_eq!(times(&histogram), Times::from([(1, 1), (scale.cell(LONGEST_US), 1)]));
    }

    #[test]
    fn a_histogram_is_told_and_filled_without_loss() {
        let scale = Scale::new().unwrap();
        let mut histogram = scale.empty();
        (1..=5_000).for_each(|n| record(&mut histogram, n * 97));
        let told = times(&histogram);
        assert_eq!(times(&scale.histogram(&told)), told);
        assert!(told.keys().all(|us| scale.cell(*us) == *us));
    }
}
