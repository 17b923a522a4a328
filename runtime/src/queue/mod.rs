//! The queues of what is not at its end: tables, leases, and a fencing number with a drawn token. NOTIFY wakes,
//! polling rescues. Payments and operations have a queue each, worked by the same statements.

pub mod backoff;
mod depth;
pub mod item;
pub mod listen;
mod statements;
pub mod store;

pub use depth::Depth;
pub use item::{Claimant, First, GivenBack, Item, Lease, Parked};
pub use listen::Wake;
pub(crate) use statements::claimed;
pub use store::{OPERATIONS, PAYMENTS, Queue};
