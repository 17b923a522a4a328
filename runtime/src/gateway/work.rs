//! Wakes processors: one `NOTIFY purser_work` for however many payments were accepted meanwhile.

use std::sync::Arc;

use tokio::sync::Notify;

use crate::database::Pool;

/// The word on the channel on which processors wait. A notification takes part in a commit; this one need not wait for
/// the disk, for it says nothing that a look at the table would not.
const NOTIFY: &str = "set local synchronous_commit = off; notify purser_work";

/// Says that there is work. Not part of the commit that accepts a payment: NOTIFY takes a lock that all commits
/// with one share. A word that is lost costs a processor's next look, well below a second.
#[derive(Clone, Default)]
pub(super) struct Bell {
    rung: Arc<Notify>,
}

impl Bell {
    /// There is work.
    pub(super) fn ring(&self) {
        self.rung.notify_one();
    }

    /// Passes the word on until the process ends.
    pub(super) async fn pass_on(self, pool: Pool) {
        loop {
            self.rung.notified().await;
            if let Err(error) = sqlx::raw_sql(NOTIFY).execute(&pool).await {
                tracing::debug!(%error, "processors were not told of work; they look for themselves");
            }
        }
    }
}
