//! The fraud workload: signals, rules and the verdict.

pub mod assess;
pub mod client;
pub mod rule_cache;
pub mod rules;
pub mod serve;
pub mod signals;
mod store;
pub mod wire;

pub use client::{Check, FraudClient};
pub use serve::serve_on;
pub use signals::Limits;
pub use wire::{CheckRequest, Status, Triggered, Verdict};
