//! How much one merchant may ask for, and what is turned away first when there is too much of everything.
//!
//! The rate counts over all gateways: in Redis, by [`gcra`]. Each gateway takes a few requests' worth at a time, so that most
//! requests cost no round trip, and never more than Redis gave. Without Redis each gateway lets through its share.

pub mod gcra;
pub mod limiter;
pub mod peers;
pub mod shed;

pub use gcra::{Gcra, Rate};
pub use limiter::{Limiter, Quota, Verdict};
pub use shed::{Class, Load};
