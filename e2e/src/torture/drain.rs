//! Lets everything come to its end.

use std::time::{Duration, Instant};

use anyhow::Result;
use tokio::time::sleep;

use super::evidence;
use crate::processes::Platform;

/// Waits until nothing is left to do, or nothing has been done for `patience`. What is left is the judge's to name.
pub(super) async fn drain(platform: &Platform, patience: Duration) -> Result<()> {
    let mut least = usize::MAX;
    let mut progress = Instant::now();
    loop {
        let left = evidence::leftovers(platform).await?;
        if left.is_empty() {
            return Ok(());
        }
        if left.len() < least {
            least = left.len();
            progress = Instant::now();
        }
        if progress.elapsed() > patience {
            return Ok(());
        }
        sleep(Duration::from_millis(250)).await;
    }
}
