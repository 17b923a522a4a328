//! Idempotency: the same request twice is one payment, and gets the same answer byte for byte.
//!
//! A key is kept for [`KEPT`]. The first answer given to it, final or not, is the answer for as long as it is kept:
//! a request that comes while the first still waits, waits too, and whichever of them answers first decides for all.

pub mod key;
pub mod store;

use chrono::TimeDelta;

pub use key::{IdempotencyKey, RequestHash};

use crate::ids::PaymentId;

/// How long a key is remembered.
pub const KEPT: TimeDelta = TimeDelta::hours(24);

/// An answer as it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Where to look for the payment later.
    pub location: String,
    /// The bytes of the body.
    pub body: Vec<u8>,
}

/// What is known of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Known {
    /// Never seen, or forgotten.
    Fresh,
    /// The same request was answered.
    Replay(Answer),
    /// The same request created this payment and is not answered yet.
    InFlight(PaymentId),
    /// Another request had this key.
    Mismatch,
}
