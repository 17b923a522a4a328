//! `e2e torture`: the real processes under load, killed at random points, and a comparison of what everybody knows after.
//!
//! The plan of kills and faults follows from the seed. What interleaves with it, the operating system decides: a seed
//! makes a failure likely again, not certain.

mod client;
mod drain;
mod evidence;
mod judge;
mod kills;
mod plan;
mod provider;
mod receiver;
mod record;
mod run;

pub use run::{Options, run};
