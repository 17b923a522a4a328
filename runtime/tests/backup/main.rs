//! Backups of a real PostgreSQL: made, verified, restored, rehearsed on, and broken on purpose.

// A helper that fails is a test that fails.
#![allow(clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

mod commands;
mod dry_run;
mod encrypted;
mod frozen;
mod ground;
mod made;
mod restored;
mod s3;
mod s3_server;
mod spoiled;
