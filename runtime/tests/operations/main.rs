//! Captures, refunds and cancellations: what is accepted, what is refused, and what becomes of it whatever goes wrong.

// A helper that fails is a test that fails.
#![allow(clippy::unwrap_used)]

mod by_hand;
mod cancel;
mod captures;
mod refunds;
mod shop;
mod sums;
mod suspended;
mod trouble;

#[path = "../stage/mod.rs"]
mod stage;
#[path = "../support/mod.rs"]
mod support;
