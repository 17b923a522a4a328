//! Writing a partition into files, each of them whole in memory, so that no disk is needed beside the store.

use std::io;
use std::ops::Range;

use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, Decode, PgConnection, Postgres, Row as _, Type};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::column::{self, Column};
use super::error::ArchiveError;
use super::id::ArchiveId;
use super::manifest::File;
use super::parquet_file::{Row, Writer};
use super::store::Store;
use crate::database::Doing;

/// A file is ended when it has so many bytes; encrypted and on its way, it is held a few times over.
const FILE_BYTES: usize = 32 << 20;
const FILE_ROWS: u64 = 1_000_000;
/// So many rows are read at once.
const PAGE_ROWS: usize = 2_000;

/// Writes all rows of a partition, as they are when each is read: nothing waits for the store within a transaction, which would
/// hold migrations up, and keep the database from clearing away what is old.
pub(super) async fn write(
    connection: &mut PgConnection,
    store: &Store<'_>,
    id: ArchiveId,
    columns: &[Column],
    stop: &CancellationToken,
) -> Result<Vec<File>, ArchiveError> {
    let unwritable = |error: io::Error| ArchiveError::Unwritable { id, message: error.to_string() };
    let run = Uuid::now_v7().simple();
    let name = |number: usize| format!("{run}-{:05}", number + 1);
    let mut pages = Pages::of(connection, id, columns).await?;
    let mut files = Vec::new();
    let mut writer = Writer::new(columns).map_err(unwritable)?;
    loop {
        if stop.is_cancelled() {
            return Err(ArchiveError::Interrupted);
        }
        let page = pages.next(connection).await.doing("could not read a partition")?;
        let is_last = page.len() < PAGE_ROWS;
        for row in page {
            writer.add(row).map_err(unwritable)?;
        }
        let (held, bytes) = writer.size();
        if held > 0 && (is_last || bytes >= FILE_BYTES || held >= FILE_ROWS) {
            let full = std::mem::replace(&mut writer, Writer::new(columns).map_err(unwritable)?);
            let plain = full.finish().map_err(unwritable)?;
            files.push(store.write_file(id, &name(files.len()), held, plain).await?);
            tracing::info!(%id, files = files.len(), "writing");
        }
        if is_last {
            return Ok(files);
        }
    }
}

/// Reads a partition in the order of its primary key.
struct Pages<'a> {
    id: ArchiveId,
    columns: &'a [Column],
    keys: Vec<Column>,
    /// The key of the last row that was read; nothing at the beginning.
    last: Vec<String>,
}

impl<'a> Pages<'a> {
    async fn of(connection: &mut PgConnection, id: ArchiveId, columns: &'a [Column]) -> Result<Self, ArchiveError> {
        let keys = column::keys(connection, &id.to_string()).await?;
        if keys.is_empty() {
            return Err(ArchiveError::Unwritable { id, message: "it has no primary key".to_owned() });
        }
        Ok(Self { id, columns, keys, last: Vec::new() })
    }

    async fn next(&mut self, connection: &mut PgConnection) -> Result<Vec<Row>, sqlx::Error> {
        let table = self.id.to_string();
        // Names come from the catalogue, quoted.
        let statement = column::page(self.columns, &self.keys, &table, self.last.is_empty(), PAGE_ROWS);
        let query = self.last.iter().fold(sqlx::query(AssertSqlSafe(statement)), |query, value| query.bind(value));
        let rows = query.fetch_all(connection).await?;
        let end = self.columns.len();
        if let Some(row) = rows.last() {
            self.last = values(row, end..end + self.keys.len())?;
        }
        rows.iter().map(|row| values(row, 0..end)).collect()
    }
}

fn values<T>(row: &PgRow, places: Range<usize>) -> Result<Vec<T>, sqlx::Error>
where
    T: for<'r> Decode<'r, Postgres> + Type<Postgres>,
{
    places.map(|n| row.try_get(n)).collect()
}
