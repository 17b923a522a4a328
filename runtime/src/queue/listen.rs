//! Waking up when there is work.

use std::time::Duration;

use tokio::sync::mpsc::Receiver;

use super::Queue;
use crate::database::{Notice, Notices};

/// Channel on which gateways tell of new work, in the word of its queue ([`super::Queue::word`]), or in none for any work.
pub const CHANNEL: &str = "purser_work";

/// Tells when to look for work. Notifications are only hints: without them work is found by polling.
pub struct Wake {
    word: &'static str,
    told: Receiver<Notice>,
}

impl Wake {
    /// Listens for the work of a queue until dropped.
    #[must_use]
    pub fn listen(notices: &Notices, queue: &Queue) -> Self {
        Self { word: queue.word, told: notices.on(CHANNEL) }
    }

    /// Returns when there was a hint since the last call, and after `at_most` in any case.
    pub async fn wait(&mut self, at_most: Duration) {
        // Which of the two it was makes no difference to the caller, who looks into the table either way.
        let _ = tokio::time::timeout(at_most, self.hint()).await;
        // However many hints there were, one look answers them all.
        while self.told.try_recv().is_ok() {}
    }

    async fn hint(&mut self) {
        loop {
            match self.told.recv().await {
                Some(Notice::Word(word)) if !["", self.word].contains(&word.as_str()) => {}
                Some(_) => return,
                None => std::future::pending().await,
            }
        }
    }
}
