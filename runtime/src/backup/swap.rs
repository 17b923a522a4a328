//! Two databases change their names in one transaction, and nothing is written in between.
//!
//! Whoever renames a database holds a lock on it, which keeps new sessions out, and waits five seconds for the others to go. In these
//! they are ended, all but the session that refuses writes; that one goes last. So there is no moment in which a payment could be
//! accepted and then be lost, and nothing that a killed run would leave behind: its sessions end, and with them all that they hold.

use std::time::{Duration, Instant};

use sqlx::{AssertSqlSafe, Connection, PgConnection};

use super::error::BackupError;
use super::scratch::Scratch;
use super::sums::quoted;
use crate::database::{self, DatabaseError, Doing};

/// A little less than PostgreSQL waits.
const PATIENCE: Duration = Duration::from_secs(4);
const STEP: Duration = Duration::from_millis(50);

/// Renames `name` to `old`, and `new` to `name`. `guard` is in the first, and refuses writes; nobody else may be in the second.
pub(super) async fn swap(
    mut guard: PgConnection,
    new: &str,
    name: &str,
    old: &str,
    aside: &mut Scratch,
    wait: Duration,
) -> Result<(), BackupError> {
    let (guarding, database): (i32, i64) =
        sqlx::query_as("select pg_backend_pid(), oid::bigint from pg_database where datname = current_database()")
            .fetch_one(&mut guard)
            .await
            .doing("could not ask for a session's number")?;
    let mut helper = database::connect(&aside.url, "purser backup", wait).await?;
    let renamer = aside.session();
    let renaming: i32 = sqlx::query_scalar("select pg_backend_pid()")
        .fetch_one(&mut *renamer)
        .await
        .doing("could not ask for a session's number")?;
    let mut transaction = renamer.begin().await.doing("could not begin to rename")?;
    let renamed = rename(&mut transaction, name, old);
    let empty = async {
        wait_for_lock(&mut helper, database, renaming).await?;
        let left = end_others(&mut helper, database, guarding).await;
        // It goes whatever the others do: the one who renames waits for it.
        let gone = guard.close().await.doing("could not end the session that refuses writes");
        left.and_then(|left| gone.map(|()| left))
    };
    let (renamed, left) = tokio::join!(renamed, empty);
    if let Err(sqlx::Error::Database(error)) = &renamed
        && error.code().as_deref() == Some("55006")
    {
        return Err(BackupError::InUse { database: name.to_owned(), users: left?.join(", ") });
    }
    renamed.doing("could not rename the database")?;
    rename(&mut transaction, new, name).await.doing("could not rename the restored database")?;
    transaction.commit().await.doing("could not commit the new names")?;
    tracing::info!(old, "the restored database is in its place");
    Ok(())
}

async fn rename(session: &mut PgConnection, from: &str, to: &str) -> Result<(), sqlx::Error> {
    let statement = format!("alter database {} rename to {}", quoted(from), quoted(to));
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(session).await.map(drop)
}

/// Waits until nobody can connect any more.
async fn wait_for_lock(helper: &mut PgConnection, database: i64, renaming: i32) -> Result<(), DatabaseError> {
    let begin = Instant::now();
    while begin.elapsed() < PATIENCE {
        let held: bool = sqlx::query_scalar(
            "select exists (select from pg_locks where locktype = 'object' and classid = 'pg_database'::regclass
                 and objid::bigint = $1 and pid = $2 and mode = 'AccessExclusiveLock' and granted)",
        )
        .bind(database)
        .bind(renaming)
        .fetch_one(&mut *helper)
        .await
        .doing("could not look for the lock on the database")?;
        if held {
            break;
        }
        tokio::time::sleep(STEP).await;
    }
    Ok(())
}

/// Ends all sessions but one. Inside are the users of those that cannot be ended.
async fn end_others(helper: &mut PgConnection, database: i64, guarding: i32) -> Result<Vec<String>, DatabaseError> {
    let begin = Instant::now();
    loop {
        let left: Vec<(String, bool)> = sqlx::query_as(
            "select usename::text, case when pg_has_role(usesysid, 'member') then pg_terminate_backend(pid) else false end
             from pg_stat_activity
             where datid::bigint = $1 and pid <> $2 and usename is not null",
        )
        .bind(database)
        .bind(guarding)
        .fetch_all(&mut *helper)
        .await
        .doing("could not end the sessions of others")?;
        if left.is_empty() || begin.elapsed() >= PATIENCE || left.iter().all(|(_, ending)| !ending) {
            return Ok(left.into_iter().map(|(user, _)| user).collect());
        }
        tokio::time::sleep(STEP).await;
    }
}
