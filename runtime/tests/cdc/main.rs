//! What flows from a real payments database into a real analytics database, on servers of their own.

// A helper that fails is a test that fails.
#![allow(clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

mod catalogue;
mod commands;
mod expanded;
mod flow;
mod ground;
mod interrupted;
mod refused;
mod restored;
