//! What a database holds, as a count and a checksum per table.

use sqlx::{AssertSqlSafe, FromRow, PgConnection};

use super::manifest::Table;
use crate::database::{DatabaseError, Doing};

/// A row is hashed as text, and these decide how values are written. What takes long is not given up.
const SETTINGS: &str =
    "set timezone = 'UTC'; set datestyle = 'ISO, MDY'; set intervalstyle = 'postgres'; set bytea_output = 'hex';
    set extra_float_digits = 1; set lock_timeout = '60s'; set statement_timeout = 0; set idle_in_transaction_session_timeout = 0";

/// A table and where it is.
#[derive(Clone, Debug, FromRow)]
pub(super) struct Known {
    /// As [`Table::name`].
    pub(super) name: String,
    /// As SQL takes it.
    pub(super) place: String,
    /// In order.
    pub(super) columns: Vec<String>,
}

/// Makes a session that counts as every other one does.
pub(crate) async fn settle(connection: &mut PgConnection) -> Result<(), DatabaseError> {
    sqlx::raw_sql(SETTINGS).execute(connection).await.doing("could not settle how values are written")?;
    Ok(())
}

/// All tables, partitions counted with the table that they are of.
pub(super) async fn tables(connection: &mut PgConnection) -> Result<Vec<Known>, DatabaseError> {
    sqlx::query_as(
        "select case when n.nspname = 'public' then c.relname else n.nspname || '.' || c.relname end::text as name,
             format('%I.%I', n.nspname, c.relname) as place,
             array(select attname::text from pg_attribute
                   where attrelid = c.oid and attnum > 0 and not attisdropped order by attnum) as columns
         from pg_class c join pg_namespace n on n.oid = c.relnamespace
         where c.relkind in ('r', 'p') and not c.relispartition
             and n.nspname not like 'pg\\_%' and n.nspname not in ('information_schema', 'purser_rehearsal')
         order by 1",
    )
    .fetch_all(connection)
    .await
    .doing("could not list the tables")
}

/// Counts every table. Whoever wants all of one moment begins a transaction before.
pub(super) async fn count(connection: &mut PgConnection) -> Result<Vec<Table>, DatabaseError> {
    let mut counted = Vec::new();
    for table in tables(connection).await? {
        counted.push(count_one(connection, &table).await?);
    }
    Ok(counted)
}

async fn count_one(connection: &mut PgConnection, table: &Known) -> Result<Table, DatabaseError> {
    let statement = format!(
        "select count(*), coalesce(sum(hashtextextended({}, 0)::numeric), 0)::text from {} t",
        row(&table.columns),
        table.place
    );
    // Names come from the catalogue, quoted.
    let (rows, checksum): (i64, String) = sqlx::query_as(AssertSqlSafe(statement))
        .fetch_one(connection)
        .await
        .doing("could not count the rows of a table")?;
    let rows = u64::try_from(rows).unwrap_or(0);
    tracing::debug!(table = table.name, rows, "counted");
    Ok(Table { name: table.name.clone(), columns: table.columns.clone(), rows, checksum })
}

/// A row of `t` as text.
pub(super) fn row(columns: &[String]) -> String {
    let columns: Vec<String> = columns.iter().map(|column| format!("t.{}", quoted(column))).collect();
    format!("row({})::text", columns.join(", "))
}

/// A name as SQL takes it.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
