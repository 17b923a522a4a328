//! Reading an archive back.

use tokio_util::sync::CancellationToken;

use super::error::ArchiveError;
use super::manifest::Manifest;
use super::parquet_file::{self, Row};
use super::store::Store;
use super::sum::Sum;

/// What becomes of the rows that are read.
pub(super) trait Take {
    /// Takes some of them.
    async fn take(&mut self, rows: &[Row]) -> Result<(), ArchiveError>;
}

/// Nobody wants the rows: they are only summed up.
struct Nobody;

impl Take for Nobody {
    async fn take(&mut self, _: &[Row]) -> Result<(), ArchiveError> {
        Ok(())
    }
}

/// Reads an archive, and compares it with its manifest.
pub(super) async fn verify(
    store: &Store<'_>,
    manifest: &Manifest,
    stop: &CancellationToken,
) -> Result<(), ArchiveError> {
    read(store, manifest, stop, &mut Nobody).await
}

/// Gives away every row of an archive. Whether all of them were what the manifest says is known at the end.
pub(super) async fn read(
    store: &Store<'_>,
    manifest: &Manifest,
    stop: &CancellationToken,
    taker: &mut impl Take,
) -> Result<(), ArchiveError> {
    let id = manifest.id;
    let corrupt = |message: String| ArchiveError::Corrupt { id, message };
    let mut sum = Sum::default();
    for file in &manifest.files {
        if stop.is_cancelled() {
            return Err(ArchiveError::Interrupted);
        }
        let bytes = store.read_file(manifest, file).await?;
        let unread = |error: std::io::Error| corrupt(format!("{}: {error}", file.name));
        for group in parquet_file::groups(bytes, &manifest.columns).map_err(unread)? {
            let rows = group.map_err(unread)?;
            rows.iter().for_each(|row| sum.add(row.iter().map(Option::as_deref)));
            taker.take(&rows).await?;
        }
    }
    let (rows, checksum) = sum.total();
    if (rows, &checksum) == (manifest.rows, &manifest.checksum) {
        Ok(())
    } else {
        Err(corrupt(format!(
            "{rows} rows with the sum {checksum} were read back, and it has {} with {}",
            manifest.rows, manifest.checksum
        )))
    }
}
