//! What is claimed, on what terms, and what becomes of it.

use std::time::Duration;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::ids::PaymentId;

/// A payment or operation to bring forward, and the right to do so for a while.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Item {
    /// Number of the row.
    pub id: i64,
    /// The payment or operation that it stands for.
    pub subject_id: Uuid,
    /// The payment.
    pub payment_id: PaymentId,
    /// Its `created_at`, which names its partition.
    pub payment_created_at: DateTime<Utc>,
    /// The release that accepted it.
    pub release: String,
    /// The number of claims so far, this one among them.
    pub attempt: i32,
    /// Drawn for this claim.
    pub claim_token: i64,
    /// Why the latest claim that was given back did not end it; none when no claim was ever given back.
    pub last_error: Option<String>,
}

impl Item {
    /// The claim as later writes must prove it.
    #[must_use]
    pub const fn lease(&self) -> Lease {
        Lease { item_id: self.id, attempt: self.attempt, token: self.claim_token }
    }
}

/// One claim of one item. Whoever claims it again makes this one worthless.
///
/// A claim is committed without waiting for the disk (over a lazy [`crate::database::Link`]), so a crash of the
/// database may forget it, and its number be given out again. The token is drawn at random and is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, sqlx::FromRow)]
pub struct Lease {
    /// Number of the row.
    pub item_id: i64,
    /// The fencing number.
    pub attempt: i32,
    /// Drawn for this claim.
    pub token: i64,
}

/// An item that is to be looked at again later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenBack {
    /// The claim that is given back.
    pub lease: Lease,
    /// Not before this has passed.
    pub delay: Duration,
    /// Why it did not end, for a person. Never a secret.
    pub reason: String,
}

/// An item that waits for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parked {
    /// The claim that is given up.
    pub lease: Lease,
    /// What that person must know. Never a secret.
    pub reason: String,
}

/// Whose work a claim looks for first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum First {
    /// That of the own release.
    Own,
    /// That which another release left lying. Asked for now and then, so that a release which is gone is not
    /// forgotten while this one is busy.
    Strays,
}

/// Who claims, and on what terms.
#[derive(Clone, Debug)]
pub struct Claimant {
    /// The release whose work is its own.
    pub release: String,
    /// Name of the worker, for people who look into the table.
    pub worker: String,
    /// How long a claim lasts without being extended.
    pub lease: Duration,
    /// For how long the work of another release is left to that release.
    pub grace: Duration,
}
