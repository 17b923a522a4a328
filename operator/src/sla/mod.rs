//! Whether a release keeps to its SLA. ★ Pure.
//!
//! A wrong verdict either takes a good release back or leaves a bad one on, so every limit is tested as a statistician would: how
//! sure is it, with so many payments, that the limit is broken, and not met by bad luck? [`suspicion`] has the test, [`limits`]
//! what is tested, [`canary`] whether the trouble is the release's own, [`judge`] puts it together.

mod canary;
mod compare;
mod judge;
mod limits;
mod suspicion;
mod tally;

pub use judge::{Breach, Judgement, Severity, judge, of_release};
pub use limits::Limits;
