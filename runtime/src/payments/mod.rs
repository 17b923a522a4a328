//! Payments: rows of `transactions`, the noun everything else serves.

pub mod payment;

pub use payment::{Payment, Status};
