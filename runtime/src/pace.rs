//! How often batches are written.
//!
//! A batch costs as much as a dozen payments, however few are in it: begun again at once, small batches would take a machine's
//! whole time at half of its load, and everybody would wait for a processor. Begun a few milliseconds apart they are larger and
//! leave room, which is what makes each payment quick. After a rest the first one begins at once.

use std::time::Duration;

use tokio::sync::mpsc::Receiver;
use tokio::time::Instant;

/// More would make one batch long without making it much cheaper.
const BATCH_MAX: usize = 256;

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
        let now = Instant::now();
        let begin = self.begin(now);
        // Timers go by whole milliseconds: to sleep until now is to sleep for one.
        if begin > now {
            tokio::time::sleep_until(begin).await;
        }
    }

    /// The next batch: what waits, and what comes until it may begin. Empty when nothing comes any more.
    pub async fn gather<T>(&mut self, new: &mut Receiver<T>) -> Vec<T> {
        let mut batch = Vec::with_capacity(BATCH_MAX);
        if new.recv_many(&mut batch, BATCH_MAX).await > 0 {
            self.batch().await;
            let room = BATCH_MAX - batch.len();
            batch.extend(std::iter::from_fn(|| new.try_recv().ok()).take(room));
        }
        batch
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
