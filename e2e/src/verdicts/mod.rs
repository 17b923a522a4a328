//! Whether the verdict on a release can be trusted: hours of noise that must convict nobody, and regressions that must be caught.
//! Nothing runs but the shipped verdict itself, second by second, on figures drawn by a seed.

mod platform;
mod run;

pub use run::{Options, run};
