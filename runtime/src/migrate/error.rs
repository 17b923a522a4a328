//! Why a migration did not come to its end.

use runtime_contract::{Outcome, Reason};

use super::plan::Mismatch;
use crate::archive::ArchiveError;
use crate::database::{self, DatabaseError};

/// Why a migration did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// The database itself.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// Another runner is at it.
    #[error("another runner has held the migration lock for {waited_s} s")]
    Locked {
        /// How long this one waited.
        waited_s: u64,
    },
    /// The database belongs to somebody else.
    #[error("the database belongs to the PaymentCluster {owner}; it was left as it is")]
    OwnedByAnother {
        /// The owner, as NAMESPACE/NAME.
        owner: String,
    },
    /// Another operator has taken the place of the one that started this.
    #[error(
        "another operator has taken over since this was started (its number is {newest}, not {token}); nothing was changed"
    )]
    Superseded {
        /// The number of the operator that started it.
        token: i64,
        /// The greatest that the database has seen.
        newest: i64,
    },
    /// The database belongs to nobody yet: it was never migrated.
    #[error("the database belongs to nobody: purser migrate was never run on it")]
    OwnedByNobody,
    /// Program and database do not fit together.
    #[error(transparent)]
    Mismatch(#[from] Mismatch),
    /// The history cannot be read.
    #[error("cannot read the history of migrations: {}", said(.0))]
    History(sqlx::migrate::MigrateError),
    /// A partition is out of its table, which must not change before it is back.
    #[error(transparent)]
    LeftOut(Box<ArchiveError>),
    /// A file failed; the database is as before it.
    #[error("migration {version} ({description}) failed: {}", said(cause))]
    File {
        /// Its number.
        version: i64,
        /// What it does.
        description: String,
        /// What PostgreSQL said.
        cause: sqlx::migrate::MigrateError,
    },
}

impl MigrateError {
    /// The class of the failure.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::Database(error) => error.reason(),
            Self::Locked { .. } => Reason::MigrationLocked,
            Self::OwnedByAnother { .. } => Reason::DatabaseOwnedByAnother,
            Self::Superseded { .. } => Reason::OperatorSuperseded,
            Self::OwnedByNobody | Self::Mismatch(_) => Reason::SchemaMismatch,
            Self::History(error) => cause(error).map_or(Reason::Internal, database::reason_of),
            Self::LeftOut(error) => match error.reason() {
                Reason::DatabaseUnreachable => Reason::DatabaseUnreachable,
                _ => Reason::MigrationFailed,
            },
            // A connection lost half-way is no fault of the file.
            Self::File { cause: error, .. } => match cause(error).map(database::reason_of) {
                Some(Reason::DatabaseUnreachable) => Reason::DatabaseUnreachable,
                _ => Reason::MigrationFailed,
            },
        }
    }

    /// Whether the same command may work later by itself.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        let lock_not_had = match self {
            Self::File { cause: error, .. } => cause(error).is_some_and(database::is_outage),
            Self::LeftOut(error) => error.outcome() == Outcome::Retry,
            _ => false,
        };
        match self.reason() {
            // The operator that has taken over does it by itself.
            Reason::DatabaseUnreachable | Reason::MigrationLocked | Reason::OperatorSuperseded => Outcome::Retry,
            Reason::MigrationFailed if lock_not_had => Outcome::Retry,
            _ => Outcome::Failed,
        }
    }
}

/// What PostgreSQL said, without the line of its own source code that sqlx adds.
fn said(error: &sqlx::migrate::MigrateError) -> String {
    cause(error).map_or_else(|| error.to_string(), database::explain)
}

fn cause(error: &sqlx::migrate::MigrateError) -> Option<&sqlx::Error> {
    match error {
        sqlx::migrate::MigrateError::Execute(error) | sqlx::migrate::MigrateError::ExecuteMigration(error, _) => {
            Some(error)
        }
        _ => None,
    }
}
