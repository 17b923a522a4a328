//! Idempotency: the same request twice is done once, and gets the same answer byte for byte.
//!
//! A key is kept for [`KEPT`]. The first answer given to it is the answer for as long as it is kept. Where it stands:
//!
//! | What the request made | Its answer |
//! |---|---|
//! | a payment that came to its end in time | in the event with sequence 1, written in the commit of that end |
//! | a capture, refund or void that did | in its event, likewise |
//! | either, when time was up (202) | beside the key, written before it is given |
//! | anything else | beside the key, in the commit that made it |
//!
//! So an end in time costs no second commit. A 202 is written under a lock that the end of the payment needs too, and
//! only if that end was not there yet; whoever reads the event, reads in the same statement whether a 202 came first, and
//! whoever writes it knows by the work item.

pub mod key;
pub mod store;

use chrono::TimeDelta;
use sha2::{Digest, Sha256};
use uuid::Uuid;

pub use key::{IdempotencyKey, RequestHash};

use crate::ids::{MerchantId, PaymentId};
use crate::operations::Kind;

/// How long a key is remembered.
pub const KEPT: TimeDelta = TimeDelta::hours(24);

/// A request, as far as it is recognised again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyedRequest {
    /// Who asks.
    pub merchant_id: MerchantId,
    /// By which key.
    pub key: IdempotencyKey,
    /// For what.
    pub hash: RequestHash,
}

impl KeyedRequest {
    /// A name that this request shares with its repetitions by the same merchant.
    #[must_use]
    pub fn purchase(&self) -> String {
        hex::encode(&Sha256::digest(self.key.as_str())[..16])
    }
}

/// What a request made, of which the answer is still to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A payment.
    Payment(PaymentId),
    /// A capture, refund or void.
    Operation {
        /// Its id.
        id: Uuid,
        /// Its payment.
        payment_id: PaymentId,
    },
}

impl Subject {
    /// The id by which its end is announced.
    #[must_use]
    pub const fn id(self) -> Uuid {
        match self {
            Self::Payment(id) => id.as_uuid(),
            Self::Operation { id, .. } => id,
        }
    }

    /// The payment that it is, or that it belongs to.
    #[must_use]
    pub const fn payment_id(self) -> PaymentId {
        match self {
            Self::Payment(payment_id) | Self::Operation { payment_id, .. } => payment_id,
        }
    }

    /// The operation that it is.
    #[must_use]
    pub const fn operation_id(self) -> Option<Uuid> {
        match self {
            Self::Payment(_) => None,
            Self::Operation { id, .. } => Some(id),
        }
    }
}

/// An answer as it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Where to look for what was made later.
    pub location: String,
    /// The bytes of the body.
    pub body: Vec<u8>,
}

impl Answer {
    /// Of a payment: 201 at its end, 202 while it is on its way.
    #[must_use]
    pub fn of_payment(status: u16, id: PaymentId, body: Vec<u8>) -> Self {
        Self { status, location: format!("/v1/payments/{id}"), body }
    }

    /// Of an operation, likewise.
    #[must_use]
    pub fn of_operation(status: u16, kind: Kind, id: Uuid, payment_id: PaymentId, body: Vec<u8>) -> Self {
        let location = match kind {
            Kind::Capture => format!("/v1/payments/{payment_id}/captures/{}", kind.id_text(id)),
            Kind::Refund => format!("/v1/refunds/{}", kind.id_text(id)),
            Kind::Void => format!("/v1/payments/{payment_id}"),
        };
        Self { status, location, body }
    }
}

/// What is known of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Known {
    /// Never seen, or forgotten.
    Fresh,
    /// The same request was answered, or what it made came to its end.
    Replay(Answer),
    /// The same request made this, and is not answered yet.
    InFlight(Subject),
    /// Another request had this key.
    Mismatch,
}
