//! Wakes processors: one `NOTIFY purser_work` for however much was accepted meanwhile.

use std::sync::Arc;

use tokio::sync::Notify;

use crate::database::{Link, Pool, notify};
use crate::queue::listen::CHANNEL;
use crate::queue::{OPERATIONS, PAYMENTS, Queue};

/// Says that there is work. Not part of the commit that accepts a payment: NOTIFY takes a lock that all commits
/// with one share. A word that is lost costs a processor's next look, well below a second.
#[derive(Clone, Default)]
pub(super) struct Bell {
    payments: Arc<Notify>,
    operations: Arc<Notify>,
}

impl Bell {
    /// There are payments to be taken to their end.
    pub(super) fn payments(&self) {
        self.payments.notify_one();
    }

    /// There are captures, refunds or voids to be taken to their end.
    pub(super) fn operations(&self) {
        self.operations.notify_one();
    }

    /// Passes the word on until the process ends.
    pub(super) async fn pass_on(self, pool: Pool) {
        // A notification takes part in a commit; this one need not wait for the disk, for it says nothing that a look at
        // the table would not.
        let mut link = Link::lazy(pool);
        loop {
            let queue = tokio::select! {
                () = self.payments.notified() => &PAYMENTS,
                () = self.operations.notified() => &OPERATIONS,
            };
            if let Err(error) = tell(&mut link, queue).await {
                tracing::debug!(%error, "processors were not told of work; they look for themselves");
                link.drop_connection();
            }
        }
    }
}

async fn tell(link: &mut Link, queue: &Queue) -> Result<(), sqlx::Error> {
    notify(link.get().await?, CHANNEL, queue.word).await
}
