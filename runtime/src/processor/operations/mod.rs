//! Takes accepted captures, refunds and voids to their end: claim, say that it is sent, call, write what came of it.
//!
//! An operation is its own attempt: its id is the idempotency key at the provider that took the payment, and no other
//! provider has anything to do with it. So there is nothing to choose and nothing to fail over to; what is not known is
//! asked for with the same key, and what cannot be asked any more is set aside for a person.

mod advance;
mod case;
mod decide;
mod error;
mod expire;
mod resolve;
mod store;
mod worker;

pub use advance::{Progress, advance};
pub use resolve::{Resolving, resolve};
pub(super) use worker::run;
