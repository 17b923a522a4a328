//! Hears what other processes tell dispatchers.

use std::time::Duration;

use sqlx::postgres::PgListener;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::task::JoinHandle;

use crate::database::Pool;
use crate::webhooks::bell::{CHANNEL, Heard, parse};

const RECONNECT: Duration = Duration::from_secs(1);
/// Words that wait to be heard. More are dropped: the next look finds what they were about.
const WORDS_MAX: usize = 4096;

/// Listens on a connection of its own until dropped.
pub(super) struct Hearing {
    words: Receiver<Heard>,
    listening: JoinHandle<()>,
}

impl Hearing {
    pub(super) fn begin(pool: Pool) -> Self {
        let (sender, words) = mpsc::channel(WORDS_MAX);
        Self { words, listening: tokio::spawn(keep_listening(pool, sender)) }
    }

    /// The words that came, at least one; cancel safe.
    pub(super) async fn heard(&mut self) -> Vec<Heard> {
        let mut words = Vec::new();
        self.words.recv_many(&mut words, WORDS_MAX).await;
        words
    }
}

impl Drop for Hearing {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

async fn keep_listening(pool: Pool, sender: Sender<Heard>) {
    loop {
        if let Err(error) = listen(&pool, &sender).await {
            tracing::debug!(%error, "not listening for deliveries; looking meanwhile");
        }
        tokio::time::sleep(RECONNECT).await;
    }
}

async fn listen(pool: &Pool, sender: &Sender<Heard>) -> Result<(), sqlx::Error> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen(CHANNEL).await?;
    while let Some(notification) = listener.try_recv().await? {
        for word in parse(notification.payload()) {
            let _ = sender.try_send(word);
        }
    }
    Ok(())
}
