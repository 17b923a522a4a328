//! What servers say of themselves. Nobody needs a right for these statements.

use sqlx::postgres::PgConnection;

use super::judge::{Origin, Position, Seen};

/// Where the database is. What was flushed, not what was written: a commit is told once it is flushed, and a replica gets no more than
/// that. What is committed without waiting for the disk (`synchronous_commit = off`) is flushed within a second.
///
/// # Errors
/// When it does not answer, or is in recovery itself.
pub(super) async fn position(connection: &mut PgConnection) -> Result<Position, sqlx::Error> {
    // The first eight digits of a file of the write-ahead log are the timeline.
    let (system, database, timeline, flushed): (i64, i64, i64, i64) = sqlx::query_as(
        "select (select system_identifier from pg_control_system()),
             (select oid::int8 from pg_database where datname = current_database()),
             ('x' || left(pg_walfile_name(flushed), 8))::bit(32)::int8, (flushed - '0/0')::int8
         from pg_current_wal_flush_lsn() flushed",
    )
    .fetch_one(connection)
    .await?;
    Ok(Position { origin: Origin { system, database, timeline }, flushed })
}

/// What a server is and shows that is to be a replica. Its timeline is told as of what it has on disk, which may be minutes late after
/// a failover: until then it is not read from.
///
/// # Errors
/// When it does not answer.
pub(super) async fn seen(connection: &mut PgConnection) -> Result<Seen, sqlx::Error> {
    let (is_in_recovery, system, database, timeline, replayed): (bool, i64, i64, i64, Option<i64>) = sqlx::query_as(
        "select pg_is_in_recovery(), (select system_identifier from pg_control_system()),
             (select oid::int8 from pg_database where datname = current_database()),
             (select min_recovery_end_timeline::int8 from pg_control_recovery()),
             (pg_last_wal_replay_lsn() - '0/0')::int8",
    )
    .fetch_one(connection)
    .await?;
    Ok(Seen { is_in_recovery, origin: Origin { system, database, timeline }, replayed })
}

/// Those of these tables that the user may not read.
///
/// # Errors
/// When the server does not answer, or has no such table.
pub(super) async fn unreadable(connection: &mut PgConnection, tables: &[&str]) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar("select name from unnest($1::text[]) name where not has_table_privilege(name, 'SELECT')")
        .bind(tables)
        .fetch_all(connection)
        .await
}
