//! Merchants are told of every event, in order, wherever the dispatcher dies and whatever their endpoints answer.

// A helper that fails is a test that fails.
#![allow(clippy::unwrap_used, unreachable_pub, missing_docs)]

mod addresses;
mod api;
mod delivery;
mod ground;
mod receiver;
#[path = "../support/mod.rs"]
mod support;
mod trouble;
