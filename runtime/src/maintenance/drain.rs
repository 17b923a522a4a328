//! `purser maintenance drain`: from refused writes to a database in which nothing of money changes.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use runtime_contract::{Outcome, Reason};
use sqlx::{AssertSqlSafe, PgConnection};

use super::{State, Work, barrier, state, work};
use crate::backup::MONEY_TABLES;
use crate::database::{DatabaseError, Doing, notify, try_lock};
use crate::{migrate, queue};

/// What a merchant changes. The triggers on these refuse as soon as maintenance is on.
const ACCEPTING: [&str; 4] = ["idempotency_keys", "users", "payment_methods", "webhook_endpoints"];
/// What is claimed.
const CLAIMED: [&str; 2] = ["work_items", "operation_items"];
/// Any number that no other part of the program locks.
const LOCK: i64 = 0x7075_7273_6572_6d74;
const EVERY: Duration = Duration::from_millis(200);

/// Everything is at rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// What goes on when maintenance ends.
    pub work: Work,
}

/// Why not everything is at rest.
#[derive(Debug, thiserror::Error)]
pub enum DrainError {
    /// The database.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The database belongs to somebody else.
    #[error("the database belongs to {0}; it was left as it is")]
    OwnedByAnother(String),
    /// There is no schema, or one from before maintenance.
    #[error("the schema of the database is too old for maintenance; \"purser migrate\" comes first")]
    SchemaTooOld,
    /// Nothing says that writes are to be refused.
    #[error("maintenance is off: settings with it come first")]
    Off,
    /// Time is up.
    #[error("not at rest after {waited_s} s: {what}; work goes on, and nothing is accepted")]
    Unfinished {
        /// For how long it was waited.
        waited_s: u64,
        /// What it is that did not end.
        what: String,
    },
}

impl DrainError {
    /// The class of the failure.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::Database(error) => error.reason(),
            Self::OwnedByAnother(_) => Reason::DatabaseOwnedByAnother,
            Self::SchemaTooOld => Reason::SchemaMismatch,
            Self::Off | Self::Unfinished { .. } => Reason::NotDrained,
        }
    }

    /// Whether the same command may work later by itself.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match self.reason() {
            Reason::DatabaseUnreachable | Reason::NotDrained => Outcome::Retry,
            _ => Outcome::Failed,
        }
    }
}

/// Until when it is waited.
pub(super) struct Deadline {
    begin: Instant,
    limit: Duration,
}

impl Deadline {
    /// A little time, as long as there is some. `what` is waited for.
    pub(super) async fn pause(&self, what: impl FnOnce() -> String) -> Result<(), DrainError> {
        if self.begin.elapsed() >= self.limit {
            return Err(DrainError::Unfinished { waited_s: self.limit.as_secs(), what: what() });
        }
        tokio::time::sleep(EVERY).await;
        Ok(())
    }
}

/// Waits until everything is at rest, and keeps it there until settings without maintenance are applied. When time is up before,
/// work goes on as if this had not been. Once everything is at rest, doing it again changes nothing.
///
/// # Errors
/// [`DrainError`]; after [`DrainError::Database`] work may stand still until this is done again, or maintenance ends.
pub async fn drain(connection: &mut PgConnection, owner: &str, limit: Duration) -> Result<Drained, DrainError> {
    check_owner(connection, owner).await?;
    let deadline = Deadline { begin: Instant::now(), limit };
    alone(connection, &deadline).await?;
    let begun = read(connection).await?.ok_or(DrainError::Off)?;
    // What was frozen before may be what a backup is being taken of: that is left as it is.
    let was_frozen = begun.frozen_at.is_some();
    if !was_frozen && begun.held_at.is_some() {
        // A run that was killed half-way.
        let_go(connection).await?;
    }
    let drained = rest(connection, was_frozen, &deadline).await;
    if !was_frozen && matches!(drained, Err(DrainError::Unfinished { .. })) {
        let_go(connection).await?;
    }
    drained
}

async fn rest(connection: &mut PgConnection, was_frozen: bool, deadline: &Deadline) -> Result<Drained, DrainError> {
    barrier::past(connection, &ACCEPTING, deadline).await?;
    if !was_frozen {
        due_is_done(connection, deadline).await?;
    }
    // What is in work is still taken to its end: a call to a provider may be on its way, and its outcome must be written.
    advance(connection, "held_at").await?;
    barrier::past(connection, &CLAIMED, deadline).await?;
    nothing_in_work(connection, deadline).await?;
    advance(connection, "frozen_at").await?;
    barrier::past(connection, &MONEY_TABLES, deadline).await?;
    Ok(Drained { work: figures(connection).await? })
}

