//! The pending migrations on a copy of the database: by the very code that runs them on the database itself.

use std::time::Instant;

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use serde::Serialize;
use sqlx::migrate::Migration;

use super::error::BackupError;
use super::scratch::Scratch;
use super::{Backups, ScratchServer, copy};
use crate::ids::BackupId;
use crate::migrate::{self, MigrateError, Patience, Took};

/// What is rehearsed on.
#[derive(Clone, Copy, Debug)]
pub enum Rehearsal<'a> {
    /// A backup.
    Backup(BackupId),
    /// The database as it is now; it is only read.
    Current(&'a SecretString),
}

/// What the pending migrations did to a copy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DryRun {
    /// The backup; none when the database was copied as it was.
    pub backup_id: Option<BackupId>,
    /// Version of the schema before.
    pub from_version: i64,
    /// Version of the schema that the copy came to.
    pub to_version: i64,
    /// Whether all of them went through.
    pub succeeded: bool,
    /// The files that were applied, in order.
    pub files: Vec<Took>,
    /// What the first one that failed said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// How long the copy took to make, in milliseconds.
    pub copy_took_ms: u64,
    /// How long the migrations took, partitions included, in milliseconds.
    pub took_ms: u64,
}

impl Backups {
    /// Applies files that are pending to a copy, and drops it. A file that fails is a result, not an error.
    ///
    /// # Errors
    /// When there is no copy to be had, or nothing can be found out on it.
    pub async fn dry_run(
        &self,
        from: Rehearsal<'_>,
        owner: Option<&str>,
        files: &[Migration],
        server: &ScratchServer,
        now: DateTime<Utc>,
    ) -> Result<DryRun, BackupError> {
        let mut scratch = Scratch::make(&server.url, server.wait, now).await?;
        let done = self.unless_stopped(self.rehearse(from, owner, files, server, &mut scratch, now)).await;
        let dropped = scratch.drop().await;
        let done = done?;
        dropped?;
        Ok(done)
    }

    async fn rehearse(
        &self,
        from: Rehearsal<'_>,
        owner: Option<&str>,
        files: &[Migration],
        server: &ScratchServer,
        scratch: &mut Scratch,
        now: DateTime<Utc>,
    ) -> Result<DryRun, BackupError> {
        let begin = Instant::now();
        let url = scratch.url.clone();
        let backup_id = match from {
            Rehearsal::Backup(id) => {
                let backup = self.find(id).await?;
                self.fill(&backup, &url, scratch.session(), server.is_home).await?;
                Some(id)
            }
            Rehearsal::Current(current) => {
                copy::copy(current, &url, scratch.session(), server).await?;
                None
            }
        };
        let copy_took_ms = millis(begin);
        let status = migrate::status(scratch.session()).await?;
        let theirs = status.owner.ok_or(MigrateError::OwnedByNobody)?;
        let owner = owner.unwrap_or(&theirs);
        tracing::info!(from_version = status.database_version, "applying the pending migrations to the copy");
        // Nobody else is at the copy.
        let patience = Patience { connect: server.wait, lock: server.wait };
        let (mut took, begin) = (Vec::new(), Instant::now());
        let migrated = migrate::run_files(&url, owner, files, patience, now, &mut took).await;
        let took_ms = millis(begin);
        let failure = match migrated {
            Ok(_) => None,
            Err(error @ (MigrateError::File { .. } | MigrateError::Mismatch(_))) => Some(error.to_string()),
            Err(error) => return Err(error.into()),
        };
        Ok(DryRun {
            backup_id,
            from_version: status.database_version,
            to_version: took.last().map_or(status.database_version, |file: &Took| file.version),
            succeeded: failure.is_none(),
            files: took,
            failure,
            copy_took_ms,
            took_ms,
        })
    }
}

fn millis(begin: Instant) -> u64 {
    u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX)
}
