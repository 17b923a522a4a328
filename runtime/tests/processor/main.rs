//! Payments on their way through a real database, a real Redis and a provider that counts its own charges.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends by panicking")]

mod ended;
mod judged;
mod unknown;
mod waiting;
mod workers;

#[path = "../stage/mod.rs"]
mod stage;
#[path = "../support/mod.rs"]
mod support;
