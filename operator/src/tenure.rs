//! The time in which this replica may write: as long as it holds the lease, by its own clock.
//!
//! A replica that was stopped for a while, with its whole machine perhaps, goes on in the midst of a pass. Before it writes, it looks at
//! the clock: whoever holds the lease by now must not find its work undone. What is on its way already when the machine stops can
//! still come late; a migration that does has a number that the database refuses.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// When this replica may write, and its number. Clones share it.
#[derive(Clone, Debug)]
pub struct Tenure {
    lasts: Duration,
    held: Arc<Mutex<Option<Held>>>,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    renewed: Instant,
    token: i64,
}

impl Tenure {
    /// Of a replica that does not hold the lease yet; after each renewal it lasts so long.
    #[must_use]
    pub fn new(lasts: Duration) -> Self {
        Self { lasts, held: Arc::default() }
    }

    /// The lease was taken or renewed by a request that began then. The token is greater than that of every holder before.
    pub fn renew(&self, began: Instant, token: i64) {
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = Some(Held { renewed: began, token });
    }

    /// Whether this replica may write.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.is_on_at(Instant::now())
    }

    fn is_on_at(&self, now: Instant) -> bool {
        self.held().is_some_and(|held| now.saturating_duration_since(held.renewed) < self.lasts)
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

    #[test]
    fn it_ends_by_the_clock_alone_and_a_renewal_counts_from_its_request() {
        let tenure = Tenure::new(Duration::from_secs(7));
        let begin = Instant::now();
        let after = |seconds| begin + Duration::from_secs(seconds);
        assert_eq!((tenure.is_on_at(begin), tenure.token()), (false, 0));
        tenure.renew(begin, 3);
        assert_eq!((tenure.is_on_at(after(6)), tenure.token()), (true, 3));
        assert!(!tenure.is_on_at(after(7)));
        tenure.renew(after(5), 3);
        assert_eq!((tenure.is_on_at(after(11)), tenure.is_on_at(after(12))), (true, false));
    }
}
