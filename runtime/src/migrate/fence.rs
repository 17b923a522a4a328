//! Keeps out a Job that an operator started which is not at work any more: it was held up, and another one has taken its place.
//!
//! Each time that an operator takes its lease it has a greater number than any before it. The database remembers the greatest that it
//! has seen. The table is the runner's own, as the history is: the number counts before the first file is applied.

use sqlx::PgConnection;

use super::MigrateError;
use crate::database::Doing;

const TABLE: &str = "
    create table if not exists _purser_fence (
        only_row boolean primary key default true check (only_row),
        token bigint not null
    );
    comment on table _purser_fence is 'The greatest number of an operator that has migrated: one with a smaller number is refused.'";
/// Nothing comes back for a token that is too small.
const PASS: &str = "
    insert into _purser_fence (token) values ($1)
    on conflict (only_row) do update set token = excluded.token where _purser_fence.token <= excluded.token
    returning token";

/// Refuses a token that is smaller than one seen before. Who holds the migration lock is alone here.
pub(super) async fn pass(connection: &mut PgConnection, token: i64) -> Result<(), MigrateError> {
    let made = sqlx::raw_sql(TABLE).execute(&mut *connection).await;
    made.doing("could not make the table of the fence")?;
    let passed: Option<i64> = sqlx::query_scalar(PASS)
        .bind(token)
        .fetch_optional(&mut *connection)
        .await
        .doing("could not pass the fence")?;
    if passed.is_some() {
        return Ok(());
    }
    let newest: i64 = sqlx::query_scalar("select token from _purser_fence")
        .fetch_one(connection)
        .await
        .doing("could not read the fence")?;
    Err(MigrateError::Superseded { token, newest })
}
