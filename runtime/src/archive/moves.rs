//! Taking a partition out of its table, putting it back, and dropping it: none of it may hold payments up, so whoever does not get
//! a lock at once lets the others pass, and tries again.

use std::time::Duration;

use sqlx::{AssertSqlSafe, PgConnection};

use super::error::ArchiveError;
use super::id::ArchiveId;
use super::look::{self, Place};
use super::refuse_in_maintenance;
use crate::database::{self, DatabaseError, Doing};
use crate::partitions;

/// Below the second after which PostgreSQL looks for deadlocks. Whoever waits for a lock on a whole table has others wait behind it.
const LOCK_WAIT: &str = "set lock_timeout = '900ms'";
/// What is between two tries.
const PAUSE: Duration = Duration::from_millis(500);
const TRIES: u32 = 30;
/// How often to look whether those who use a table are gone: five seconds.
const LOOKS: u32 = 10;

/// Limits waiting for locks in this session.
pub(super) async fn settle(connection: &mut PgConnection) -> Result<(), DatabaseError> {
    sqlx::raw_sql(LOCK_WAIT).execute(connection).await.doing("could not limit waiting")?;
    Ok(())
}

/// Takes a partition out of its table. Readers and writers of the table go on.
pub(super) async fn detach(connection: &mut PgConnection, id: ArchiveId) -> Result<(), ArchiveError> {
    wait_for_users(connection, id).await?;
    for tries in 1.. {
        let table = id.table();
        let statement = match look::place(connection, id).await? {
            Some(Place::Attached) => format!("alter table {table} detach partition {id} concurrently"),
            Some(Place::Detaching) => format!("alter table {table} detach partition {id} finalize"),
            Some(Place::Detached) | None => return Ok(()),
        };
        once(connection, id, &statement, tries).await?;
    }
    Ok(())
}

/// A partition stays half detached, where nobody sees its rows, until every transaction is over that uses the table now. One that
/// lasts is told of before anything is moved.
async fn wait_for_users(connection: &mut PgConnection, id: ArchiveId) -> Result<(), ArchiveError> {
    let mut using = users(connection, id.table()).await?;
    for _ in 0..LOOKS {
        if using.is_empty() {
            return Ok(());
        }
        tokio::time::sleep(PAUSE).await;
        let now = users(connection, id.table()).await?;
        using.retain(|user| now.contains(user));
    }
    let message = format!("transactions have used {} for {} s", id.table(), (PAUSE * LOOKS).as_secs());
    if using.is_empty() { Ok(()) } else { Err(ArchiveError::InUse { id, message }) }
}

/// Transactions that have a lock on a table. When one began is not for everybody to know.
async fn users(connection: &mut PgConnection, table: &str) -> Result<Vec<String>, DatabaseError> {
    sqlx::query_scalar(
        "select virtualtransaction from pg_locks where locktype = 'relation' and relation = $1::regclass and granted
             and database = (select oid from pg_database where datname = current_database())
             and pid is distinct from pg_backend_pid()",
    )
    .bind(table)
    .fetch_all(connection)
    .await
    .doing("could not ask who uses a table")
}

/// What an interrupted run took out of its table.
pub(super) async fn left_out(connection: &mut PgConnection) -> Result<Vec<ArchiveId>, DatabaseError> {
    let all = look::partitions(connection).await?;
    Ok(all.into_iter().filter(|(_, place)| *place != Place::Attached).map(|(id, _)| id).collect())
}

/// Puts that back. To be called under the lock of migrations: the columns of a table must be those of its partitions.
pub(super) async fn put_back_all(connection: &mut PgConnection) -> Result<(), ArchiveError> {
    for id in left_out(connection).await? {
        tracing::info!(%id, "putting back what an interrupted run took out");
        put_back(connection, id).await?;
    }
    Ok(())
}

/// The same for whoever is about to change the schema, or to look at the whole database.
///
/// # Errors
/// When something is out of its table and does not go back, or the platform is in maintenance.
pub(crate) async fn put_back_left_out(connection: &mut PgConnection) -> Result<(), ArchiveError> {
    let Some(id) = left_out(connection).await?.first().copied() else { return Ok(()) };
    match refuse_in_maintenance(connection).await {
        Err(ArchiveError::Maintenance) => return Err(ArchiveError::LeftOutInMaintenance(id)),
        refused => refused?,
    }
    settle(connection).await?;
    put_back_all(connection).await
}

/// Makes a table a partition again that was one.
pub(super) async fn put_back(connection: &mut PgConnection, id: ArchiveId) -> Result<(), ArchiveError> {
    attach_again(connection, id).await.map_err(|error| ArchiveError::LeftOut {
        id,
        outcome: error.outcome(),
        message: match error {
            ArchiveError::InUse { message, .. } => message,
            error => error.to_string(),
        },
    })
}

async fn attach_again(connection: &mut PgConnection, id: ArchiveId) -> Result<(), ArchiveError> {
    for tries in 1.. {
        let statement = match look::place(connection, id).await? {
            Some(Place::Detaching) => format!("alter table {} detach partition {id} finalize", id.table()),
            Some(Place::Detached) => partitions::attach(id.table(), &id.to_string(), id.month()),
            Some(Place::Attached) | None => return Ok(()),
        };
        once(connection, id, &statement, tries).await?;
    }
    Ok(())
}

/// Runs a statement that needs a lock. Not to have got it is no failure before the last try.
async fn once(connection: &mut PgConnection, id: ArchiveId, statement: &str, tries: u32) -> Result<(), ArchiveError> {
    // Names come from ours, dates from the calendar.
    match sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(connection).await {
        Ok(_) => Ok(()),
        Err(error) if lock_not_had(&error) => again(id, &error, tries).await,
        Err(error) => Err(error).doing("could not move a partition")?,
    }
}

async fn again(id: ArchiveId, error: &sqlx::Error, tries: u32) -> Result<(), ArchiveError> {
    if tries >= TRIES {
        return Err(ArchiveError::InUse { id, message: database::explain(error) });
    }
    tracing::info!(%id, tries, "a table is in use; trying again");
    tokio::time::sleep(PAUSE).await;
    Ok(())
}

fn lock_not_had(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    // Lock not available, deadlock.
    matches!(code.as_deref(), Some("55P03" | "40P01"))
}

/// Runs statements within the caller's transaction that need locks, without losing the locks which it has.
pub(super) async fn within(connection: &mut PgConnection, id: ArchiveId, statements: &str) -> Result<(), ArchiveError> {
    for tries in 1.. {
        let statements = format!("savepoint locks; {statements}; release savepoint locks");
        match sqlx::raw_sql(AssertSqlSafe(statements)).execute(&mut *connection).await {
            Ok(_) => return Ok(()),
            Err(error) if lock_not_had(&error) => {
                sqlx::raw_sql("rollback to savepoint locks; release savepoint locks")
                    .execute(&mut *connection)
                    .await
                    .doing("could not let others pass")?;
                again(id, &error, tries).await?;
            }
            Err(error) => Err(error).doing("could not move a partition")?,
        }
    }
    Ok(())
}
