//! Takes accepted payments to their end.

mod advance;
pub mod case;
pub mod decide;
pub mod settled;
mod store;
mod worker;

pub use worker::{Options, ProcessorError, run, run_with};
