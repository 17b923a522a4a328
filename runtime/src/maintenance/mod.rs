//! Maintenance: everything is brought to rest, in the database, so that a backup taken then can be restored without losing
//! what was acknowledged.
//!
//! | | Since | Refused by the database |
//! |---|---|---|
//! | on | settings with `maintenance` were applied | what merchants ask for |
//! | held | [`drain`] found nothing due any more | claims: no work is begun, what is in work goes on |
//! | frozen | nothing was in work any more | every write to the tables of money |
//!
//! Each stage is a fact in `platform_maintenance`, looked at by a trigger once per statement. Whoever looked just before it
//! came is waited for ([`barrier`]). Settings without `maintenance` end all of it, in their own commit.
//!
//! A worker that lost its claim, as after a minute without its network, may come back with an outcome when everything is frozen.
//! It cannot write it down. The attempt was committed before it was sent, so the provider is asked about it afterwards, by the same
//! key: in this database, and in one that was restored as well.

mod barrier;
mod drain;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::{FromRow, PgExecutor};

pub use drain::{DrainError, Drained, drain};

/// How far maintenance is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromRow, Serialize)]
pub struct State {
    /// Since when nothing is accepted.
    pub since: DateTime<Utc>,
    /// Since when no work is begun.
    pub held_at: Option<DateTime<Utc>>,
    /// Since when nothing of money is written.
    pub frozen_at: Option<DateTime<Utc>>,
}

/// What was accepted and is not at its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromRow, Serialize)]
pub struct Work {
    /// Payments.
    pub payments: i64,
    /// Captures, refunds and voids.
    pub operations: i64,
    /// Of both, how many are with a worker.
    pub in_work: i64,
    /// How many could be taken by one now.
    pub due: i64,
    /// How many are to be looked at later.
    pub later: i64,
    /// How many wait for a person.
    pub parked: i64,
}

/// How far maintenance is; none when it is off.
///
/// # Errors
/// When the database does not answer, or its schema knows no maintenance.
pub async fn state(executor: impl PgExecutor<'_>) -> Result<Option<State>, sqlx::Error> {
    sqlx::query_as("select since, held_at, frozen_at from platform_maintenance").fetch_optional(executor).await
}

/// What is not at its end.
///
/// # Errors
/// When the database does not answer.
pub async fn work(executor: impl PgExecutor<'_>) -> Result<Work, sqlx::Error> {
    sqlx::query_as(
        "select count(*) filter (where is_payment) as payments, count(*) filter (where not is_payment) as operations,
             count(*) filter (where is_taken) as in_work, count(*) filter (where not is_taken and not is_parked and run_at <= now()) as due,
             count(*) filter (where not is_taken and not is_parked and run_at > now()) as later,
             count(*) filter (where not is_taken and is_parked) as parked
         from (
             select true as is_payment, run_at, parked_at is not null as is_parked, (leased_until > now()) is true as is_taken from work_items
             union all
             select false, run_at, parked_at is not null, (leased_until > now()) is true from operation_items
         ) as item",
    )
    .fetch_one(executor)
    .await
}
