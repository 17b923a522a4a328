//! The payments database: whether it can replicate, and what its catalogue says of what is published.

use secrecy::SecretString;
use sqlx::FromRow;
use sqlx::postgres::PgConnection;

use super::SETTINGS;
use super::error::CdcError;
use super::publication::Publication;
use super::published::PUBLISHED;
use crate::database::{self, DatabaseError, Doing};
use crate::migrate::{self, MigrateError};

/// A table, and what of it is published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) name: String,
    pub(super) columns: Vec<Column>,
}

/// A published column.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub(super) struct Column {
    pub(super) name: String,
    /// Its type, without limits, and without what only this database knows.
    pub(super) kind: String,
    /// Its place in the primary key.
    pub(super) key: Option<i32>,
    /// What rows hold that were there before the column.
    pub(super) initial: Option<String>,
}

/// A published table by its name and those of its columns.
pub(super) type Names = (String, Vec<String>);

/// A replication slot.
#[derive(Clone, Debug, FromRow)]
pub(super) struct SlotRow {
    pub(super) active: bool,
    /// Whether it is of this very database: after a restore it is of the one that was there before.
    pub(super) is_here: bool,
    pub(super) wal_status: Option<String>,
    pub(super) lag_bytes: i64,
    pub(super) retained_bytes: i64,
}

impl SlotRow {
    /// Whether what analytics needs next is there.
    pub(super) fn is_whole(&self) -> bool {
        self.is_here && self.wal_status.as_deref().is_some_and(|status| status != "lost")
    }
}

impl Table {
    /// Names of the columns of its primary key, in its order.
    pub(super) fn key(&self) -> Vec<&str> {
        let mut key: Vec<_> =
            self.columns.iter().filter_map(|column| Some((column.key?, column.name.as_str()))).collect();
        key.sort_unstable();
        key.into_iter().map(|(_, name)| name).collect()
    }

    pub(super) fn names(&self) -> Names {
        let mut columns: Vec<String> = self.columns.iter().map(|column| column.name.clone()).collect();
        columns.sort_unstable();
        (self.name.clone(), columns)
    }
}

/// A session that excludes other runs, migrations and restores, in a database that belongs to the owner.
pub(super) async fn open(
    owner: &str,
    url: &SecretString,
    patience: migrate::Patience,
) -> Result<PgConnection, CdcError> {
    let mut session = database::connect(url, "purser cdc", patience.connect).await?;
    migrate::take_lock(&mut session, patience.lock).await?;
    sqlx::raw_sql(SETTINGS).execute(&mut session).await.doing("could not settle how values are written")?;
    match migrate::owner_if_any(&mut session).await? {
        Some(other) if other != owner => Err(MigrateError::OwnedByAnother { owner: other }.into()),
        Some(_) => Ok(session),
        None => Err(MigrateError::OwnedByNobody.into()),
    }
}

/// Refuses a server that cannot replicate, or that analytics could hold up.
pub(super) async fn check(session: &mut PgConnection, name: &str, has_slot: bool) -> Result<(), CdcError> {
    let (major, level, slots, taken, kept_mb_max, waited_for): (i32, String, i32, i64, i64, String) = sqlx::query_as(
        "select current_setting('server_version_num')::int / 10000, current_setting('wal_level'),
             current_setting('max_replication_slots')::int, (select count(*) from pg_replication_slots),
             (select setting::bigint from pg_settings where pg_settings.name = 'max_slot_wal_keep_size'),
             current_setting('synchronous_standby_names')",
    )
    .fetch_one(session)
    .await
    .doing("could not ask whether the payments database can replicate")?;
    if major < 15 {
        return Err(CdcError::TooOld { side: "the payments database", major });
    }
    if level != "logical" {
        return Err(CdcError::WalLevel(level));
    }
    if !has_slot && taken >= i64::from(slots) {
        return Err(CdcError::NoSlotFree(slots));
    }
    // Without it, an analytics database that is away long enough stops the payments.
    if kept_mb_max < 0 {
        return Err(CdcError::NoLimit);
    }
    // A subscription goes by its own name, and a commit would wait for it.
    if waited_for.contains('*') || waited_for.contains(name) {
        return Err(CdcError::WaitedFor(waited_for));
    }
    Ok(())
}

/// What tells one server from another, and the version of it.
pub(super) async fn server(session: &mut PgConnection) -> Result<(i64, i32), DatabaseError> {
    sqlx::query_as(
        "select system_identifier, current_setting('server_version_num')::int / 10000 from pg_control_system()",
    )
    .fetch_one(session)
    .await
    .doing("could not ask which server it is")
}

