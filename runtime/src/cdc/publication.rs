//! The publication on the payments database, and who may read it.

use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Connection, Row};

use super::error::CdcError;
use super::source::{Names, Table};
use super::{PUBLICATION, Sides, literal, options};
use crate::backup::quoted;
use crate::database::{DatabaseError, Doing};
use crate::migrate;

/// What is published now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Publication {
    /// In the order of names.
    pub(super) tables: Vec<Names>,
    /// Whether its options are as they are to be.
    is_right: bool,
    /// Version of the schema of the program that made it.
    pub(super) schema: Option<i64>,
}

/// What is published now; none when there is no publication.
pub(super) async fn find(session: &mut PgConnection) -> Result<Option<Publication>, DatabaseError> {
    let row: Option<PgRow> = sqlx::query(
        "select pubviaroot and pubinsert and pubupdate and pubdelete and not pubtruncate and not puballtables as is_right,
             substring(obj_description(oid, 'pg_publication') from 'schema version ([0-9]+)')::bigint as schema
         from pg_publication where pubname = $1",
    )
    .bind(PUBLICATION)
    .fetch_optional(&mut *session)
    .await
    .doing("could not look for the publication")?;
    let Some(row) = row else { return Ok(None) };
    let tables = sqlx::query_as(
        "select tablename::text, array(select unnest(attnames)::text order by 1) from pg_publication_tables
         where pubname = $1 order by 1",
    )
    .bind(PUBLICATION)
    .fetch_all(session)
    .await
    .doing("could not read what is published")?;
    Ok(Some(Publication { tables, is_right: row.get("is_right"), schema: row.get("schema") }))
}

/// Whether rows hold in a column that is new to analytics what those of before it do not.
pub(super) async fn is_filled(
    session: &mut PgConnection,
    table: &Table,
    published: &Names,
) -> Result<bool, DatabaseError> {
    let new = table.columns.iter().filter(|column| !published.1.contains(&column.name));
    let differs: Vec<String> = new
        .map(|column| {
            let initial = column.initial.as_deref().map_or_else(|| "null".to_owned(), literal);
            format!("{}::{} is distinct from {initial}::{}", quoted(&column.name), column.kind, column.kind)
        })
        .collect();
    if differs.is_empty() {
        return Ok(false);
    }
    let statement = format!("select exists (select from {} where {})", quoted(&table.name), differs.join(" or "));
    // Names and types come from the catalogue, quoted.
    sqlx::query_scalar(AssertSqlSafe(statement)).fetch_one(session).await.doing("could not look into a new column")
}

/// No longer publishes some tables, so that they can be copied anew.
pub(super) async fn withdraw(session: &mut PgConnection, tables: &[&Table]) -> Result<(), DatabaseError> {
    let names: Vec<String> = tables.iter().map(|table| quoted(&table.name)).collect();
    let statement = format!("alter publication {PUBLICATION} drop table {}", names.join(", "));
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(session).await.doing("could not withdraw a table")?;
    Ok(())
}

/// Makes the publication what it is to be. Says whether anything was changed.
pub(super) async fn publish(
    session: &mut PgConnection,
    sides: &Sides<'_>,
    now: Option<&Publication>,
    tables: &[Table],
) -> Result<bool, CdcError> {
    let mut names: Vec<Names> = tables.iter().map(Table::names).collect();
    names.sort_unstable();
    let own = migrate::schema_version();
    let is_newer = now.is_some_and(|now| now.schema > Some(own));
    if now.is_some_and(|now| now.is_right && now.tables == names && now.schema >= Some(own)) {
        return Ok(false);
    }
    let list: Vec<String> = tables
        .iter()
        .map(|table| {
            let columns: Vec<String> = table.columns.iter().map(|column| quoted(&column.name)).collect();
            format!("table {} ({})", quoted(&table.name), columns.join(", "))
        })
        .collect();
    let list = list.join(", ");
    // What is truncated, or goes with an old partition, is history for analytics.
    let with = "publish = 'insert, update, delete', publish_via_partition_root = true";
    let mut statements = match now {
        None => format!("create publication {PUBLICATION} for {list} with ({with});"),
        Some(_) => format!("alter publication {PUBLICATION} set ({with}); alter publication {PUBLICATION} set {list};"),
    };
    if !is_newer {
        statements.push_str(&format!("comment on publication {PUBLICATION} is 'Purser, schema version {own}';"));
    }
    let mut transaction = session.begin().await.doing("could not begin to publish")?;
    let done = sqlx::raw_sql(AssertSqlSafe(statements)).execute(&mut *transaction).await;
    if let Err(sqlx::Error::Database(error)) = &done
        && error.code().as_deref() == Some("42501")
    {
        return Err(CdcError::MayNotPublish(options("database-url", sides.payments)?.get_username().to_owned()));
    }
    done.doing("could not publish")?;
    transaction.commit().await.doing("could not commit the publication")?;
    Ok(true)
}

/// Lets the role by which analytics reads see what is published, and nothing else. A role that sees everything already, or that
/// only a pooler in between knows, is left alone. Says whether anything was changed.
pub(super) async fn grant(session: &mut PgConnection, sides: &Sides<'_>, tables: &[Table]) -> Result<bool, CdcError> {
    let role = options("analytics-source-url", sides.source)?.get_username().to_owned();
    let mut statements = String::new();
    for table in tables {
        let (name, columns) = table.names();
        let lacking: Vec<String> = sqlx::query_scalar(
            "select c from unnest($3::text[]) c, pg_roles r
             where r.rolname = $1 and not has_column_privilege(r.oid, to_regclass('public.' || quote_ident($2)), c, 'select')",
        )
        .bind(&role)
        .bind(&name)
        .bind(&columns)
        .fetch_all(&mut *session)
        .await
        .doing("could not ask what the role of analytics may read")?;
        if !lacking.is_empty() {
            let lacking: Vec<String> = lacking.iter().map(|column| quoted(column)).collect();
            statements.push_str(&format!(
                "grant select ({}) on {} to {};",
                lacking.join(", "),
                quoted(&name),
                quoted(&role)
            ));
        }
    }
    if statements.is_empty() {
        return Ok(false);
    }
    sqlx::raw_sql(AssertSqlSafe(statements))
        .execute(session)
        .await
        .doing("could not let the role of analytics read what is published")?;
    Ok(true)
}
