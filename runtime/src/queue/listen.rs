//! Waking up when there is work.

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::PgListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::Queue;
use crate::database::Pool;

/// Channel on which gateways tell of new work, in the word of its queue ([`super::Queue::word`]), or in none for any work.
pub const CHANNEL: &str = "purser_work";
/// A lost listening connection costs no more than polling meanwhile.
const RECONNECT: Duration = Duration::from_secs(1);

/// Tells when to look for work. Notifications are only hints: without them work is found by polling.
pub struct Wake {
    told: Arc<Notify>,
    listening: JoinHandle<()>,
}

impl Wake {
    /// Listens on a connection of its own until dropped.
    #[must_use]
    pub fn listen(pool: Pool, queue: &Queue) -> Self {
        let told = Arc::new(Notify::new());
        let listening = tokio::spawn(keep_listening(pool, queue.word, Arc::clone(&told)));
        Self { told, listening }
    }

    /// Returns when there was a hint since the last call, and after `at_most` in any case.
    pub async fn wait(&self, at_most: Duration) {
        // Which of the two it was makes no difference to the caller, who looks into the table either way.
        let _ = tokio::time::timeout(at_most, self.told.notified()).await;
    }
}

impl Drop for Wake {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

async fn keep_listening(pool: Pool, word: &'static str, told: Arc<Notify>) {
    loop {
        if let Err(error) = listen(&pool, word, &told).await {
            tracing::debug!(%error, "not listening for work; polling meanwhile");
        }
        tokio::time::sleep(RECONNECT).await;
    }
}

async fn listen(pool: &Pool, word: &str, told: &Notify) -> Result<(), sqlx::Error> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen(CHANNEL).await?;
    // Whatever came while nobody listened is found by looking once.
    told.notify_one();
    while let Some(heard) = listener.try_recv().await? {
        if ["", word].contains(&heard.payload()) {
            told.notify_one();
        }
    }
    Ok(())
}
