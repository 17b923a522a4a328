//! Why a month was not archived or brought back.

use runtime_contract::{Outcome, Reason};

use super::id::ArchiveId;
use crate::database::DatabaseError;
use crate::migrate::MigrateError;
use crate::storage::StorageError;

/// Why a month was not archived or brought back.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The database itself.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// Somebody migrates, or the database belongs to another.
    #[error(transparent)]
    Migrate(#[from] MigrateError),
    /// The place for archives, or the key to it.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// Another run is at it.
    #[error("another run has held the lock on archives for {waited_s} s")]
    Locked {
        /// How long this one waited.
        waited_s: u64,
    },
    /// Writes are refused: what is in the database now may be put back as it was.
    #[error("the platform is in maintenance; nothing is archived or brought back meanwhile")]
    Maintenance,
    /// There is no such archive.
    #[error("there is no archive {0}")]
    NotFound(ArchiveId),
    /// The archive is encrypted, and there is no key.
    #[error("archive {0} is encrypted, and there is no secret backup-key to read it with")]
    KeyMissing(ArchiveId),
    /// The archive was encrypted with another key.
    #[error("archive {0} was encrypted with another key than the secret backup-key holds")]
    KeyWrong(ArchiveId),
    /// The archive is not what its manifest says, or not what is in the table.
    #[error("archive {id} is corrupt: {message}")]
    Corrupt {
        /// The archive.
        id: ArchiveId,
        /// What is wrong with it.
        message: String,
    },
    /// A value does not go into an archive.
    #[error("{id} cannot be archived: {message}")]
    Unwritable {
        /// The partition.
        id: ArchiveId,
        /// What is wrong.
        message: String,
    },
    /// The partition is in use.
    #[error("{id} is in use, and was left as it is: {message}")]
    InUse {
        /// The partition.
        id: ArchiveId,
        /// What PostgreSQL said.
        message: String,
    },
    /// A partition was taken out of its table, and did not go back.
    #[error("{id} was taken out of its table and is not back in it; the next run puts it back: {message}")]
    LeftOut {
        /// The partition.
        id: ArchiveId,
        /// Why it is not back.
        message: String,
        /// Whether it may go back later by itself.
        outcome: Outcome,
    },
    /// The same, and it must stay out for now.
    #[error(
        "{0} was taken out of its table by an archive run that was interrupted, and nothing is put back in maintenance: \
         its table must not be changed before; end the maintenance and try again"
    )]
    LeftOutInMaintenance(ArchiveId),
    /// It would replace something, or the table is not what it was.
    #[error("nothing was brought back: {0}")]
    Refused(String),
    /// Told to stop.
    #[error("told to stop; every month is either in the database or in an archive")]
    Interrupted,
}

impl ArchiveError {
    /// The class of the failure.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::Database(error) => error.reason(),
            Self::Migrate(error) => error.reason(),
            Self::Storage(error) => error.reason(),
            Self::KeyMissing(_) | Self::KeyWrong(_) => Reason::InvalidConfiguration,
            Self::Corrupt { .. } => Reason::ArchiveCorrupt,
            Self::Locked { .. }
            | Self::Maintenance
            | Self::NotFound(_)
            | Self::Unwritable { .. }
            | Self::InUse { .. }
            | Self::LeftOut { .. }
            | Self::LeftOutInMaintenance(_)
            | Self::Refused(_)
            | Self::Interrupted => Reason::ArchiveFailed,
        }
    }

    /// Whether the same command may work later by itself.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Database(error) if error.will_pass() => Outcome::Retry,
            Self::LeftOut { outcome, .. } => *outcome,
            Self::Migrate(error) => error.outcome(),
            Self::Storage(error) => error.outcome(),
            Self::Locked { .. } | Self::Maintenance | Self::InUse { .. } | Self::Interrupted => Outcome::Retry,
            _ => Outcome::Failed,
        }
    }
}
