//! Why lists cannot be read from what is to be the replica, and what to do about it.

use runtime_contract::{Outcome, Reason};

use crate::database::DatabaseError;
use crate::migrate::MigrateError;

/// Why it was not looked at, or is no replica.
#[derive(Debug, thiserror::Error)]
pub enum ReplicaError {
    /// The database.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The database belongs to another, or to nobody.
    #[error(transparent)]
    Migrate(#[from] MigrateError),
    /// Its URL is none.
    #[error("database-read-url is not a PostgreSQL URL such as postgres://user:password@host:5432/database")]
    Url,
    /// It is of another server.
    #[error(
        "the server of database-read-url (spec.database.readUrlSecretRef) is no replica of the database: its system identifier is \
         {seen}, that of the database {wanted}; a physical replica is made with pg_basebackup"
    )]
    OtherSystem {
        /// That of the server.
        seen: i64,
        /// That of the database.
        wanted: i64,
    },
    /// It takes writes.
    #[error(
        "the server of database-read-url (spec.database.readUrlSecretRef) is not in recovery: it is the database itself, or a replica \
         that was promoted; let the URL lead to a replica, or remove the field"
    )]
    NotInRecovery,
    /// It is of another database.
    #[error(
        "database-read-url (spec.database.readUrlSecretRef) names another database of the server than database-url: the two have to end \
         in the same name"
    )]
    OtherDatabase,
    /// Its user may not read.
    #[error("the user of database-read-url may not read {}: grant select on them to it, on the database", .0.join(", "))]
    MayNotRead(Vec<String>),
}

impl ReplicaError {
    /// The class of the failure.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::Database(error) => error.reason(),
            Self::Migrate(error) => error.reason(),
            Self::Url => Reason::InvalidConfiguration,
            Self::OtherSystem { .. } | Self::NotInRecovery | Self::OtherDatabase | Self::MayNotRead(_) => {
                Reason::ReplicaWrong
            }
        }
    }

    /// Whether the same command may work later by itself.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Migrate(error) => error.outcome(),
            Self::Database(error) if error.reason() == Reason::DatabaseUnreachable => Outcome::Retry,
            _ => Outcome::Failed,
        }
    }
}
