//! Writing a partition into files, each of them whole in memory, so that no disk is needed beside the store.

use std::io;

use futures::TryStreamExt;
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, PgConnection, Row as _};
use tokio_util::sync::CancellationToken;

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

/// Writes all rows of a partition, as the transaction of this session sees them.
pub(super) async fn write(
    connection: &mut PgConnection,
    store: &Store<'_>,
    id: ArchiveId,
    columns: &[Column],
    stop: &CancellationToken,
) -> Result<Vec<File>, ArchiveError> {
    let unwritable = |error: io::Error| ArchiveError::Unwritable { id, message: error.to_string() };
    // Names come from the catalogue, quoted.
    let statement = AssertSqlSafe(column::select(columns, &id.to_string()));
    let mut rows = sqlx::query(statement).fetch(connection);
    let mut files = Vec::new();
    let mut writer = Writer::new(columns).map_err(unwritable)?;
    while let Some(row) = rows.try_next().await.doing("could not read a partition")? {
        writer.add(values(&row, columns.len()).doing("could not read a partition")?).map_err(unwritable)?;
        let (held, bytes) = writer.size();
        if bytes < FILE_BYTES && held < FILE_ROWS {
            continue;
        }
        if stop.is_cancelled() {
            return Err(ArchiveError::Interrupted);
        }
        let full = std::mem::replace(&mut writer, Writer::new(columns).map_err(unwritable)?);
        files.push(store.write_file(id, files.len() + 1, held, full.finish().map_err(unwritable)?).await?);
        tracing::info!(%id, files = files.len(), "writing");
    }
    let (held, _) = writer.size();
    if held > 0 {
        files.push(store.write_file(id, files.len() + 1, held, writer.finish().map_err(unwritable)?).await?);
    }
    Ok(files)
}

fn values(row: &PgRow, columns: usize) -> Result<Row, sqlx::Error> {
    (0..columns).map(|n| row.try_get(n)).collect()
}
