//! Payments: rows of `transactions`, the noun everything else serves.

pub mod payment;
pub mod store;

pub use payment::{Payment, Status, calculate_latency_ms};
pub use store::{Acceptance, NewPayment};
