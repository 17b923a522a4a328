//! Every parser of foreign bytes, fed with bytes that nobody would write.
//!
//! A target takes bytes and says in a few words what came of them; it panics when something came of them that must not.
//! The engine changes what it has at random, and keeps what makes a target say something new, so that it finds its way
//! inwards without a special compiler. What ever broke a target belongs into its folder below `corpus/`.

pub mod corpus;
pub mod engine;
pub mod targets;
