//! The time in which this replica may write: as long as it holds the lease, by its own clock.
//!
//! A replica that was stopped for a while, with its whole machine perhaps, goes on in the midst of a pass. Before it writes, it looks at
//! two clocks: whoever holds the lease by now must not find its work undone. What is on its way already when the machine stops can
//! still come late; a migration that does has a number that the database refuses.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

/// A time by two clocks: one that nobody sets, and that stands still while its machine is suspended, and one that goes on
/// meanwhile, and may be set. A clock that is set costs no more than a renewal.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// By the clock that nobody sets.
    pub steady: Instant,
    wall: SystemTime,
}

impl Moment {
    /// The time.
    #[must_use]
    pub fn now() -> Self {
        Self { steady: Instant::now(), wall: SystemTime::now() }
    }

    /// Whether less than this has passed since, by both clocks. One that was set back says nothing, and is not believed.
    fn is_within(self, lasts: Duration, since: Self) -> bool {
        let by_wall = self.wall.duration_since(since.wall);
        self.steady.saturating_duration_since(since.steady) < lasts && by_wall.is_ok_and(|passed| passed < lasts)
    }
}

/// When this replica may write, and its number. Clones share it.
#[derive(Clone, Debug)]
pub struct Tenure {
    lasts: Duration,
    held: Arc<Mutex<Option<Held>>>,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    renewed: Moment,
    token: i64,
}

impl Tenure {
    /// Of a replica that does not hold the lease yet; after each renewal it lasts so long.
    #[must_use]
    pub fn new(lasts: Duration) -> Self {
        Self { lasts, held: Arc::default() }
    }

    /// The lease was taken or renewed by a request that began then. The token is greater than that of every holder before.
    pub fn renew(&self, began: Moment, token: i64) {
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = Some(Held { renewed: began, token });
    }

    /// Whether this replica may write.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.is_on_at(Moment::now())
    }

    fn is_on_at(&self, now: Moment) -> bool {
        self.held().is_some_and(|held| now.is_within(self.lasts, held.renewed))
    }

    /// The number of this holder; 0 before it is one.
    #[must_use]
    pub fn token(&self) -> i64 {
        self.held().map_or(0, |held| held.token)
    }

    fn held(&self) -> Option<Held> {
        *self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many seconds later by each of the clocks.
    fn later(begin: Moment, steady: u64, wall: u64) -> Moment {
        let (steady, wall) = (Duration::from_secs(steady), Duration::from_secs(wall));
        Moment { steady: begin.steady + steady, wall: begin.wall + wall }
    }

    #[test]
    fn it_is_over_for_whoever_was_suspended_or_whose_clock_was_set_until_the_next_renewal() {
        let begin = Moment::now();
        let tenure = Tenure::new(Duration::from_secs(7));
        tenure.renew(begin, 3);
        let woken = later(begin, 1, 61);
        assert!(tenure.is_on_at(later(begin, 1, 1)) && !tenure.is_on_at(woken));
        tenure.renew(woken, 3);
        assert!(tenure.is_on_at(later(begin, 2, 62)));
        let set_back = later(begin, 3, 30);
        assert!(!tenure.is_on_at(set_back));
        tenure.renew(set_back, 3);
        assert!(tenure.is_on_at(later(begin, 4, 31)));
    }

    #[test]
    fn it_ends_by_the_clock_alone_and_a_renewal_counts_from_its_request() {
        let tenure = Tenure::new(Duration::from_secs(7));
        let begin = Moment::now();
        let after = |seconds| later(begin, seconds, seconds);
        assert_eq!((tenure.is_on_at(begin), tenure.token()), (false, 0));
        tenure.renew(begin, 3);
        assert_eq!((tenure.is_on_at(after(6)), tenure.token()), (true, 3));
        assert!(!tenure.is_on_at(after(7)));
        tenure.renew(after(5), 3);
        assert_eq!((tenure.is_on_at(after(11)), tenure.is_on_at(after(12))), (true, false));
    }
}
