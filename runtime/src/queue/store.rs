//! Claiming, keeping, ending and setting aside the items of a queue.

use std::time::Duration;

use sqlx::PgExecutor;
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use super::statements::{lazily, queue};
use super::{Claimant, First, GivenBack, Item, Lease, Parked};
use crate::database::Pool;

/// Payments on their way.
pub const PAYMENTS: Queue = queue!("work_items", "payment_id", "payments");
/// Captures, refunds and voids on their way.
pub const OPERATIONS: Queue = queue!("operation_items", "operation_id", "operations");

/// One queue: its statements.
#[derive(Clone, Copy, Debug)]
pub struct Queue {
    /// What it is called on [`super::listen::CHANNEL`].
    pub word: &'static str,
    pub(super) claim: &'static str,
    pub(super) extend: &'static str,
    pub(super) release: &'static str,
    pub(super) hold: &'static str,
    pub(super) complete: &'static str,
    pub(super) give_back: &'static str,
    pub(super) park: &'static str,
    pub(super) send_again: &'static str,
    pub(super) depth: &'static str,
}

impl Queue {
    /// Claims up to `limit` items that are due. Two claimants never get the same one.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn claim(
        &self,
        executor: impl PgExecutor<'_>,
        claimant: &Claimant,
        limit: u32,
        first: First,
    ) -> Result<Vec<Item>, sqlx::Error> {
        sqlx::query_as(self.claim)
            .bind(&claimant.release)
            .bind(&claimant.worker)
            .bind(claimant.lease)
            .bind(claimant.grace)
            .bind(i64::from(limit))
            .bind(first == First::Own)
            .bind(rand::random::<i64>())
            .fetch_all(executor)
            .await
    }

    /// Makes claims last longer, from now. Those that were lost meanwhile stay lost.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn extend(&self, pool: &Pool, leases: &[Lease], by: Duration) -> Result<u64, sqlx::Error> {
        let (ids, attempts, tokens) = columns(leases.iter());
        let query = sqlx::query(self.extend).bind(ids).bind(attempts).bind(tokens).bind(by);
        Ok(query.execute(pool).await?.rows_affected())
    }

    /// Gives claims back at once, so that another worker need not wait for them to run out.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn release(&self, pool: &Pool, leases: &[Lease]) -> Result<u64, sqlx::Error> {
        let (ids, attempts, tokens) = columns(leases.iter());
        Ok(sqlx::query(self.release).bind(ids).bind(attempts).bind(tokens).execute(pool).await?.rows_affected())
    }

    /// Those of these claims that still stand: nobody else can claim their items before this transaction ends.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn hold(&self, connection: &mut PgConnection, leases: &[Lease]) -> Result<Vec<Lease>, sqlx::Error> {
        let (ids, attempts, tokens) = columns(leases.iter());
        let held: Vec<(i64, i32, i64)> =
            sqlx::query_as(self.hold).bind(ids).bind(attempts).bind(tokens).fetch_all(connection).await?;
        Ok(held.into_iter().map(|(item_id, attempt, token)| Lease { item_id, attempt, token }).collect())
    }

    /// Ends items. The number of those whose claims still stood.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn complete(&self, connection: &mut PgConnection, leases: &[Lease]) -> Result<u64, sqlx::Error> {
        let (ids, attempts, tokens) = columns(leases.iter());
        let query = sqlx::query(self.complete).bind(ids).bind(attempts).bind(tokens);
        Ok(query.execute(connection).await?.rows_affected())
    }

    /// Gives items back until their delays have passed. The number of those whose claims still stood.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn give_back(&self, connection: &mut PgConnection, items: &[GivenBack]) -> Result<u64, sqlx::Error> {
        let (ids, attempts, tokens) = columns(items.iter().map(|item| &item.lease));
        let query = sqlx::query(self.give_back)
            .bind(ids)
            .bind(attempts)
            .bind(tokens)
            .bind(items.iter().map(|item| item.delay).collect::<Vec<_>>())
            .bind(items.iter().map(|item| item.reason.as_str()).collect::<Vec<_>>());
        Ok(query.execute(connection).await?.rows_affected())
    }

    /// Sets items aside for a person. The number of those whose claims still stood.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn park(&self, connection: &mut PgConnection, items: &[Parked]) -> Result<u64, sqlx::Error> {
        let (ids, attempts, tokens) = columns(items.iter().map(|item| &item.lease));
        let query = sqlx::query(self.park)
            .bind(ids)
            .bind(attempts)
            .bind(tokens)
            .bind(items.iter().map(|item| item.reason.as_str()).collect::<Vec<_>>());
        Ok(query.execute(connection).await?.rows_affected())
    }

    /// Makes the item of a payment (or operation) due now, a parked one too. False when it is at its end, or unknown.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn send_again(&self, executor: impl PgExecutor<'_>, subject_id: Uuid) -> Result<bool, sqlx::Error> {
        Ok(sqlx::query(self.send_again).bind(subject_id).execute(executor).await?.rows_affected() == 1)
    }
}

/// Leases as the columns that prove them.
pub(crate) fn columns<'a>(leases: impl Iterator<Item = &'a Lease>) -> (Vec<i64>, Vec<i32>, Vec<i64>) {
    leases.map(|lease| (lease.item_id, lease.attempt, lease.token)).collect()
}
