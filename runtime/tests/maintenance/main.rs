//! Maintenance: what is refused, what is waited for, and that nothing of money changes afterwards, whoever goes on trying.

// A helper that fails is a test that fails.
#![allow(clippy::unwrap_used)]

mod commands;
mod drained;
mod fence;
mod ground;
mod refused;

#[path = "../stage/mod.rs"]
mod stage;
#[path = "../support/mod.rs"]
mod support;
