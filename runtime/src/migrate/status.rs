//! Where a database stands.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::{FromRow, PgConnection};

use super::files;
use super::{HISTORY, MigrateError, Mismatch, history, plan};
use crate::database::{DatabaseError, Doing};

/// What `purser migrate status` says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Status {
    /// The PaymentCluster that the database belongs to; none before the first migration.
    pub owner: Option<String>,
    /// Version the database is at; 0 when it has no schema.
    pub database_version: i64,
    /// Version that this program brings it to.
    pub program_version: i64,
    /// How the two stand to each other.
    pub state: State,
    /// What is wrong, in a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// What was applied, in order.
    pub applied: Vec<AppliedFile>,
    /// Names of the files that were not.
    pub pending: Vec<String>,
}

/// How a database stands to this program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It is at this program's version.
    Current,
    /// Files are to be applied.
    Pending,
    /// It was migrated by a newer program.
    Newer,
    /// A file was changed after it was applied.
    Differs,
    /// A run died inside a file that has no transaction around it.
    Unfinished,
}

/// A file that was applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, FromRow)]
pub struct AppliedFile {
    /// Its number.
    pub version: i64,
    /// What it does.
    pub description: String,
    /// When it was begun.
    pub applied_at: DateTime<Utc>,
    /// How long it took, in milliseconds.
    pub took_ms: i64,
}

/// Where a database stands. Changes nothing, and waits for nobody.
///
/// # Errors
/// When the database does not answer, or does not let its history be read.
pub async fn status(connection: &mut PgConnection) -> Result<Status, MigrateError> {
    let (applied, owner) = (applied(connection).await?, owner(connection).await?);
    let pending = match history(connection).await {
        Ok(history) => plan::pending(files::all(), &history).map_err(MigrateError::from),
        Err(error) => Err(error),
    };
    let (state, problem, pending) = match pending {
        Ok(pending) if pending.is_empty() => (State::Current, None, Vec::new()),
        Ok(pending) => (State::Pending, None, pending.into_iter().map(files::name).collect()),
        Err(MigrateError::Mismatch(mismatch)) => (state_of(&mismatch), Some(mismatch.to_string()), Vec::new()),
        Err(error) => return Err(error),
    };
    let database_version = applied.iter().map(|file| file.version).max().unwrap_or(0);
    Ok(Status { owner, database_version, program_version: files::schema_version(), state, problem, applied, pending })
}

const fn state_of(mismatch: &Mismatch) -> State {
    match mismatch {
        Mismatch::DatabaseIsNewer { .. } => State::Newer,
        Mismatch::Differs { .. } => State::Differs,
        Mismatch::Unfinished { .. } => State::Unfinished,
    }
}

async fn applied(connection: &mut PgConnection) -> Result<Vec<AppliedFile>, DatabaseError> {
    if !is_there(connection, HISTORY).await? {
        return Ok(Vec::new());
    }
    sqlx::query_as(
        "select version, description, installed_on as applied_at, greatest(execution_time, 0) / 1000000 as took_ms
         from _sqlx_migrations order by version",
    )
    .fetch_all(connection)
    .await
    .doing("could not read the history of migrations")
}

/// Whose the database is; nobody's before the first migration.
pub(crate) async fn owner(connection: &mut PgConnection) -> Result<Option<String>, DatabaseError> {
    if is_there(connection, "platform_owner").await? { super::owner_of(connection).await } else { Ok(None) }
}

/// Whether a table is there.
pub(super) async fn is_there(connection: &mut PgConnection, table: &str) -> Result<bool, DatabaseError> {
    sqlx::query_scalar("select to_regclass($1) is not null")
        .bind(table)
        .fetch_one(connection)
        .await
        .doing("could not look for a table")
}

/// About how many rows each table has, its partitions included, as PostgreSQL last counted them.
pub(super) async fn rows(connection: &mut PgConnection) -> Result<HashMap<String, i64>, DatabaseError> {
    let counted: Vec<(String, i64)> = sqlx::query_as(
        "select coalesce(pg_partition_root(oid), oid)::regclass::text, sum(reltuples)::bigint from pg_class
         where relkind = 'r' and reltuples >= 0 and pg_table_is_visible(oid) group by 1",
    )
    .fetch_all(connection)
    .await
    .doing("could not read how large the tables are")?;
    Ok(counted.into_iter().collect())
}
