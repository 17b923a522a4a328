//! Why a check was not made, as opposed to failed.

use runtime_contract::{Outcome, Reason};

use crate::config::ConfigError;
use crate::database::DatabaseError;

/// Why a check was not made. Nothing is said of the release by it.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// A secret is missing, or an address is none.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The address of the gateway is none.
    #[error("the gateway's address \"{0}\" is no URL such as http://payments-gateway")]
    Address(String),
    /// The database.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The database belongs to somebody else.
    #[error("the database belongs to {0}; no test payment was made")]
    OwnedByAnother(String),
    /// There is no schema that knows of tests.
    #[error("the database has no schema that knows of test payments; \"purser migrate\" comes first")]
    NoSchema,
    /// Something stands in the place of the test merchant that is none.
    #[error("the merchant in the place of the test merchant is no test; no payment was made")]
    NoTest,
    /// No HTTP client, or no histogram.
    #[error("cannot set up the check: {0}")]
    Setup(String),
}

impl CheckError {
    /// The class of the failure.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::Config(_) | Self::Address(_) => Reason::InvalidConfiguration,
            Self::Database(error) => error.reason(),
            Self::OwnedByAnother(_) => Reason::DatabaseOwnedByAnother,
            Self::NoSchema => Reason::SchemaMismatch,
            Self::NoTest | Self::Setup(_) => Reason::Internal,
        }
    }

    /// Whether the same command may work later by itself.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match self.reason() {
            Reason::DatabaseUnreachable | Reason::SchemaMismatch => Outcome::Retry,
            _ => Outcome::Failed,
        }
    }
}
