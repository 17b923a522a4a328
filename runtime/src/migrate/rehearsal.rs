//! What the pending files would lock and rewrite, as PostgreSQL itself does it: they are run on empty copies of the tables.
//!
//! The copies are made by the files that were applied before, in a schema of their own beside the real one, which is dropped at
//! the end; one that a killed run left behind is dropped first. A lock and a rewrite do not depend on how many rows there are.
//! Whatever reaches for anything but the copies is undone.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::migrate::Migration;
use sqlx::{AssertSqlSafe, Connection, FromRow, PgConnection, Postgres, Transaction};

use super::statements::{Statement, split};
use crate::database::{self, DatabaseError, Doing};

const SCHEMA: &str = "purser_rehearsal";
/// What an index that is built concurrently holds.
const CONCURRENT_LOCK: &str = "ShareUpdateExclusiveLock";

/// What a statement did to tables that were there before all pending files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Rehearsed {
    /// Table and mode, for locks that no statement of the file before had taken. Locks that only keep others from changing the
    /// schema under a reader are left out.
    pub(super) locks: BTreeSet<(String, String)>,
    /// Tables that were written anew.
    pub(super) rewrites: BTreeSet<String>,
    /// What PostgreSQL said when it refused. What follows in the file was not tried.
    pub(super) refused: Option<String>,
}

/// Runs the pending files after the applied ones, each as it will be run. Stops at the first statement that is refused.
pub(super) async fn rehearse(
    connection: &mut PgConnection,
    applied: &[&Migration],
    pending: &[&Migration],
) -> Result<Vec<Vec<Rehearsed>>, DatabaseError> {
    clear(connection).await?;
    let schema = format!("create schema {SCHEMA}");
    sqlx::raw_sql(AssertSqlSafe(schema))
        .execute(&mut *connection)
        .await
        .doing("could not make a schema to rehearse in")?;
    let done = on_copies(connection, applied, pending).await;
    // Also after a failure, which says more than one of this would.
    let cleared = clear(connection).await;
    done.and_then(|done| cleared.map(|()| done))
}

async fn clear(connection: &mut PgConnection) -> Result<(), DatabaseError> {
    let statements = format!("set client_min_messages = warning; drop schema if exists {SCHEMA} cascade");
    sqlx::raw_sql(AssertSqlSafe(statements)).execute(connection).await.doing("could not drop what was rehearsed in")?;
    Ok(())
}

async fn on_copies(
    connection: &mut PgConnection,
    applied: &[&Migration],
    pending: &[&Migration],
) -> Result<Vec<Vec<Rehearsed>>, DatabaseError> {
    for file in applied {
        copy(connection, file).await.doing("could not make an empty copy of the schema")?;
    }
    let mut tables = partitioned(connection).await.doing("could not make empty partitions")?;
    let mut files = Vec::new();
    for file in pending {
        let statements = rehearse_file(connection, file, &mut tables).await.doing("could not rehearse a file")?;
        let is_refused = statements.iter().any(|statement| statement.refused.is_some());
        files.push(statements);
        if is_refused {
            break;
        }
    }
    Ok(files)
}

/// A transaction that sees the copies and nothing else by an unqualified name.
async fn begin(connection: &mut PgConnection) -> Result<Transaction<'_, Postgres>, sqlx::Error> {
    let mut transaction = connection.begin().await?;
    let settings = format!("set local search_path = {SCHEMA}; set local lock_timeout = '3s'");
    sqlx::raw_sql(AssertSqlSafe(settings)).execute(&mut *transaction).await?;
    Ok(transaction)
}

/// Runs a file that was applied before.
async fn copy(connection: &mut PgConnection, file: &Migration) -> Result<(), sqlx::Error> {
    let mut transaction = begin(connection).await?;
    let parts = if file.no_tx {
        split(file.sql.as_str()).iter().map(Statement::alone).collect()
    } else {
        vec![file.sql.as_str().to_owned()]
    };
    for part in parts {
        // The files are part of this program.
        sqlx::raw_sql(AssertSqlSafe(part)).execute(&mut *transaction).await?;
    }
    match outside(&mut transaction).await? {
        Some(what) => Err(sqlx::Error::Protocol(astray(&what))),
        None => transaction.commit().await,
    }
}

/// Partitioned tables hold nothing themselves: their rows, and a rewrite, are in a partition.
async fn partitioned(connection: &mut PgConnection) -> Result<Tables, sqlx::Error> {
    let mut transaction = begin(connection).await?;
    let partitions = "do $$ declare t regclass; begin
        for t in select oid from pg_class where relnamespace = current_schema()::regnamespace and relkind = 'p' loop
            execute format('create table %I partition of %s default', t || '_rows', t);
        end loop; end $$";
    sqlx::raw_sql(partitions).execute(&mut *transaction).await?;
    let tables = Tables::read(&mut transaction).await?;
    transaction.commit().await?;
    Ok(tables)
}

