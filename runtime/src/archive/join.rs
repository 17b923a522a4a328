//! Making what was loaded a partition: whatever takes long is done before it is attached, which payments wait for.

use chrono::{DateTime, Utc};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use super::error::ArchiveError;
use super::id::ArchiveId;
use super::moves;
use crate::database::{DatabaseError, Doing};
use crate::partitions;

/// What a month is called while it is loaded.
pub(super) fn loading(id: ArchiveId) -> String {
    format!("restoring_{id}")
}

/// The table that a month is loaded into. It has the check of its month, or else all of it would be read while it is attached.
pub(super) async fn make(transaction: &mut PgConnection, id: ArchiveId) -> Result<(), ArchiveError> {
    let (table, like, check) = (loading(id), id.table(), partitions::month_check(id.month()));
    let statements = format!(
        "drop table if exists {table}; create table {table} (like {like} including defaults including constraints,
             constraint {id}_month_check check ({check}))"
    );
    moves::within(transaction, id, &statements).await
}

/// Has the rows looked at, and found by the indexes of the table.
pub(super) async fn prepare(connection: &mut PgConnection, id: ArchiveId) -> Result<(), ArchiveError> {
    let table = loading(id);
    for definition in keys(connection, id, "p,u").await?.into_iter().map(|(_, definition)| definition) {
        in_short(connection, id, &format!("alter table {table} add {definition}")).await?;
    }
    for index in indexes(connection, id).await? {
        in_short(connection, id, &index).await?;
    }
    for (name, definition) in keys(connection, id, "f").await? {
        in_short(connection, id, &format!("alter table {table} add constraint {name} {definition} not valid")).await?;
        in_short(connection, id, &format!("alter table {table} validate constraint {name}")).await?;
    }
    Ok(())
}

/// Constraints of the table that are of one of these kinds: the name and what it is, as SQL takes them.
async fn keys(
    connection: &mut PgConnection,
    id: ArchiveId,
    kinds: &str,
) -> Result<Vec<(String, String)>, DatabaseError> {
    sqlx::query_as(
        "select quote_ident(conname), pg_get_constraintdef(oid) from pg_constraint
         where conrelid = $1::regclass and contype::text = any (string_to_array($2, ','))",
    )
    .bind(id.table())
    .bind(kinds)
    .fetch_all(connection)
    .await
    .doing("could not read the keys of a table")
}

/// Statements that make the other indexes of the table, for what is loaded.
async fn indexes(connection: &mut PgConnection, id: ArchiveId) -> Result<Vec<String>, DatabaseError> {
    let definitions: Vec<(bool, String)> = sqlx::query_as(
        "select indisunique, pg_get_indexdef(indexrelid) from pg_index i
         where indrelid = $1::regclass and not exists (select from pg_constraint where conindid = i.indexrelid and contype in ('p', 'u'))",
    )
    .bind(id.table())
    .fetch_all(connection)
    .await
    .doing("could not read the indexes of a table")?;
    // create [unique] index NAME on only TABLE using …
    let made = definitions.iter().filter_map(|(is_unique, definition)| {
        let (_, what) = definition.split_once(" USING ")?;
        let unique = if *is_unique { "unique " } else { "" };
        Some(format!("create {unique}index on {} using {what}", loading(id)))
    });
    Ok(made.collect())
}

async fn in_short(connection: &mut PgConnection, id: ArchiveId, statements: &str) -> Result<(), ArchiveError> {
    let mut transaction = connection.begin().await.doing("could not begin to bring a month back")?;
    moves::within(&mut transaction, id, statements).await?;
    Ok(transaction.commit().await.doing("could not bring a month back")?)
}

/// Attaches it.
pub(super) async fn attach(
    connection: &mut PgConnection,
    id: ArchiveId,
    now: DateTime<Utc>,
) -> Result<(), ArchiveError> {
    let mut transaction = connection.begin().await.doing("could not begin to bring a month back")?;
    // The name is one of ours.
    let rename = AssertSqlSafe(format!("alter table {} rename to {id}", loading(id)));
    sqlx::raw_sql(rename).execute(&mut *transaction).await.doing("could not bring a month back")?;
    sqlx::query("update archived_partitions set restored_at = $2 where partition = $1")
        .bind(id.to_string())
        .bind(now)
        .execute(&mut *transaction)
        .await
        .doing("could not write down what was brought back")?;
    let name = id.to_string();
    let statements = [partitions::protect(id.table(), &name), partitions::attach(id.table(), &name, id.month())];
    let statements: Vec<String> = statements.into_iter().filter(|statement| !statement.is_empty()).collect();
    moves::within(&mut transaction, id, &statements.join("; ")).await?;
    Ok(transaction.commit().await.doing("could not bring a month back")?)
}
