//! Wakes processors: one `NOTIFY purser_work` for however many payments were accepted meanwhile.

use std::sync::Arc;

use tokio::sync::Notify;

use crate::database::Pool;

/// Channel on which processors wait.
const WORK: &str = "purser_work";

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
            if let Err(error) = sqlx::query("select pg_notify($1, '')").bind(WORK).execute(&pool).await {
                tracing::debug!(%error, "processors were not told of work; they look for themselves");
            }
        }
    }
}
