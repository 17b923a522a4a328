//! Locks of the database that one session of the program has, and gives back at its end at the latest.

use std::time::{Duration, Instant};

use sqlx::PgConnection;

use super::{DatabaseError, Doing};

const PAUSE: Duration = Duration::from_millis(500);

/// Takes the lock of this number if nobody has it. `asking` is what fails when the database does not answer.
pub(crate) async fn try_lock(
    connection: &mut PgConnection,
    number: i64,
    asking: &'static str,
) -> Result<bool, DatabaseError> {
    sqlx::query_scalar("select pg_try_advisory_lock($1)").bind(number).fetch_one(connection).await.doing(asking)
}

/// The same, trying again for some time; `waiting` is told each time. Whether it was had.
///
/// It polls rather than waits inside PostgreSQL: a waiting statement holds a snapshot, and the lock's holder may be
/// waiting for that very snapshot to go, in `create index concurrently`.
pub(crate) async fn lock(
    connection: &mut PgConnection,
    number: i64,
    patience: Duration,
    asking: &'static str,
    waiting: &str,
) -> Result<bool, DatabaseError> {
    let begin = Instant::now();
    while !try_lock(connection, number, asking).await? {
        if begin.elapsed() >= patience {
            return Ok(false);
        }
        tracing::info!("{waiting}");
        tokio::time::sleep(PAUSE).await;
    }
    Ok(true)
}
