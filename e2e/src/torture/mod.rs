//! `e2e torture`: the real processes under load, killed at random points, and a comparison of what everybody knows after.
//!
//! Two providers take the payments, each in its own wire format and with its own book, and tell the gateways of them by
//! webhooks. The plan of kills and faults follows from the seed. What interleaves with it, the operating system decides: a seed
//! makes a failure likely again, not certain.

mod books;
mod client;
mod drain;
mod evidence;
mod judge;
mod kills;
mod messages;
mod plan;
mod provider;
mod receiver;
mod record;
mod run;

pub use run::{Options, run};
