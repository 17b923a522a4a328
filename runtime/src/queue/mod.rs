//! The queue of payments that are not at their end: a table, leases, and a fencing number. NOTIFY wakes, polling rescues.

pub mod backoff;
pub mod listen;
pub mod store;

pub use listen::Wake;
pub use store::{First, Item, Lease};
