//! Payments: rows of `transactions`, the noun everything else serves.

pub mod amounts;
pub mod attempt;
pub mod json;
pub mod list;
pub mod payment;
pub(crate) mod row;
pub mod store;

pub use amounts::Amounts;
pub use json::PaymentJson;
pub use payment::{CaptureMethod, Payment, Status, calculate_latency_ms};
pub use store::{Acceptance, NewPayment};
