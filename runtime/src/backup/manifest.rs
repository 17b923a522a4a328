//! What is kept beside a dump: what it is, and what must be in it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::ids::BackupId;

/// The form of manifests that this program writes, and the only one that it reads.
pub(super) const FORMAT: u32 = 1;

/// A backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Form of this document.
    pub format: u32,
    /// Its name. Sorts by time.
    pub id: BackupId,
    /// The PaymentCluster whose database it is of, as NAMESPACE/NAME.
    pub owner: String,
    /// The release that made it.
    pub release: String,
    /// Version of the schema in it.
    pub schema_version: i64,
    /// PostgreSQL's version, as 150018.
    pub server_version: u32,
    /// Version of the `pg_dump` that made it. An older `pg_restore` may not understand it.
    pub program_version: String,
    /// When it was begun: what was committed before is in it, and nothing else.
    pub created_at: DateTime<Utc>,
    /// When it was last restored and compared; absent until then, and again once it was found to be corrupt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified_at: Option<DateTime<Utc>>,
    /// Whether it is encrypted, by age.
    pub encrypted: bool,
    /// Bytes in the store.
    pub stored_bytes: u64,
    /// Bytes before encryption.
    pub dump_bytes: u64,
    /// SHA-256 of the bytes in the store, in hexadecimal digits.
    pub sha256: String,
    /// What must be in it, by name.
    pub tables: Vec<Table>,
}

/// What a table holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Table {
    /// Its name, with its schema unless that is `public`. Of a partitioned table, all partitions together.
    pub name: String,
    /// Its columns, in order.
    pub columns: Vec<String>,
    /// How many rows it has.
    pub rows: u64,
    /// Sum of the 64-bit hashes of all rows, so that their order does not matter.
    pub checksum: String,
}
