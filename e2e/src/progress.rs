//! Says what is being done and how long it took.

use std::{
    fmt::{self, Display},
    future::Future,
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow};
use tokio::time::{Instant, MissedTickBehavior, interval, interval_at};

/// A step shorter than this is only reported when it is done.
const QUIET: Duration = Duration::from_secs(2);
/// A long step says this often that it is still alive.
const HEARTBEAT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(100);

/// Does `work`, and reports `what` with its time. An error carries `what` as its context.
///
/// # Errors
/// The error of `work`.
pub async fn step<T>(what: impl Display, work: impl Future<Output = Result<T>>) -> Result<T> {
    let started = Instant::now();
    let mut alive = interval_at(started + QUIET, HEARTBEAT);
    alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tokio::pin!(work);
    loop {
        tokio::select! {
            result = &mut work => {
                let mark = if result.is_ok() { "done" } else { "FAILED" };
                println!("  {mark:6} {what} ({})", seconds(started.elapsed()));
                return result.with_context(|| what.to_string());
            }
            _ = alive.tick() => println!("  ...    {what} ({})", seconds(started.elapsed())),
        }
    }
}

/// An error after which asking again is pointless.
#[derive(Debug)]
pub(crate) struct GiveUp(pub(crate) String);

impl Display for GiveUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for GiveUp {}

/// Asks until the answer is `Ok(Some(_))`; on time-out tells the last error.
///
/// # Errors
/// When `limit` has passed, or there is no use in asking again.
pub async fn wait_for<T, F>(limit: Duration, mut ask: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<Option<T>>>,
{
    let started = Instant::now();
    let mut ticks = interval(POLL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last = None;
    while started.elapsed() < limit {
        ticks.tick().await;
        match ask().await {
            Ok(Some(answer)) => return Ok(answer),
            Ok(None) => {}
            Err(error) if error.is::<GiveUp>() => return Err(error),
            Err(error) => last = Some(error),
        }
    }
    let error = last.unwrap_or_else(|| anyhow!("the answer is still no"));
    Err(error.context(format!("no success within {}", seconds(limit))))
}

/// A duration for people: `0.4 s`, `3 m 07 s`.
#[must_use]
pub fn seconds(duration: Duration) -> String {
    let whole = duration.as_secs();
    if whole >= 60 {
        format!("{} m {:02} s", whole / 60, whole % 60)
    } else {
        format!("{:.1} s", duration.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_like_a_stop_watch() {
        assert_eq!(seconds(Duration::from_millis(449)), "0.4 s");
        assert_eq!(seconds(Duration::from_secs(187)), "3 m 07 s");
    }

    #[tokio::test]
    async fn a_wait_that_ends_tells_the_last_error() {
        let result: Result<()> = wait_for(Duration::from_millis(50), || async { anyhow::bail!("port closed") }).await;
        let text = format!("{:#}", result.unwrap_err());
        assert!(text.contains("port closed") && text.contains("no success within"), "{text}");
    }
}
