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
        tokio::time::sleep_until(self.next).await;
        self.next = Instant::now() + SPACING;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn batches_are_apart_and_the_first_after_a_rest_is_not_put_off() {
        let begin = Instant::now();
        let mut pace = Pace::default();
        pace.batch().await;
        assert_eq!(begin.elapsed(), Duration::ZERO);
        pace.batch().await;
        assert_eq!(begin.elapsed(), SPACING);
        tokio::time::sleep(SPACING * 10).await;
        let rested = Instant::now();
        pace.batch().await;
        assert_eq!(rested.elapsed(), Duration::ZERO);
    }
}