async fn check_owner(connection: &mut PgConnection, owner: &str) -> Result<(), DrainError> {
    match migrate::owner_of(connection).await {
        Ok(Some(present)) if present == owner => Ok(()),
        Ok(Some(other)) => Err(DrainError::OwnedByAnother(other)),
        Ok(None) => Err(DrainError::SchemaTooOld),
        Err(DatabaseError::Statement { cause, .. }) if is_undefined_table(&cause) => Err(DrainError::SchemaTooOld),
        Err(error) => Err(error.into()),
    }
}

/// Two that drain at a time would undo what the other one did. The lock goes with the connection.
async fn alone(connection: &mut PgConnection, deadline: &Deadline) -> Result<(), DrainError> {
    while !try_lock(connection, LOCK, "could not ask for the lock of maintenance").await? {
        deadline.pause(|| "another command drains".to_owned()).await?;
    }
    Ok(())
}

async fn read(connection: &mut PgConnection) -> Result<Option<State>, DrainError> {
    match state(connection).await {
        Err(error) if is_undefined_table(&error) => Err(DrainError::SchemaTooOld),
        read => Ok(read.doing("could not read how far maintenance is")?),
    }
}

fn is_undefined_table(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(|error| error.code()).as_deref() == Some("42P01")
}

/// What is due now is done: ended, or found to be for later. What becomes due meanwhile need not be.
async fn due_is_done(connection: &mut PgConnection, deadline: &Deadline) -> Result<(), DrainError> {
    let begin: DateTime<Utc> = sqlx::query_scalar("select clock_timestamp()")
        .fetch_one(&mut *connection)
        .await
        .doing("could not ask for the time")?;
    loop {
        let due: i64 = sqlx::query_scalar(
            "select (select count(*) from work_items where parked_at is null and run_at <= $1)
                 + (select count(*) from operation_items where parked_at is null and run_at <= $1)",
        )
        .bind(begin)
        .fetch_one(&mut *connection)
        .await
        .doing("could not look for work that is due")?;
        if due == 0 {
            return Ok(());
        }
        deadline.pause(|| format!("{due} payments or operations are due and not done")).await?;
    }
}

/// Nobody can claim anything any more: what is in work becomes less. A worker that died has nothing in work.
async fn nothing_in_work(connection: &mut PgConnection, deadline: &Deadline) -> Result<(), DrainError> {
    loop {
        let Work { in_work, .. } = figures(connection).await?;
        if in_work == 0 {
            return Ok(());
        }
        let workers: Vec<String> = sqlx::query_scalar(
            "select distinct leased_by from (select leased_by, leased_until from work_items
                 union all select leased_by, leased_until from operation_items) as item
             where leased_until > now() order by 1 limit 5",
        )
        .fetch_all(&mut *connection)
        .await
        .doing("could not ask who works")?;
        deadline.pause(|| format!("{in_work} payments or operations are with {}", workers.join(", "))).await?;
    }
}

async fn figures(connection: &mut PgConnection) -> Result<Work, DrainError> {
    Ok(work(connection).await.doing("could not look for what is in work")?)
}

/// Goes a stage further, unless it was reached before.
async fn advance(connection: &mut PgConnection, stage: &'static str) -> Result<(), DrainError> {
    let statement = format!("update platform_maintenance set {stage} = coalesce({stage}, now())");
    let advanced = sqlx::query(AssertSqlSafe(statement)).execute(connection).await.doing("could not go on")?;
    if advanced.rows_affected() == 0 { Err(DrainError::Off) } else { Ok(()) }
}

/// Work goes on; nothing is accepted nevertheless.
async fn let_go(connection: &mut PgConnection) -> Result<(), DrainError> {
    let statement = "update platform_maintenance set held_at = null, frozen_at = null";
    sqlx::query(statement).execute(&mut *connection).await.doing("could not let work go on")?;
    notify(connection, queue::listen::CHANNEL, "").await.doing("could not tell that work goes on")?;
    Ok(())
}
