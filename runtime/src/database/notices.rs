//! What other processes say by `NOTIFY`, heard on one connection.
//!
//! PostgreSQL wakes every listening connection for every notification, whatever channel it is for: one connection per process
//! rather than one per channel is what keeps that cheap.

use std::collections::HashMap;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::PgExecutor;
use sqlx::postgres::PgListener;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::Pool;

/// How long the connection stays away after it broke. Whoever listens looks for itself meanwhile.
const RECONNECT: Duration = Duration::from_millis(500);
/// Words that wait for one who listens. More are dropped, and whoever missed some is told that listening begins anew.
const WORDS_MAX: usize = 4096;

/// What one who listens is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Listening has begun, for the first time or again: what was said before is not known, so it is time to look.
    Begun,
    /// Somebody said this.
    Word(String),
}

/// The notifications that this process hears.
#[derive(Clone)]
pub struct Notices(Arc<Hearing>);

struct Hearing {
    shared: Arc<Shared>,
    task: AbortHandle,
}

struct Shared {
    listeners: Mutex<HashMap<&'static str, Vec<Listener>>>,
    /// Changes with the channels.
    channels: watch::Sender<()>,
}

struct Listener {
    sender: Sender<Notice>,
    missed: bool,
}

impl Listener {
    /// Whether it still listens.
    fn tell(&mut self, notice: &Notice) -> bool {
        let told = if mem::take(&mut self.missed) { self.sender.try_send(Notice::Begun) } else { Ok(()) };
        let told = told.and_then(|()| self.sender.try_send(notice.clone()));
        self.missed = matches!(told, Err(TrySendError::Full(_)));
        !matches!(told, Err(TrySendError::Closed(_)))
    }
}

impl Notices {
    /// Hears on a connection of its own, until the last copy is dropped.
    #[must_use]
    pub fn hear(pool: Pool) -> Self {
        let shared = Arc::new(Shared { listeners: Mutex::default(), channels: watch::channel(()).0 });
        let task = tokio::spawn(keep_hearing(pool, Arc::clone(&shared))).abort_handle();
        Self(Arc::new(Hearing { shared, task }))
    }

    /// What is said on a channel from now on.
    #[must_use]
    pub fn on(&self, channel: &'static str) -> Receiver<Notice> {
        let (sender, receiver) = mpsc::channel(WORDS_MAX);
        self.0.shared.listeners().entry(channel).or_default().push(Listener { sender, missed: false });
        self.0.shared.channels.send_replace(());
        receiver
    }
}

/// Says a word on a channel, to every process that listens there. Within a transaction it is said with the commit.
///
/// # Errors
/// When the database does not answer, or the word is longer than 8000 bytes.
pub async fn notify(executor: impl PgExecutor<'_>, channel: &str, word: &str) -> Result<(), sqlx::Error> {
    sqlx::query("select pg_notify($1, $2)").bind(channel).bind(word).execute(executor).await.map(drop)
}

impl Drop for Hearing {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    fn listeners(&self) -> MutexGuard<'_, HashMap<&'static str, Vec<Listener>>> {
        // A list of senders is whole even if somebody panicked beside it.
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn channels(&self) -> Vec<&'static str> {
        self.listeners().keys().copied().collect()
    }

    fn tell(&self, channel: &str, notice: &Notice) {
        if let Some(listeners) = self.listeners().get_mut(channel) {
            listeners.retain_mut(|listener| listener.tell(notice));
        }
    }
}

async fn keep_hearing(pool: Pool, shared: Arc<Shared>) {
    let mut channels = shared.channels.subscribe();
    loop {
        channels.mark_unchanged();
        let names = shared.channels();
        tokio::select! {
            heard = hear(&pool, &names, &shared), if !names.is_empty() => {
                if let Err(error) = heard {
                    tracing::debug!(%error, "not listening; looking meanwhile");
                }
                tokio::time::sleep(RECONNECT).await;
            }
            // A new channel takes a new connection: giving up half a message on the old one could lose it.
            Ok(()) = channels.changed() => {}
        }
    }
}

async fn hear(pool: &Pool, channels: &[&'static str], shared: &Shared) -> Result<(), sqlx::Error> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen_all(channels.iter().copied()).await?;
    for channel in channels {
        shared.tell(channel, &Notice::Begun);
    }
    while let Some(notification) = listener.try_recv().await? {
        shared.tell(notification.channel(), &Notice::Word(notification.payload().to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_missed_a_word_is_told_to_look() {
        let (sender, mut receiver) = mpsc::channel(2);
        let mut listener = Listener { sender, missed: false };
        let word = |n: u8| Notice::Word(n.to_string());
        assert!((0..4).all(|n| listener.tell(&word(n))), "full is not gone");
        assert_eq!((receiver.try_recv(), receiver.try_recv()), (Ok(word(0)), Ok(word(1))));
        assert!(listener.tell(&word(4)));
        assert_eq!((receiver.try_recv(), receiver.try_recv()), (Ok(Notice::Begun), Ok(word(4))));
        drop(receiver);
        assert!(!listener.tell(&word(5)));
    }

    #[test]
    fn one_who_has_room_for_one_word_only_is_told_again() {
        let (sender, mut receiver) = mpsc::channel(1);
        let mut listener = Listener { sender, missed: true };
        let word = Notice::Word("x".into());
        listener.tell(&word);
        assert_eq!(receiver.try_recv(), Ok(Notice::Begun));
        listener.tell(&word);
        assert_eq!(receiver.try_recv(), Ok(Notice::Begun), "the word after it was missed as well");
    }
}
