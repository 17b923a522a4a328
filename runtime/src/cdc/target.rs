//! The analytics database: whose it is, and its tables.

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, FromRow};

use super::error::CdcError;
use super::source::{self, Column, Names, Ranges, Table};
use super::{Sides, connect_target, literal};
use crate::backup::quoted;
use crate::database::{DatabaseError, Doing};

/// A column that is there.
#[derive(FromRow)]
struct Found {
    name: String,
    kind: String,
    /// Whether a row that lacks it is refused.
    is_needed: bool,
    is_key: bool,
}

/// A session in an analytics database that this owner may fill. Nothing is changed.
pub(super) async fn open(sides: &Sides<'_>, payments: (i64, i32)) -> Result<PgConnection, CdcError> {
    let mut session = connect_target(sides.analytics, sides.patience.connect).await?;
    let (server, major) = source::server(&mut session).await.map_err(CdcError::Analytics)?;
    if server == payments.0 {
        return Err(CdcError::SameServer);
    }
    if major < 15 {
        return Err(CdcError::TooOld { side: "the analytics database", major });
    }
    let (is_platform, is_claimed): (bool, bool) = sqlx::query_as(
        "select to_regclass('public.platform_owner') is not null, to_regclass('public.purser_source') is not null",
    )
    .fetch_one(&mut session)
    .await
    .doing("could not ask whose it is")
    .map_err(CdcError::Analytics)?;
    if is_platform {
        return Err(CdcError::IsPlatform);
    }
    if is_claimed {
        let owner: Option<String> = sqlx::query_scalar("select owner from purser_source")
            .fetch_optional(&mut session)
            .await
            .doing("could not ask whose it is")
            .map_err(CdcError::Analytics)?;
        if let Some(other) = owner.filter(|owner| owner != sides.owner) {
            return Err(CdcError::FilledByAnother(other));
        }
    }
    Ok(session)
}

/// Makes the database the owner's. Says whether it was not before. Tables of the same names that are there already are somebody else's.
pub(super) async fn claim(session: &mut PgConnection, owner: &str, tables: &[Table]) -> Result<bool, CdcError> {
    let is_claimed = exists(session, "purser_source").await?;
    if !is_claimed {
        for table in tables {
            if exists(session, &table.name).await? {
                return Err(CdcError::InTheWay(table.name.clone()));
            }
        }
    }
    let owner = literal(owner);
    let statements = format!(
        "create table if not exists public.purser_source (
             only_row boolean primary key default true check (only_row), owner text not null, claimed_at timestamptz not null default now());
         comment on table public.purser_source is 'The PaymentCluster whose payments flow into this database.';
         insert into public.purser_source (owner) values ({owner}) on conflict do nothing"
    );
    if is_claimed {
        return Ok(false);
    }
    run(session, statements, "could not say whose it is").await?;
    Ok(true)
}

async fn exists(session: &mut PgConnection, table: &str) -> Result<bool, CdcError> {
    let found = sqlx::query_scalar("select to_regclass('public.' || quote_ident($1)) is not null").bind(table);
    found.fetch_one(session).await.doing("could not look for a table").map_err(CdcError::Analytics)
}

/// Makes a table that takes what is published: plain, with the primary key, and nothing else that could refuse a row. Columns that
/// are new are added before anything of them is sent. Says what was done.
pub(super) async fn ensure(session: &mut PgConnection, table: &Table) -> Result<Option<String>, CdcError> {
    let found: Vec<Found> = sqlx::query_as(
        "select a.attname::text as name, format_type(a.atttypid, null) as kind, a.attnotnull and not a.atthasdef as is_needed,
             exists (select from pg_index i where i.indrelid = a.attrelid and i.indisprimary and a.attnum = any(i.indkey)) as is_key
         from pg_attribute a where a.attrelid = to_regclass('public.' || quote_ident($1)) and a.attnum > 0 and not a.attisdropped",
    )
    .bind(&table.name)
    .fetch_all(&mut *session)
    .await
    .doing("could not read the columns of a table")
    .map_err(CdcError::Analytics)?;
    if found.is_empty() {
        run(session, made(table), "could not make a table").await?;
        return Ok(Some(format!("made the table {}", table.name)));
    }
    check(table, &found)?;
    let new: Vec<&Column> =
        table.columns.iter().filter(|column| found.iter().all(|found| found.name != column.name)).collect();
    if new.is_empty() {
        return Ok(None);
    }
    run(session, added(table, &new), "could not add a column").await?;
    let names: Vec<&str> = new.iter().map(|column| column.name.as_str()).collect();
    Ok(Some(format!("added {} to the table {}", names.join(", "), table.name)))
}

