//! Whether a connection has a request in work, for how long it has had none, and when it has the next one.

use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// The requests in work on one connection.
#[derive(Clone)]
pub(super) struct InWork(watch::Sender<usize>);

/// Stands for a request; gone when it was answered, or given up.
pub(super) struct Working(watch::Sender<usize>);

impl Default for InWork {
    fn default() -> Self {
        Self(watch::Sender::new(0))
    }
}

impl InWork {
    /// A request comes.
    pub(super) fn begin(&self) -> Working {
        self.0.send_modify(|count| *count += 1);
        Working(self.0.clone())
    }

    /// Returns when there was no request for so long.
    pub(super) async fn idle_for(&self, limit: Duration) {
        let mut counts = self.0.subscribe();
        loop {
            // Its sender lives here, so that neither of the two waits can fail.
            let _ = counts.wait_for(|count| *count == 0).await;
            if tokio::time::timeout(limit, counts.changed()).await.is_err() {
                return;
            }
        }
    }

    /// Returns when `told` is cancelled and there is a request, or was one since.
    pub(super) async fn next_after(&self, told: &CancellationToken) {
        told.cancelled().await;
        let mut counts = self.0.subscribe();
        if *counts.borrow_and_update() == 0 {
            // One may have been answered before this looks again: any change is a request.
            let _ = counts.changed().await;
        }
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}