async fn rehearse_file(
    connection: &mut PgConnection,
    file: &Migration,
    tables: &mut Tables,
) -> Result<Vec<Rehearsed>, sqlx::Error> {
    let mut held = BTreeSet::new();
    let mut all = Vec::new();
    let mut transaction = begin(connection).await?;
    for statement in split(file.sql.as_str()) {
        if let Err(why) = run(&mut transaction, &statement).await? {
            all.push(Rehearsed { refused: Some(why), ..Rehearsed::default() });
            transaction.rollback().await?;
            return Ok(all);
        }
        let mut locks = tables.locks(&mut transaction).await?;
        if statement.is_concurrent() {
            locks = locks.into_iter().map(|(table, _)| (table, CONCURRENT_LOCK.to_owned())).collect();
        }
        let rewrites = tables.rewritten(&mut transaction).await?;
        let new = locks.difference(&held).cloned().collect();
        held.extend(locks);
        all.push(Rehearsed { locks: new, rewrites, refused: None });
    }
    transaction.commit().await?;
    Ok(all)
}

/// Runs a statement with nobody beside it, since nobody else knows of the copies. Inside is why it was refused.
async fn run(transaction: &mut PgConnection, statement: &Statement) -> Result<Result<(), String>, sqlx::Error> {
    // The files are part of this program.
    match sqlx::raw_sql(AssertSqlSafe(statement.alone())).execute(&mut *transaction).await {
        Ok(_) => Ok(outside(transaction).await?.map_or(Ok(()), |what| Err(astray(&what)))),
        Err(error @ sqlx::Error::Database(_)) => Ok(Err(database::explain(&error))),
        Err(error) => Err(error),
    }
}

/// A table or index that is none of the copies and that this transaction would change or stop others at.
async fn outside(transaction: &mut PgConnection) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar(
        "select format('%s.%s', n.nspname, c.relname) from pg_locks l
         join pg_class c on c.oid = l.relation join pg_namespace n on n.oid = c.relnamespace
         where l.pid = pg_backend_pid() and l.locktype = 'relation' and l.database <> 0
             and l.mode not in ('AccessShareLock', 'RowShareLock')
             and n.nspname not in ($1, 'pg_catalog', 'pg_toast') limit 1",
    )
    .bind(SCHEMA)
    .fetch_optional(transaction)
    .await
}

fn astray(what: &str) -> String {
    format!(
        "it reaches for {what}, which is not rehearsed: names in migrations carry no schema, and search_path stays as it is"
    )
}

/// The tables that were there before, and where each is stored.
struct Tables(BTreeMap<i64, Stored>);

#[derive(Clone, Debug, FromRow)]
struct Stored {
    oid: i64,
    /// The table that people know: of a partition, the one that it is of.
    name: String,
    file: i64,
}

impl Tables {
    async fn read(connection: &mut PgConnection) -> Result<Self, sqlx::Error> {
        let rows: Vec<Stored> = sqlx::query_as(
            "select oid::bigint, coalesce(pg_partition_root(oid), oid)::regclass::text as name, relfilenode::bigint as file
             from pg_class where relnamespace = current_schema()::regnamespace and relkind in ('r', 'p')",
        )
        .fetch_all(connection)
        .await?;
        Ok(Self(rows.into_iter().map(|row| (row.oid, row)).collect()))
    }

    /// What this transaction holds on them.
    async fn locks(&self, connection: &mut PgConnection) -> Result<BTreeSet<(String, String)>, sqlx::Error> {
        let held: Vec<(i64, String)> = sqlx::query_as(
            "select relation::bigint, mode from pg_locks
             where pid = pg_backend_pid() and locktype = 'relation' and granted
                 and mode not in ('AccessShareLock', 'RowShareLock')",
        )
        .fetch_all(connection)
        .await?;
        let known = held.into_iter().filter_map(|(table, mode)| Some((self.0.get(&table)?.name.clone(), mode)));
        Ok(known.collect())
    }

    /// Those that are stored elsewhere than before.
    async fn rewritten(&mut self, connection: &mut PgConnection) -> Result<BTreeSet<String>, sqlx::Error> {
        let now = Self::read(connection).await?;
        let mut rewritten = BTreeSet::new();
        for (oid, stored) in &mut self.0 {
            if let Some(new) = now.0.get(oid).filter(|new| new.file != stored.file) {
                rewritten.insert(stored.name.clone());
                stored.file = new.file;
            }
        }
        Ok(rewritten)
    }
}
