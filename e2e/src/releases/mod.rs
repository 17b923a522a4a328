//! Releases of the quickstart under a constant load: what the tests tell, the demo shows and the benchmark measures.

mod bench;
mod demo;
mod drive;
mod load;

pub use bench::{Options as BenchOptions, bench};
pub use demo::demo;
pub use drive::{FIRST, as_before, blue_green, canary, load_images, sql, status, until_stage, want, want_within};
pub use load::{Customers, Load, Pace, Seen};
