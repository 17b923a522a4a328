//! How often batches are written.
//!
//! A batch costs as much as a dozen payments, however few are in it: begun again at once, small batches would take a machine's
//! whole time at half of its load, and everybody would wait for a processor. Begun a few milliseconds apart they are larger and
//! leave room, which is what makes each payment quick. After a rest the first one begins at once.

use std::time::Duration;

use tokio::time::Instant;

/// From the begin of one batch to that of the next.
const SPACING: Duration = Duration::from_millis(4);

/// When the next batch may begin.
#[derive(Debug)]
pub struct Pace {
    next: Instant,
}

impl Default for Pace {
    fn default() -> Self {
        Self { next: Instant::now() }
    }
}

impl Pace {
    /// Returns when it may. Whatever comes meanwhile goes with it.
    pub async fn batch(&mut self) {
        let begin = self.begin(Instant::now());
        tokio::time::sleep_until(begin).await;
    }

    /// When the batch that is ready now may begin.
    fn begin(&mut self, now: Instant) -> Instant {
        let begin = self.next.max(now);
        self.next = begin + SPACING;
        begin
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_apart_and_the_first_after_a_rest_is_not_put_off() {
        let mut pace = Pace::default();
        let ready = pace.next;
        assert_eq!(pace.begin(ready), ready);
        assert_eq!(pace.begin(ready), ready + SPACING);
        assert_eq!(pace.begin(ready + SPACING * 3 / 2), ready + SPACING * 2);
        assert_eq!(pace.begin(ready + SPACING * 10), ready + SPACING * 10);
    }
}
