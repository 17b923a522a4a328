//! Why a step of an operation was not recorded.

use thiserror::Error;

use crate::operations::outcome::OutcomeError;
use crate::processor::error::StepError;

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
