//! How long to wait before the next try.

use std::time::Duration;

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);

/// Doubles with each try up to a minute. `jitter` from 0 to 1 takes away up to half of it, so that payments which
/// failed together do not come back together.
#[must_use]
pub fn delay(tries: u32, jitter: f64) -> Duration {
    let doublings = tries.saturating_sub(1).min(16);
    let full = FIRST.saturating_mul(1 << doublings).min(LONGEST);
    let jittered = full.mul_f64(1.0 - 0.5 * jitter.clamp(0.0, 1.0));
    // Whole milliseconds: an interval in PostgreSQL ends at microseconds.
    Duration::from_millis(u64::try_from(jittered.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delay_doubles_up_to_a_minute() {
        let seconds: Vec<u64> = (0..9).map(|tries| delay(tries, 0.0).as_secs()).collect();
        assert_eq!(seconds, [1, 1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(delay(u32::MAX, 0.0), LONGEST);
    }

    #[test]
    fn jitter_takes_away_at_most_half() {
        assert_eq!(delay(3, 1.0), Duration::from_secs(2));
        assert_eq!(delay(3, 7.0), Duration::from_secs(2));
        assert_eq!(delay(3, -1.0), Duration::from_secs(4));
    }
}