/// What is to be published. What a newer release has published stays: the schema is as new as it.
pub(super) async fn wanted(session: &mut PgConnection, now: Option<&Publication>) -> Result<Vec<Table>, CdcError> {
    let own: Vec<Names> = PUBLISHED
        .iter()
        .map(|table| (table.name.to_owned(), table.columns.iter().map(|&column| column.to_owned()).collect()))
        .collect();
    let is_newer = |publication: &&Publication| publication.schema > Some(migrate::schema_version());
    let names = now.filter(is_newer).map_or(own, |publication| publication.tables.clone());
    let mut tables = Vec::new();
    for (name, columns) in names {
        tables.push(table(session, name, &columns).await?);
    }
    Ok(tables)
}

/// Enums and domains are what they stand for. Limits of lengths are left behind: were one raised here, analytics would refuse rows.
const COLUMNS: &str = "
select a.attname::text as name,
       case when t.typtype = 'e' or t.typcategory = 'S' then 'text'
            when t.oid in ('smallint'::regtype, 'integer'::regtype) then 'bigint'
            else format_type(case when t.typtype = 'd' then t.typbasetype else t.oid end, null) end as kind,
       (select array_position(i.indkey::int2[], a.attnum) from pg_index i
        where i.indrelid = a.attrelid and i.indisprimary) as key,
       (select max((m.attmissingval::text::text[])[1])
        from (select a.attrelid as oid union select inhrelid from pg_inherits where inhparent = a.attrelid) part
            join pg_attribute m on m.attrelid = part.oid and m.attname = a.attname and m.atthasmissing) as initial
from pg_attribute a join pg_type t on t.oid = a.atttypid
where a.attrelid = to_regclass('public.' || quote_ident($1)) and a.attname = any($2) and a.attnum > 0 and not a.attisdropped
order by a.attnum";

/// A row is told from others by what the primary key of its table, or of its partition, says.
const IDENTITY: &str = "
select coalesce(bool_and(c.relreplident = 'd' and exists (select from pg_index i where i.indrelid = c.oid and i.indisprimary)), false)
from (select to_regclass('public.' || quote_ident($1)) as oid
      union select inhrelid from pg_inherits where inhparent = to_regclass('public.' || quote_ident($1))) part
    join pg_class c on c.oid = part.oid";

async fn table(session: &mut PgConnection, name: String, columns: &[String]) -> Result<Table, CdcError> {
    let found: Vec<Column> = sqlx::query_as(COLUMNS)
        .bind(&name)
        .bind(columns)
        .fetch_all(&mut *session)
        .await
        .doing("could not read the columns of a table")?;
    if let Some(missing) = columns.iter().find(|column| found.iter().all(|found| found.name != **column)) {
        return Err(CdcError::NotMigrated(format!("{name}.{missing}")));
    }
    let has_identity: bool =
        sqlx::query_scalar(IDENTITY).bind(&name).fetch_one(session).await.doing("could not read a replica identity")?;
    let table = Table { name, columns: found };
    if !has_identity || table.key().is_empty() {
        return Err(CdcError::NoIdentity(table.name));
    }
    Ok(table)
}

/// The slot of that name, of whichever database it is.
pub(super) async fn slot(session: &mut PgConnection, name: &str) -> Result<Option<SlotRow>, DatabaseError> {
    sqlx::query_as(
        "select active, coalesce(database = current_database(), false) as is_here, wal_status,
             coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), confirmed_flush_lsn), 0)::bigint as lag_bytes,
             coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn), 0)::bigint as retained_bytes
         from pg_replication_slots where slot_name = $1",
    )
    .bind(name)
    .fetch_optional(session)
    .await
    .doing("could not look for the replication slot")
}

/// When the rows of a table were made that are in the database: the column by which it is partitioned, and the partitions' bounds.
pub(super) async fn ranges(session: &mut PgConnection, table: &str) -> Result<Option<Ranges>, DatabaseError> {
    let column: Option<String> = sqlx::query_scalar(
        "select a.attname::text from pg_partitioned_table p join pg_attribute a on a.attrelid = p.partrelid and a.attnum = p.partattrs[0]
         where p.partrelid = to_regclass('public.' || quote_ident($1)) and p.partstrat = 'r'",
    )
    .bind(table)
    .fetch_optional(&mut *session)
    .await
    .doing("could not ask how a table is partitioned")?;
    let Some(column) = column else { return Ok(None) };
    let bounds = sqlx::query_as(
        r"select b.parts[1], b.parts[2] from pg_inherits join pg_class c on c.oid = inhrelid,
              regexp_match(pg_get_expr(c.relpartbound, c.oid), 'FROM \(''([^'']+)''\) TO \(''([^'']+)''\)') b(parts)
          where inhparent = to_regclass('public.' || quote_ident($1)) and b.parts is not null order by 1",
    )
    .bind(table)
    .fetch_all(session)
    .await
    .doing("could not read the bounds of partitions")?;
    Ok(Some(Ranges { column, bounds }))
}

/// From, inclusive, to, exclusive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ranges {
    pub(super) column: String,
    pub(super) bounds: Vec<(String, String)>,
}
