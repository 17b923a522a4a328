//! `purser migrate`: brings the schema to the version of this program, for one owner.
//!
//! Lock, look whose database it is, pass the fence, compare histories, put back what archiving left out, apply, claim, make partitions:
//! nothing is changed before the first four have passed.

mod error;
mod fence;
mod files;
pub mod lint;
mod outlook;
mod plan;
mod rehearsal;
mod statements;
mod status;

use std::time::Duration;

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use serde::Serialize;
use sqlx::migrate::{AppliedMigration, Migrate, Migration};
use sqlx::{Connection, PgConnection};

pub use error::MigrateError;
pub use files::{Phase, extend, schema_version};
pub use outlook::{FileOutlook, LockOutlook, Outlook, StatementOutlook, Stops};
pub use plan::Mismatch;
pub(crate) use status::owner as owner_if_any;
pub use status::{AppliedFile, State, Status, status};

use crate::database::{self, Doing};
use crate::{archive, partitions};

/// Where sqlx keeps the history.
const HISTORY: &str = "_sqlx_migrations";
/// Any number that no other part of the program locks.
const LOCK: i64 = 0x7075_7273_6572_0001;
/// Tries for a statement that could not get its table lock.
const LOCK_TRIES: u32 = 5;

/// What a run did.
#[derive(Debug, PartialEq, Eq)]
pub struct Migrated {
    /// Version the schema is at now.
    pub schema_version: i64,
    /// Files applied by this run.
    pub applied: usize,
    /// Partitions made by this run.
    pub partitions: Vec<String>,
}

/// A file that was applied just now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Took {
    /// Its number.
    pub version: i64,
    /// As `0010_operations`.
    pub name: String,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}

/// On whose behalf a run is.
#[derive(Clone, Copy, Debug)]
pub struct Runner<'a> {
    /// The PaymentCluster, as NAMESPACE/NAME.
    pub owner: &'a str,
    /// The number of the operator that has it done; none where a person does.
    pub fencing_token: Option<i64>,
}

impl<'a> From<&'a str> for Runner<'a> {
    fn from(owner: &'a str) -> Self {
        Self { owner, fencing_token: None }
    }
}

/// How patient a run is.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For a database that does not answer yet.
    pub connect: Duration,
    /// For another runner.
    pub lock: Duration,
}

/// Brings the schema to the version of this program.
///
/// # Errors
/// [`MigrateError`]; whatever was applied before the failing file stays, each file being one transaction.
pub async fn run(
    url: &SecretString,
    runner: impl Into<Runner<'_>>,
    patience: Patience,
    now: DateTime<Utc>,
) -> Result<Migrated, MigrateError> {
    run_files(url, runner, files::all(), patience, now, &mut Vec::new()).await
}

/// The same with other files. Says of each that was applied how long it took, also when a later one fails.
///
/// # Errors
/// As [`run`].
pub async fn run_files(
    url: &SecretString,
    runner: impl Into<Runner<'_>>,
    files: &[Migration],
    patience: Patience,
    now: DateTime<Utc>,
    took: &mut Vec<Took>,
) -> Result<Migrated, MigrateError> {
    let Runner { owner, fencing_token } = runner.into();
    let mut connection = database::connect(url, "purser migrate", patience.connect).await?;
    take_lock(&mut connection, patience.lock).await?;
    check_owner(&mut connection, owner).await?;
    if let Some(token) = fencing_token {
        fence::pass(&mut connection, token).await?;
    }
    apply(&mut connection, files, took).await?;
    claim(&mut connection, owner).await?;
    let partitions = partitions::ensure(&mut connection, now).await?;
    // The lock goes with the connection; a run that is killed leaves none behind.
    connection.close().await.doing("could not end the connection")?;
    let schema_version = files.iter().map(|file| file.version).max().unwrap_or(0);
    Ok(Migrated { schema_version, applied: took.len(), partitions })
}

/// What [`run`] would do, without doing it.
///
/// # Errors
/// [`MigrateError`]; also when there is no right to make a schema in the database, for the rehearsal.
pub async fn plan(url: &SecretString, patience: Patience) -> Result<Outlook, MigrateError> {
    plan_files(url, files::all(), patience).await
}

/// The same with other files.
///
/// # Errors
/// As [`plan`].
pub async fn plan_files(url: &SecretString, files: &[Migration], patience: Patience) -> Result<Outlook, MigrateError> {
    let mut connection = database::connect(url, "purser migrate plan", patience.connect).await?;
    take_lock(&mut connection, patience.lock).await?;
    let history = history(&mut connection).await?;
    let pending = plan::pending(files, &history)?;
    let applied: Vec<&Migration> = files.iter().filter(|file| !pending.contains(file)).collect();
    let rows = status::rows(&mut connection).await?;
    let rehearsed = match &pending[..] {
        [] => Vec::new(),
        pending => rehearsal::rehearse(&mut connection, &applied, pending).await?,
    };
    connection.close().await.doing("could not end the connection")?;
    let version = history.iter().map(|done| done.version).max().unwrap_or(0);
    Ok(outlook::outlook(version, &pending, &rehearsed, |table| rows.get(table).copied()))
}

