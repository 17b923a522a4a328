//! Why a place to keep things in cannot be used.

use runtime_contract::{Outcome, Reason};

/// Why a place to keep things in, or the key to it, cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The place is none.
    #[error("{url} is no place for backups: {message}")]
    Place {
        /// As it was given. It holds no secrets.
        url: String,
        /// What is wrong with it.
        message: String,
    },
    /// The place does not do what was asked.
    #[error("could not {doing} in the store of backups: {message}")]
    Refused {
        /// What was attempted.
        doing: &'static str,
        /// What the store said.
        message: String,
    },
    /// The key is none.
    #[error("the secret backup-key is not usable: {0}")]
    Key(String),
}

impl StorageError {
    /// The class of the failure.
    #[must_use]
    pub const fn reason(&self) -> Reason {
        match self {
            Self::Place { .. } | Self::Key(_) => Reason::InvalidConfiguration,
            Self::Refused { .. } => Reason::BackupStoreUnavailable,
        }
    }

    /// Whether the same may work later by itself.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        match self {
            Self::Place { .. } | Self::Key(_) => Outcome::Failed,
            Self::Refused { .. } => Outcome::Retry,
        }
    }
}
