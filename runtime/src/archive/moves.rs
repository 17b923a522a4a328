//! Taking a partition out of its table, putting it back, and dropping it: none of it may hold payments up, so whoever does not get
//! a lock at once lets the others pass, and tries again.

use std::time::Duration;

use sqlx::{AssertSqlSafe, PgConnection};

use super::error::ArchiveError;
use super::id::ArchiveId;
use super::look::{self, Place};
use crate::database::{self, DatabaseError, Doing};
use crate::partitions;

/// Below the second after which PostgreSQL looks for deadlocks. Whoever waits for a lock on a whole table has others wait behind it.
const LOCK_WAIT: &str = "set lock_timeout = '900ms'";
/// What is between two tries.
const PAUSE: Duration = Duration::from_millis(500);
const TRIES: u32 = 30;

/// Limits waiting for locks in this session.
pub(super) async fn settle(connection: &mut PgConnection) -> Result<(), DatabaseError> {
    sqlx::raw_sql(LOCK_WAIT).execute(connection).await.doing("could not limit waiting")?;
    Ok(())
}

/// Takes a partition out of its table. Readers and writers of the table go on.
pub(super) async fn detach(connection: &mut PgConnection, id: ArchiveId) -> Result<(), ArchiveError> {
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

/// Makes a table a partition again that was one.
pub(super) async fn put_back(connection: &mut PgConnection, id: ArchiveId) -> Result<(), ArchiveError> {
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
