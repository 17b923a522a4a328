//! Archives of a real PostgreSQL, full of payments that a real gateway and processor took: proved, lost half-way, and brought back.

// A helper that fails is a test that fails.
#![allow(clippy::unwrap_used)]

#[path = "../operations/shop.rs"]
#[allow(dead_code)]
mod shop;
#[path = "../stage/mod.rs"]
mod stage;
#[path = "../support/mod.rs"]
mod support;

mod back;
mod commands;
mod crashes;
mod ground;
mod open;
mod round_trip;
#[path = "../backup/s3_server.rs"]
mod s3_server;
mod stores;
