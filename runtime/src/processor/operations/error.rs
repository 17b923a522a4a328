//! Why a step of an operation was not recorded.

use thiserror::Error;

use crate::operations::outcome::OutcomeError;
use crate::processor::error::{StepError, refuses_the_record};

/// Why a step was not recorded. Nothing of it was.
#[derive(Debug, Error)]
pub(super) enum StoreError {
    /// Another worker has the operation now.
    #[error("the claim was lost: another worker has the operation now")]
    Lost,
    /// The database did not answer.
    #[error("the database: {0}")]
    Database(#[from] sqlx::Error),
    /// The outcome does not fit the payment.
    #[error("the outcome cannot be written: {0}")]
    Outcome(#[from] OutcomeError),
    /// An event cannot be written.
    #[error("the event cannot be written: {0}")]
    Event(#[from] serde_json::Error),
    /// A row is not what the program believes in.
    #[error("{0}")]
    Inconsistent(String),
}

impl StoreError {
    /// Whether trying again gives the same answer for as long as nobody changes something.
    pub(super) fn is_of_the_record(&self) -> bool {
        match self {
            Self::Outcome(_) | Self::Event(_) | Self::Inconsistent(_) => true,
            Self::Database(error) => refuses_the_record(error),
            Self::Lost => false,
        }
    }
}

impl From<StoreError> for StepError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Lost => Self::Lost,
            StoreError::Database(error) => error.into(),
            StoreError::Outcome(_) | StoreError::Event(_) | StoreError::Inconsistent(_) => {
                Self::Inconsistent(error.to_string())
            }
        }
    }
}
