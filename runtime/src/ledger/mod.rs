//! The ledger: double entry, append-only. What a merchant is owed is read from here, and nowhere else.

pub mod balance;
pub mod journal;
mod rules;
pub mod store;
pub mod totals;
pub mod verify;

pub use journal::{Account, Journal, Line};
