//! Payments: rows of `transactions`, the noun everything else serves.

pub mod accept;
pub mod amounts;
pub mod attempt;
pub mod json;
pub mod list;
pub mod payment;
pub(crate) mod row;
pub mod store;

pub use accept::NewPayment;
pub use amounts::Amounts;
pub use json::PaymentJson;
pub use payment::{CaptureMethod, Payment, Status, calculate_latency_ms};
