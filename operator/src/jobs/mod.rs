//! Jobs: how the operator has the runtime do what only the runtime may do. ★ Pure.
//!
//! What was tried, how it ended and when is read from the Jobs themselves, so that a new operator goes on where the
//! old one stopped.

pub mod attempt;
pub mod job;
pub mod progress;

pub use attempt::{Attempt, Next, next};
pub use progress::Progress;
