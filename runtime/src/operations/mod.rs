//! Operations on accepted payments: captures, refunds and voids.

pub mod json;
pub mod operation;

pub use json::OperationJson;
pub use operation::{Kind, Operation, OperationStatus};
