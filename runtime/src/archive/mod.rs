//! `purser archive`: months that are over, out of the database into Parquet in an object store, and back.
//!
//! A month is written, read back from the store and compared with what PostgreSQL itself says of the table; only then is its
//! partition detached, which payments do not wait for, compared once more, and dropped in the commit that writes down where it went.
//! Whatever dies wherever: the rows are in the database, or in an archive that was proved. What is found detached is put back first.

mod column;
mod dropping;
mod error;
mod id;
mod join;
mod look;
mod manifest;
mod moves;
mod parquet_file;
pub mod plan;
mod read;
mod restore;
mod run;
mod store;
mod sum;
mod write;

use std::time::Duration;

use secrecy::SecretString;
use sqlx::PgConnection;
use tokio_util::sync::CancellationToken;

pub use column::Column;
pub use error::ArchiveError;
pub use id::ArchiveId;
pub use manifest::{File, Manifest};
pub(crate) use moves::put_back_left_out;
pub use run::{Archived, Run, Step};

use crate::backup;
use crate::config::Secrets;
use crate::database::{self, Doing};
use crate::migrate::{self, MigrateError, Patience};
use crate::storage::{Place, StorageKey};
use store::Store;

/// Any number that no other part of the program locks.
const LOCK: i64 = 0x7075_7273_6572_0004;

/// A place where archives are kept, and what opens them.
pub struct Archives {
    place: Place,
    key: Option<StorageKey>,
    /// Told to stop: what was begun is then left for the next run.
    stop: CancellationToken,
}

/// A database with archives, and nobody else at them.
struct Session {
    connection: PgConnection,
    owner: String,
    schema_version: i64,
}

impl Archives {
    /// The place at a URL, as that of backups.
    ///
    /// # Errors
    /// When the URL says nothing that could be opened, a folder cannot be made, or the secret `backup-key` is not usable.
    pub fn open(url: &str, secrets: &Secrets, stop: CancellationToken) -> Result<Self, ArchiveError> {
        let key = secrets.backup_key().map(StorageKey::new).transpose()?;
        Ok(Self { place: Place::open(url, secrets)?, key, stop })
    }

    fn of<'a>(&'a self, owner: &'a str) -> Store<'a> {
        Store { place: &self.place, key: self.key.as_ref(), owner }
    }

    /// All archives of an owner, the oldest month first.
    ///
    /// # Errors
    /// When the place does not answer, or a manifest cannot be read.
    pub async fn list(&self, owner: &str) -> Result<Vec<Manifest>, ArchiveError> {
        self.of(owner).all().await
    }

    /// Reads an archive, and compares it with its manifest.
    ///
    /// # Errors
    /// When there is none, it is not what its manifest says, or the place does not answer.
    pub async fn verify(&self, id: ArchiveId, owner: &str) -> Result<Manifest, ArchiveError> {
        let store = self.of(owner);
        let manifest = store.find(id).await?.ok_or(ArchiveError::NotFound(id))?;
        read::verify(&store, &manifest, &self.stop).await?;
        Ok(manifest)
    }

    /// Whose database it is, for those who named no owner.
    ///
    /// # Errors
    /// When the database does not answer, or belongs to nobody.
    pub async fn owner(url: &SecretString, wait: Duration) -> Result<String, ArchiveError> {
        let mut connection = database::connect(url, "purser archive", wait).await?;
        Ok(migrate::owner_of(&mut connection).await?.ok_or(MigrateError::OwnedByNobody)?)
    }

    /// Connects, and keeps everybody else from archives of this database.
    async fn session(
        &self,
        url: &SecretString,
        owner: Option<&str>,
        patience: Patience,
    ) -> Result<Session, ArchiveError> {
        let mut connection = database::connect(url, "purser archive", patience.connect).await?;
        take_lock(&mut connection, patience.lock).await?;
        backup::settle(&mut connection).await?;
        moves::settle(&mut connection).await?;
        let status = migrate::status(&mut connection).await?;
        let theirs = status.owner.ok_or(MigrateError::OwnedByNobody)?;
        if owner.is_some_and(|owner| owner != theirs) {
            return Err(MigrateError::OwnedByAnother { owner: theirs }.into());
        }
        Ok(Session { connection, owner: theirs, schema_version: status.database_version })
    }
}

/// The lock goes with the connection; a run that is killed leaves none behind.
async fn take_lock(connection: &mut PgConnection, patience: Duration) -> Result<(), ArchiveError> {
    let asking = "could not ask for the lock on archives";
    let waiting = "another run is at the archives; waiting for it";
    match database::lock(connection, LOCK, patience, asking, waiting).await? {
        true => Ok(()),
        false => Err(ArchiveError::Locked { waited_s: patience.as_secs() }),
    }
}

/// Nothing is moved while what is in the database now may be put back as it was.
async fn refuse_in_maintenance(connection: &mut PgConnection) -> Result<(), ArchiveError> {
    let is_on: bool = sqlx::query_scalar("select exists (select from platform_maintenance)")
        .fetch_one(connection)
        .await
        .doing("could not ask for maintenance")?;
    if is_on { Err(ArchiveError::Maintenance) } else { Ok(()) }
}
