//! The settings that change under a running pod: read from PostgreSQL, told of a change by NOTIFY.

use std::sync::Arc;
use std::time::Duration;

use runtime_contract::{CacheTtl, Limits, ProviderSettings, Settings};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::mpsc::Receiver;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::database::{DatabaseError, Doing, Notice, Notices, Pool};

/// Channel on which a new revision is announced.
pub const CHANNEL: &str = "purser_settings";
/// A notification lost with its connection is made good after this long: half of the ten seconds promised.
const POLL: Duration = Duration::from_secs(5);

/// The settings in force, as this process knows them.
#[derive(Clone)]
pub struct LiveSettings {
    receiver: watch::Receiver<Arc<Settings>>,
}

/// Why there are no newer settings.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The database did not answer.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// A document that this release cannot read.
    #[error("the settings of revision {revision} cannot be read by this release: {source}")]
    Unreadable {
        /// Its revision.
        revision: i64,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

impl LiveSettings {
    /// Follows the settings in the database until `shutdown`.
    #[must_use]
    pub fn follow(pool: Pool, notices: &Notices, shutdown: CancellationToken) -> Self {
        let (sender, receiver) = watch::channel(Arc::new(before_the_first()));
        let told = notices.on(CHANNEL);
        tokio::spawn(async move {
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = keep_current(&pool, told, &sender) => {}
            }
        });
        Self { receiver }
    }

    /// Settings that never change, for tests and for parts that run without a database.
    #[must_use]
    pub fn fixed(settings: Settings) -> Self {
        let (_, receiver) = watch::channel(Arc::new(settings));
        Self { receiver }
    }

    /// The defaults, for a platform that nobody has set anything for yet.
    #[must_use]
    pub fn none() -> Self {
        Self::fixed(before_the_first())
    }

    /// What is in force now. Revision 0 means that nothing was read yet.
    #[must_use]
    pub fn current(&self) -> Arc<Settings> {
        self.receiver.borrow().clone()
    }

    /// Waits until the settings differ from what this handle saw last.
    pub async fn changed(&mut self) {
        // A closed channel means that the process ends: then nothing changes any more.
        if self.receiver.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// What counts before the first document: the design's times to live, and no provider to send a payment to.
fn before_the_first() -> Settings {
    let cache_ttl = CacheTtl { user_s: 300, payment_method_s: 600, fraud_rules_s: 3600, metrics_s: 60 };
    Settings { revision: 0, cache_ttl, providers: Vec::new(), limits: Limits::default(), maintenance: None }
}

async fn keep_current(pool: &Pool, mut told: Receiver<Notice>, sender: &watch::Sender<Arc<Settings>>) {
    loop {
        let in_force = sender.borrow().revision;
        match read_newer(pool, in_force).await {
            Ok(Some(settings)) => publish(sender, settings),
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "settings not read; those in force stay"),
        }
        // Whichever it was, the table tells. That listening has begun is told too, so no change falls before it.
        let _ = tokio::time::timeout(POLL, told.recv()).await;
    }
}

fn publish(sender: &watch::Sender<Arc<Settings>>, settings: Settings) {
    sender.send_if_modified(|current| {
        if settings.revision <= current.revision {
            return false;
        }
        tracing::info!(revision = settings.revision, providers = settings.providers.len(), "new settings are in force");
        *current = Arc::new(settings);
        true
    });
}

/// The settings in the database, if they are newer than this revision.
///
/// # Errors
/// When the database does not answer, or holds a document that this release cannot read.
pub async fn read_newer(pool: &Pool, than: i64) -> Result<Option<Settings>, SettingsError> {
    let row: Option<(i64, Value)> =
        sqlx::query_as("select revision, document from platform_settings where revision > $1")
            .bind(than)
            .fetch_optional(pool)
            .await
            .doing("could not read the settings")?;
    let Some((revision, document)) = row else { return Ok(None) };
    understood(document).map(Some).map_err(|source| SettingsError::Unreadable { revision, source })
}

/// What this release understands of a document that a newer one may have written. A provider that it cannot read,
/// such as one of a kind it has no adapter for, must not take the others out of force.
fn understood(mut document: Value) -> Result<Settings, serde_json::Error> {
    if let Some(providers) = document.get_mut("providers").and_then(Value::as_array_mut) {
        providers.retain(|provider| {
            let read = ProviderSettings::deserialize(provider);
            read.inspect_err(|error| tracing::warn!(%error, "a provider that this release cannot read is left out"))
                .is_ok()
        });
    }
    serde_json::from_value(document)
}
