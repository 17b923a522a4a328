//! Events: what merchants are told of, written in the commit of what happened.

pub mod event;
pub mod list;
pub mod store;

pub use event::{Event, EventType};
