//! What other processes say by `NOTIFY`, heard on one connection.
//!
//! PostgreSQL wakes every listening connection for every notification, whatever channel it is for: one connection per process
//! rather than one per channel is what keeps that cheap.

use std::collections::HashMap;
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
/// Words that wait for one who listens. More are dropped: a word is never more than a hint to look.
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
    listeners: Mutex<HashMap<&'static str, Vec<Sender<Notice>>>>,
    /// Changes with the channels.
    channels: watch::Sender<()>,
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
        self.0.shared.listeners().entry(channel).or_default().push(sender);
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
    fn listeners(&self) -> MutexGuard<'_, HashMap<&'static str, Vec<Sender<Notice>>>> {
        // A list of senders is whole even if somebody panicked beside it.
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn channels(&self) -> Vec<&'static str> {
        self.listeners().keys().copied().collect()
    }

    fn tell(&self, channel: &str, notice: &Notice) {
        if let Some(listeners) = self.listeners().get_mut(channel) {
            listeners.retain(|listener| !matches!(listener.try_send(notice.clone()), Err(TrySendError::Closed(_))));
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
