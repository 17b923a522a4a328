//! Takes accepted payments to their end.

mod advance;
pub mod alarm;
mod ask;
mod budget;
pub mod case;
mod credentials;
pub mod decide;
pub mod ending;
pub mod error;
pub mod express;
#[cfg(test)]
mod fixtures;
mod in_work;
pub mod load;
mod operations;
pub mod record;
pub mod recorder;
pub mod resolve;
pub(crate) mod rows;
mod run;
pub mod settled;
mod shift;
pub mod test_mode;
mod worker;
mod write;

pub use advance::Progress;
pub use operations::{
    Progress as OperationProgress, Resolving, advance as advance_operation, resolve as resolve_operation,
};
pub use run::{Options, ProcessorError, run, run_with};
pub use worker::{Worker, Writing};
