//! Lets everything come to its end.

use std::time::{Duration, Instant};

use anyhow::Result;
use tokio::time::sleep;

use super::{evidence, provider};
use crate::processes::Platform;

/// Waits until nothing is left to do that can be done, or nothing has been done for `patience`. What is left is the
/// judge's to name.
pub(super) async fn drain(platform: &Platform, patience: Duration) -> Result<()> {
    // Providers are healed: no key becomes silent any more.
    let silent = provider::books(platform).await?.silent;
    let mut least = usize::MAX;
    let mut progress = Instant::now();
    loop {
        // A merchant waits for minutes after the second failure. Whether an event comes is what is looked at, not when.
        platform.sql("update webhook_deliveries set run_at = now() where run_at > now()").await?;
        let left = evidence::leftovers(platform).await?.iter().filter(|left| !left.must_wait(&silent)).count();
        if left == 0 {
            return Ok(());
        }
        if left < least {
            least = left;
            progress = Instant::now();
        }
        if progress.elapsed() > patience {
            return Ok(());
        }
        sleep(Duration::from_millis(250)).await;
    }
}
