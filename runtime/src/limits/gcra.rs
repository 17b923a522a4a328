//! The generic cell rate algorithm: a steady rate with a burst, remembered as one time.

use std::time::Duration;

/// How much may come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// Requests per second that are always taken.
    pub per_second: f64,
    /// Requests that may come at once, above the steady rate.
    pub burst: f64,
}

impl Rate {
    /// At least one request per second, and one at once.
    #[must_use]
    pub fn new(per_second: u32, burst: u32) -> Self {
        Self { per_second: f64::from(per_second.max(1)), burst: f64::from(burst.max(1)) }
    }

    /// The share of one among so many, of which each can take at least one request at a time.
    #[must_use]
    pub fn shared(self, among: u32) -> Self {
        let among = f64::from(among.max(1));
        Self { per_second: self.per_second / among, burst: (self.burst / among).max(1.0) }
    }

    /// Seconds in which one request's worth comes back.
    #[must_use]
    pub fn interval_s(self) -> f64 {
        1.0 / self.per_second
    }
}

/// What one merchant has used: the time at which all of it will have come back.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Gcra {
    restored_s: f64,
}

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Found {
    /// Whether there was room.
    pub taken: bool,
    /// For how many more there is room now.
    pub remaining: u32,
    /// When there will be room for one.
    pub retry_after: Duration,
    /// When there will be room for a whole burst.
    pub reset_after: Duration,
}

impl Gcra {
    /// Takes one, if there is room. `now_s` counts seconds from any beginning.
    pub fn take(&mut self, rate: Rate, now_s: f64) -> Found {
        let interval = rate.interval_s();
        let whole = rate.burst * interval;
        let restored = self.restored_s.max(now_s);
        // A rate that was lowered does not make anyone wait longer than its own burst lasts.
        let restored = restored.min(now_s + whole);
        let after = restored + interval;
        // As long as a rounding error would be, a request is early.
        let taken = after <= now_s + whole + 1e-9;
        self.restored_s = if taken { after } else { restored };
        let room = ((now_s + whole - self.restored_s) / interval + 1e-6).max(0.0);
        Found {
            taken,
            // Far below what a float can count exactly.
            remaining: room as u32,
            retry_after: seconds(after - now_s - whole),
            reset_after: seconds(self.restored_s - now_s),
        }
    }
}

fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(gcra: &mut Gcra, rate: Rate, now_s: f64, tries: u32) -> u32 {
        (0..tries).map(|_| u32::from(gcra.take(rate, now_s).taken)).sum()
    }

    #[test]
    fn a_burst_is_taken_at_once_and_comes_back_at_the_rate() {
        let (mut gcra, rate) = (Gcra::default(), Rate::new(10, 5));
        assert_eq!(taken(&mut gcra, rate, 100.0, 20), 5);
        assert_eq!(taken(&mut gcra, rate, 100.1, 20), 1);
        assert_eq!(taken(&mut gcra, rate, 100.4, 20), 3);
        assert_eq!(taken(&mut gcra, rate, 1000.0, 20), 5, "no more than a burst is saved up");
    }

    #[test]
    fn over_time_the_rate_is_kept_however_hard_one_tries() {
        let (mut gcra, rate) = (Gcra::default(), Rate::new(100, 20));
        let sum: u32 = (0..10_000).map(|ms| taken(&mut gcra, rate, f64::from(ms) / 1000.0, 3)).sum();
        assert!((1010..=1020).contains(&sum), "{sum} in ten seconds");
    }

    #[test]
    fn who_is_refused_is_told_when_there_will_be_room() {
        let (mut gcra, rate) = (Gcra::default(), Rate::new(2, 1));
        let first = gcra.take(rate, 10.0);
        assert_eq!((first.taken, first.remaining, first.reset_after), (true, 0, Duration::from_millis(500)));
        let found = gcra.take(rate, 10.2);
        assert!(!found.taken && (found.retry_after.as_secs_f64() - 0.3).abs() < 1e-6, "{found:?}");
        assert!(gcra.take(rate, 10.2 + found.retry_after.as_secs_f64()).taken);
    }

    #[test]
    fn a_share_of_little_is_still_something() {
        let share = Rate::new(4, 2).shared(4);
        assert_eq!((share.per_second, share.burst), (1.0, 1.0));
        assert!(Gcra::default().take(share, 0.0).taken);
    }

    #[test]
    fn a_clock_that_steps_back_makes_nobody_wait_longer_than_a_burst_lasts() {
        let (mut gcra, rate) = (Gcra::default(), Rate::new(10, 5));
        taken(&mut gcra, rate, 1000.0, 5);
        assert!(gcra.take(rate, 10.0).retry_after <= Duration::from_millis(100));
    }
}
