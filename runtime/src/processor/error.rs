//! Why a step of a payment was not recorded.

use std::sync::Arc;

use thiserror::Error;

/// Why a step was not recorded. Nothing of it was, unless the database went away while it was asked to commit.
#[derive(Clone, Debug, Error)]
pub enum StepError {
    /// Another worker has the payment now.
    #[error("the claim was lost: another worker has the payment now")]
    Lost,
    /// The database refused or did not answer. Shared, since one answer is that of a whole batch.
    #[error("the database: {0}")]
    Database(Arc<sqlx::Error>),
    /// A row is not what the program believes in.
    #[error("{0}")]
    Inconsistent(String),
    /// The process ends.
    #[error("the process ends")]
    Ending,
}

impl From<sqlx::Error> for StepError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(Arc::new(error))
    }
}

impl StepError {
    /// Whether trying again gives the same answer for as long as nobody changes something: the record itself is wrong.
    #[must_use]
    pub fn is_of_the_record(&self) -> bool {
        match self {
            Self::Inconsistent(_) => true,
            Self::Database(error) => refuses_the_record(error),
            Self::Lost | Self::Ending => false,
        }
    }
}

/// Whether the database refused what it was given, rather than being away or busy.
pub(super) fn refuses_the_record(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Encode(_) | sqlx::Error::Decode(_) | sqlx::Error::ColumnDecode { .. } => true,
        sqlx::Error::Database(database) => {
            // Wrong data, a constraint, an exception of a trigger.
            let code = database.code().unwrap_or_default();
            ["22", "23", "P0"].iter().any(|class| code.starts_with(class))
        }
        _ => false,
    }
}