fn made(table: &Table) -> String {
    let columns: Vec<String> =
        table.columns.iter().map(|column| format!("{} {}", quoted(&column.name), column.kind)).collect();
    let key: Vec<String> = table.key().into_iter().map(quoted).collect();
    format!("create table public.{} ({}, primary key ({}))", quoted(&table.name), columns.join(", "), key.join(", "))
}

/// Rows that are there get what the same rows have in the payments database, and those that come say for themselves.
fn added(table: &Table, new: &[&Column]) -> String {
    let name = quoted(&table.name);
    let mut changes = Vec::new();
    let mut forgotten = Vec::new();
    for column in new {
        let (column_name, kind) = (quoted(&column.name), &column.kind);
        let initial = column.initial.as_deref().map(|initial| format!(" default {}::{kind}", literal(initial)));
        if initial.is_some() {
            forgotten.push(format!("alter column {column_name} drop default"));
        }
        changes.push(format!("add column {column_name} {kind}{}", initial.unwrap_or_default()));
    }
    let mut statements = format!("alter table public.{name} {}", changes.join(", "));
    if !forgotten.is_empty() {
        statements.push_str(&format!("; alter table public.{name} {}", forgotten.join(", ")));
    }
    statements
}

/// Whether rows can be written and found again.
fn check(table: &Table, found: &[Found]) -> Result<(), CdcError> {
    let differs = |what: String| Err(CdcError::Differs { table: table.name.clone(), what });
    for column in &table.columns {
        let there = found.iter().find(|found| found.name == column.name);
        if let Some(there) = there.filter(|there| there.kind != column.kind) {
            let (name, is, wanted) = (&column.name, &there.kind, &column.kind);
            return differs(format!(
                "has the column {name} of type {is}, and {wanted} is needed: alter it, or drop the table"
            ));
        }
    }
    let is_ours = |found: &&Found| table.columns.iter().any(|column| column.name == found.name);
    if let Some(other) = found.iter().find(|found| found.is_needed && !is_ours(found)) {
        let name = &other.name;
        return differs(format!(
            "has a column {name} that nothing is sent for, and that must not be empty: give it a default"
        ));
    }
    let (mut key, mut wanted) =
        (found.iter().filter(|found| found.is_key).map(|found| found.name.as_str()).collect::<Vec<_>>(), table.key());
    key.sort_unstable();
    wanted.sort_unstable();
    if key != wanted {
        return differs(format!("has not the primary key ({}): make it, or drop the table", wanted.join(", ")));
    }
    Ok(())
}

/// Removes the rows that are to be copied (again). What the payments database has moved to its archive stays.
pub(super) async fn clear(session: &mut PgConnection, table: &str, ranges: Option<&Ranges>) -> Result<(), CdcError> {
    let table = quoted(table);
    let statements = match ranges {
        None => format!("truncate public.{table}"),
        Some(Ranges { column, bounds }) => {
            let column = quoted(column);
            let each = bounds.iter().map(|(from, to)| {
                let (from, to) = (literal(from), literal(to));
                format!("delete from public.{table} where {column} >= {from} and {column} < {to}")
            });
            each.collect::<Vec<_>>().join("; ")
        }
    };
    run(session, statements, "could not make room for what is to be copied").await
}

/// Tables that the subscription fills, with the state of each.
pub(super) async fn subscribed(
    session: &mut PgConnection,
    name: &str,
) -> Result<Option<Vec<(String, String)>>, DatabaseError> {
    let is_there: bool = sqlx::query_scalar(
        "select exists (select from pg_subscription s join pg_database d on d.oid = s.subdbid
             where d.datname = current_database() and s.subname = $1)",
    )
    .bind(name)
    .fetch_one(&mut *session)
    .await
    .doing("could not look for the subscription")?;
    if !is_there {
        return Ok(None);
    }
    let tables = sqlx::query_as(
        "select c.relname::text, r.srsubstate::text from pg_subscription s join pg_subscription_rel r on r.srsubid = s.oid
             join pg_class c on c.oid = r.srrelid
         where s.subname = $1 and s.subdbid = (select oid from pg_database where datname = current_database()) order by 1",
    )
    .bind(name)
    .fetch_all(session)
    .await
    .doing("could not read what the subscription fills")?;
    Ok(Some(tables))
}

/// Whether a table is among those that are published.
pub(super) fn is_among(table: &str, published: &[Names]) -> bool {
    published.iter().any(|(name, _)| name == table)
}

pub(super) async fn run(session: &mut PgConnection, statements: String, doing: &'static str) -> Result<(), CdcError> {
    // Names and types come from the catalogue, quoted; values are quoted as well.
    let done = sqlx::raw_sql(AssertSqlSafe(statements)).execute(session).await;
    done.map(drop).doing(doing).map_err(CdcError::Analytics)
}
