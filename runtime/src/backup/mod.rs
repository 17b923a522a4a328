//! `purser backup`: the whole database as one file in an object store, with a manifest that says what must be in it.
//!
//! A dump and what is counted for its manifest come from one snapshot of the database, so payments go on meanwhile. The manifest is
//! written last: what has none is no backup, and is cleared away. A backup is verified by being restored into a database of its own,
//! where every table must hold what was counted. Only such a backup is restored from.

mod copy;
mod create;
mod differences;
mod dry_run;
mod error;
mod manifest;
mod newer;
mod programs;
mod restore;
mod scratch;
mod server;
mod store;
mod sums;
mod swap;
mod verify;

use secrecy::SecretString;
use tokio_util::sync::CancellationToken;

pub use create::Create;
pub use dry_run::{DryRun, Rehearsal};
pub use error::BackupError;
pub use manifest::{Manifest, Table};
pub use newer::MONEY_TABLES;
pub use restore::{Restore, Restored};
pub(crate) use sums::{quoted, settle};
pub use verify::ScratchServer;

use crate::config::Secrets;
use crate::ids::BackupId;
use crate::storage::StorageKey;
use store::Store;

/// A place where backups are kept, and what opens them.
pub struct Backups {
    store: Store,
    key: Option<StorageKey>,
    /// Who has to let go of a database before another one takes its place.
    analytics: Option<SecretString>,
    /// Told to stop: what was begun is then taken back.
    stop: CancellationToken,
}

impl Backups {
    /// The place at a URL: `file:///FOLDER`, or `s3://BUCKET/PREFIX`, of which `?endpoint=` and `?region=` may say more.
    ///
    /// # Errors
    /// When the URL says nothing that could be opened, a folder cannot be made, or the secret `backup-key` is not usable.
    pub fn open(url: &str, secrets: &Secrets, stop: CancellationToken) -> Result<Self, BackupError> {
        let key = secrets.backup_key().map(StorageKey::new).transpose()?;
        let analytics = secrets.analytics_url().ok();
        Ok(Self { store: Store::open(url, secrets)?, key, analytics, stop })
    }

    /// All backups of one owner, or of all, the oldest first.
    ///
    /// # Errors
    /// When the place does not answer.
    pub async fn list(&self, owner: Option<&str>) -> Result<Vec<Manifest>, BackupError> {
        self.store.manifests(owner).await
    }

    /// The backup with this id.
    ///
    /// # Errors
    /// When there is none, or its manifest cannot be read.
    pub async fn find(&self, id: BackupId) -> Result<Manifest, BackupError> {
        self.store.find(id).await
    }

    /// The same, if it is of this owner.
    ///
    /// # Errors
    /// As [`Backups::find`], and when it is of another.
    pub async fn find_of(&self, id: BackupId, owner: &str) -> Result<Manifest, BackupError> {
        let backup = self.find(id).await?;
        if backup.owner == owner { Ok(backup) } else { Err(BackupError::OfAnother { id, owner: backup.owner }) }
    }

    /// Removes verified backups of an owner but for the newest `keep`, of which there is at least one. Says which.
    ///
    /// # Errors
    /// When the place does not answer.
    pub async fn prune(&self, owner: &str, keep: usize) -> Result<Vec<BackupId>, BackupError> {
        let verified: Vec<Manifest> =
            self.list(Some(owner)).await?.into_iter().filter(|backup| backup.verified_at.is_some()).collect();
        let superfluous = verified.len().saturating_sub(keep.max(1));
        let mut removed = Vec::new();
        for backup in verified.into_iter().take(superfluous) {
            self.store.remove(&backup.owner, backup.id).await?;
            removed.push(backup.id);
        }
        Ok(removed)
    }

    /// What is done, unless told to stop.
    async fn unless_stopped<T>(&self, work: impl Future<Output = Result<T, BackupError>>) -> Result<T, BackupError> {
        tokio::select! {
            done = work => done,
            () = self.stop.cancelled() => Err(BackupError::Interrupted),
        }
    }
}