/// The files of this program.
#[must_use]
pub fn own_files() -> &'static [Migration] {
    files::all()
}

/// What was applied; nothing in a database without a schema.
async fn history(connection: &mut PgConnection) -> Result<Vec<AppliedMigration>, MigrateError> {
    if !status::is_there(connection, HISTORY).await? {
        return Ok(Vec::new());
    }
    if let Some(version) = connection.dirty_version(HISTORY).await.map_err(MigrateError::History)? {
        return Err(Mismatch::Unfinished { version }.into());
    }
    connection.list_applied_migrations(HISTORY).await.map_err(MigrateError::History)
}

/// Keeps everybody else from migrating until it is given back, or this session ends.
pub(crate) async fn take_lock(connection: &mut PgConnection, patience: Duration) -> Result<(), MigrateError> {
    let asking = "could not ask for the migration lock";
    let waiting = "another runner is migrating; waiting for it";
    match database::lock(connection, LOCK, patience, asking, waiting).await? {
        true => Ok(()),
        false => Err(MigrateError::Locked { waited_s: patience.as_secs() }),
    }
}

/// Lets others migrate before this session ends.
pub(crate) async fn release_lock(connection: &mut PgConnection) -> Result<(), database::DatabaseError> {
    sqlx::query("select pg_advisory_unlock($1)")
        .bind(LOCK)
        .execute(connection)
        .await
        .doing("could not give the migration lock back")?;
    Ok(())
}

/// Refuses a database that belongs to another. One without a schema belongs to nobody yet.
async fn check_owner(connection: &mut PgConnection, owner: &str) -> Result<(), MigrateError> {
    match status::owner(connection).await? {
        Some(other) if other != owner => Err(MigrateError::OwnedByAnother { owner: other }),
        _ => Ok(()),
    }
}

/// Whose database it is.
///
/// # Errors
/// When the database does not answer, or has no schema yet.
pub async fn owner_of(connection: &mut PgConnection) -> Result<Option<String>, database::DatabaseError> {
    sqlx::query_scalar("select owner from platform_owner")
        .fetch_optional(connection)
        .await
        .doing("could not read the owner")
}

async fn claim(connection: &mut PgConnection, owner: &str) -> Result<(), MigrateError> {
    sqlx::query("insert into platform_owner (owner) values ($1) on conflict (only_row) do nothing")
        .bind(owner)
        .execute(connection)
        .await
        .doing("could not claim the database")?;
    Ok(())
}

async fn apply(connection: &mut PgConnection, files: &[Migration], took: &mut Vec<Took>) -> Result<(), MigrateError> {
    connection.ensure_migrations_table(HISTORY).await.map_err(MigrateError::History)?;
    let applied = history(connection).await?;
    let pending = plan::pending(files, &applied)?;
    if !pending.is_empty() {
        // A table that was changed meanwhile would never take its partition back.
        archive::put_back_left_out(connection).await.map_err(|error| MigrateError::LeftOut(Box::new(error)))?;
    }
    // In maintenance the database refuses what others write, and nothing of this.
    let settings = "set lock_timeout = '3s'; set purser.migrates = 'on'";
    sqlx::raw_sql(settings).execute(&mut *connection).await.doing("could not limit waiting")?;
    for file in pending {
        let took_ms = apply_one(connection, file).await?;
        took.push(Took { version: file.version, name: files::name(file), took_ms });
    }
    Ok(())
}

async fn apply_one(connection: &mut PgConnection, file: &Migration) -> Result<u64, MigrateError> {
    let mut tries = 0;
    loop {
        tries += 1;
        let error = match connection.apply(HISTORY, file).await {
            Ok(took) => {
                let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
                tracing::info!(version = file.version, took_ms, "applied: {}", file.description);
                return Ok(took_ms);
            }
            Err(cause) => {
                MigrateError::File { version: file.version, description: file.description.to_string(), cause }
            }
        };
        let lock_not_had = error.outcome() == runtime_contract::Outcome::Retry
            && error.reason() == runtime_contract::Reason::MigrationFailed;
        if !lock_not_had || tries == LOCK_TRIES {
            return Err(error);
        }
        tracing::info!(version = file.version, tries, "a table is in use; trying again");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}
