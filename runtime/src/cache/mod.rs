//! What is asked for again and again, close at hand. PostgreSQL is the truth: everything here makes it faster to know, and
//! may be gone, slow or empty at any time.
//!
//! Process ([`local`]) → Redis ([`redis`]) → PostgreSQL; in both as long as the settings say. A change of a row is
//! announced, by a trigger in the commit of the change ([`changes`]); every process then forgets its own copy and marks the
//! one in Redis as forgotten, so that a reader who read the row before the change cannot put it back after it. A process
//! that cannot tell whether it hears of changes ([`heard`]) believes its own copies for seconds only.

pub mod changes;
pub mod copies;
pub mod heard;
pub mod layered;
pub mod local;
pub mod redis;

pub use changes::Change;
pub use copies::{Copies, Instrument, Payer};
pub use layered::Layered;
pub use local::Local;
pub use redis::{Cache, CacheError};
