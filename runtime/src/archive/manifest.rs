//! What is kept beside the files of an archive: what it is, and what must be in it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::column::Column;
use super::id::ArchiveId;

/// The form of manifests that this program writes, and the only one that it reads.
pub(super) const FORMAT: u32 = 1;

/// An archive: a month of a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Form of this document.
    pub format: u32,
    /// Its name: that of the partition.
    pub id: ArchiveId,
    /// The PaymentCluster whose database it is of, as NAMESPACE/NAME.
    pub owner: String,
    /// The release that made it.
    pub release: String,
    /// Version of the schema then.
    pub schema_version: i64,
    /// The table.
    pub table: String,
    /// The first moment of its month.
    pub from: DateTime<Utc>,
    /// The first moment of the month after.
    pub to: DateTime<Utc>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// Whether it is encrypted, by age.
    pub encrypted: bool,
    /// How many rows it has.
    pub rows: u64,
    /// Sum of the first 64 bits of the SHA-256 of each row, so that their order does not matter.
    pub checksum: String,
    /// Its columns, in order.
    pub columns: Vec<Column>,
    /// Its files, in order.
    pub files: Vec<File>,
}

/// A file of an archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct File {
    /// Its name, beside the manifest.
    pub name: String,
    /// How many rows are in it.
    pub rows: u64,
    /// Bytes in the store.
    pub bytes: u64,
    /// SHA-256 of the bytes in the store, in hexadecimal digits.
    pub sha256: String,
}

impl Manifest {
    /// Bytes in the store.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }
}
