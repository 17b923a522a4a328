//! Why a backup was not made, verified or restored.

use runtime_contract::{Outcome, Reason};

use super::differences::in_words;
use crate::database::DatabaseError;
use crate::ids::BackupId;
use crate::migrate::MigrateError;
use crate::storage::StorageError;

/// Why a backup was not made, verified or restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The database itself.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// Somebody migrates, or makes a backup, or the database belongs to another.
    #[error(transparent)]
    Migrate(#[from] MigrateError),
    /// The place for backups, or the key to it.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// There is no such backup.
    #[error("there is no backup {0}")]
    NotFound(BackupId),
    /// The backup is of another's database.
    #[error("backup {id} is of the database of {owner}")]
    OfAnother {
        /// The backup.
        id: BackupId,
        /// Whose database it is of, as NAMESPACE/NAME.
        owner: String,
    },
    /// A program of PostgreSQL is not there, or older than the server, which it then refuses.
    #[error("{program} of PostgreSQL {needed} or newer is not here ({}); install postgresql-client-{needed}", versions(.found))]
    ProgramMissing {
        /// Its name.
        program: &'static str,
        /// The major version of the server.
        needed: u32,
        /// Versions that were found.
        found: Vec<String>,
    },
    /// A program of PostgreSQL failed.
    #[error("{program} failed: {message}")]
    Program {
        /// Its name.
        program: &'static str,
        /// What it said.
        message: String,
    },
    /// The backup is encrypted, and there is no key.
    #[error("backup {0} is encrypted, and there is no secret backup-key to read it with")]
    KeyMissing(BackupId),
    /// The backup was encrypted with another key.
    #[error("backup {0} was encrypted with another key than the secret backup-key holds")]
    KeyWrong(BackupId),
    /// The backup is not what its manifest says.
    #[error("backup {id} is corrupt: {message}")]
    Corrupt {
        /// The backup.
        id: BackupId,
        /// What is wrong with it.
        message: String,
    },
    /// What was restored is not what was counted.
    #[error("backup {id} is not what was backed up: {}", in_words(.differences))]
    Differs {
        /// The backup.
        id: BackupId,
        /// Each a sentence that names a table.
        differences: Vec<String>,
    },
    /// The user may not make a database to restore into.
    #[error(
        "the user {user} may not create databases, and a backup is restored into one of its own; let an administrator run: \
         alter role \"{user}\" createdb"
    )]
    MayNotCreate {
        /// The user of the database.
        user: String,
    },
    /// To restore would lose something, or the backup is not one to restore from.
    #[error("nothing was restored: {0}")]
    Refused(String),
    /// The database cannot be renamed, since sessions in it cannot be ended.
    #[error(
        "the database {database} is in use by sessions that may not be ended from here, of: {users}; end them and try again"
    )]
    InUse {
        /// Its name.
        database: String,
        /// Who is connected.
        users: String,
    },
    /// Told to stop.
    #[error("told to stop; what was begun was taken back")]
    Interrupted,
}

fn versions(found: &[String]) -> String {
    if found.is_empty() { "none was found".to_owned() } else { format!("found: {}", found.join(", ")) }
}

impl BackupError {
    /// The class of the failure.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::Database(error) => error.reason(),
            Self::Migrate(error) => error.reason(),
            Self::Storage(error) => error.reason(),
            Self::KeyMissing(_) | Self::KeyWrong(_) => Reason::InvalidConfiguration,
            Self::Corrupt { .. } | Self::Differs { .. } => Reason::BackupCorrupt,
            Self::Refused(_) => Reason::RestoreRefused,
            Self::MayNotCreate { .. } => Reason::DatabaseAuthenticationFailed,
            Self::NotFound(_)
            | Self::OfAnother { .. }
            | Self::ProgramMissing { .. }
            | Self::Program { .. }
            | Self::InUse { .. }
            | Self::Interrupted => Reason::BackupFailed,
        }
    }

    /// Whether the same command may work later by itself.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Migrate(error) => error.outcome(),
            Self::Storage(error) => error.outcome(),
            Self::InUse { .. } | Self::Interrupted => Outcome::Retry,
            _ if self.reason() == Reason::DatabaseUnreachable => Outcome::Retry,
            _ => Outcome::Failed,
        }
    }
}
