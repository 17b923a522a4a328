//! Lists from a real physical replica of a real database: late, cut off, gone, promoted, and none at all.

// A helper that fails is a test that fails.
#![allow(clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

mod check;
mod ground;
mod lists;
mod unfit;
