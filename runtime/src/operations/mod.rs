//! Operations on accepted payments: captures, refunds and voids.
//!
//! An operation is accepted in one commit that holds its row, the amount it reserves in the payment's sums, its work
//! item and the idempotency key. From then on it comes to an end, whatever crashes; and because its amount is reserved,
//! no two operations together can take more than was held or give back more than was taken.

pub mod accept;
pub mod expiry;
#[cfg(test)]
mod fixtures;
pub mod json;
pub mod operation;
pub mod outcome;
mod refusal;
mod reserve;
pub mod rules;
pub mod store;

pub use accept::{Acceptance, NewOperation, Request};
pub use json::OperationJson;
pub use operation::{Kind, Operation, OperationStatus};
pub use refusal::Refusal;
