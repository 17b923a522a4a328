//! The double-entry ledger: journals that sum to zero, posted in the commit of the outcome that they follow from.

pub mod journal;
pub mod store;

pub use journal::{Account, Journal, Line};
