//! The queue's SQL. Time is the database's: workers on several machines need no common clock.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::postgres::PgConnection;

use crate::database::Pool;
use crate::ids::PaymentId;

/// A payment to bring forward, and the right to do so for a while.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Item {
    /// Number of the row.
    pub id: i64,
    /// The payment.
    pub payment_id: PaymentId,
    /// Its `created_at`, which names its partition.
    pub payment_created_at: DateTime<Utc>,
    /// The release that accepted it.
    pub release: String,
    /// The fencing number of this claim, and so the number of claims.
    pub attempt: i32,
}

impl Item {
    /// The claim as later writes must prove it.
    #[must_use]
    pub const fn lease(&self) -> Lease {
        Lease { item_id: self.id, attempt: self.attempt }
    }
}

/// One claim of one item. Whoever claims it again makes this one worthless.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lease {
    /// Number of the row.
    pub item_id: i64,
    /// The fencing number.
    pub attempt: i32,
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

const CLAIM: &str = "
with own as (
    select id, run_at from work_items
    where parked_at is null and run_at <= now() and (leased_until is null or leased_until < now()) and release = $1
    order by run_at limit $5 for update skip locked
), strays as (
    select id, run_at from work_items
    where parked_at is null and run_at < now() - $4 and (leased_until is null or leased_until < now()) and release <> $1
    order by run_at limit $5 for update skip locked
), due as (
    select id from (select id, run_at, not $6 as later from own union all select id, run_at, $6 from strays) as both_kinds
    order by later, run_at limit $5
)
update work_items set attempt = attempt + 1, leased_until = now() + $3, leased_by = $2
from due where work_items.id = due.id
returning work_items.id, payment_id, payment_created_at, work_items.release, attempt";

/// Claims up to `limit` items that are due. Two claimants never get the same one.
///
/// # Errors
/// When the database does not answer.
pub async fn claim(pool: &Pool, claimant: &Claimant, limit: u32, first: First) -> Result<Vec<Item>, sqlx::Error> {
    sqlx::query_as(CLAIM)
        .bind(&claimant.release)
        .bind(&claimant.worker)
        .bind(claimant.lease)
        .bind(claimant.grace)
        .bind(i64::from(limit))
        .bind(first == First::Own)
        .fetch_all(pool)
        .await
}

/// Makes claims last longer. Those that were lost meanwhile stay lost.
///
/// # Errors
/// When the database does not answer.
pub async fn extend(pool: &Pool, leases: &[Lease], by: Duration) -> Result<u64, sqlx::Error> {
    let (ids, attempts) = columns(leases);
    let done = sqlx::query(
        "update work_items set leased_until = now() + $3
         from unnest($1::bigint[], $2::int[]) as held(id, attempt)
         where work_items.id = held.id and work_items.attempt = held.attempt and leased_by is not null",
    )
    .bind(ids)
    .bind(attempts)
    .bind(by)
    .execute(pool)
    .await?;
    Ok(done.rows_affected())
}

/// Gives claims back at once, so that another worker need not wait for them to run out.
///
/// # Errors
/// When the database does not answer.
pub async fn release(pool: &Pool, leases: &[Lease]) -> Result<u64, sqlx::Error> {
    let (ids, attempts) = columns(leases);
    let done = sqlx::query(
        "update work_items set leased_until = null, leased_by = null
         from unnest($1::bigint[], $2::int[]) as held(id, attempt)
         where work_items.id = held.id and work_items.attempt = held.attempt",
    )
    .bind(ids)
    .bind(attempts)
    .execute(pool)
    .await?;
    Ok(done.rows_affected())
}

/// Whether the claim still stands; if so, nobody else can claim the item before this transaction ends.
///
/// # Errors
/// When the database does not answer.
pub async fn hold(connection: &mut PgConnection, lease: Lease) -> Result<bool, sqlx::Error> {
    let held: Option<i32> = sqlx::query_scalar("select 1 from work_items where id = $1 and attempt = $2 for update")
        .bind(lease.item_id)
        .bind(lease.attempt)
        .fetch_optional(connection)
        .await?;
    Ok(held.is_some())
}

/// Ends an item. False when the claim was lost.
///
/// # Errors
/// When the database does not answer.
pub async fn complete(connection: &mut PgConnection, lease: Lease) -> Result<bool, sqlx::Error> {
    let done = sqlx::query("delete from work_items where id = $1 and attempt = $2")
        .bind(lease.item_id)
        .bind(lease.attempt)
        .execute(connection)
        .await?;
    Ok(done.rows_affected() == 1)
}

/// Gives an item back until `delay` has passed. False when the claim was lost.
///
/// # Errors
/// When the database does not answer.
pub async fn retry_later(
    connection: &mut PgConnection,
    lease: Lease,
    delay: Duration,
    error: &str,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(
        "update work_items set run_at = now() + $3, last_error = $4, leased_until = null, leased_by = null
         where id = $1 and attempt = $2",
    )
    .bind(lease.item_id)
    .bind(lease.attempt)
    .bind(delay)
    .bind(error)
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Sets an item aside for a person. False when the claim was lost.
///
/// # Errors
/// When the database does not answer.
pub async fn park(connection: &mut PgConnection, lease: Lease, error: &str) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(
        "update work_items set parked_at = now(), last_error = $3, leased_until = null, leased_by = null
         where id = $1 and attempt = $2",
    )
    .bind(lease.item_id)
    .bind(lease.attempt)
    .bind(error)
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// How much waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Depth {
    /// Payments that are not at their end, parked ones among them.
    pub items: i64,
    /// Age in seconds of the oldest one that is due; 0 when none is.
    pub oldest_s: i64,
    /// Seconds since the oldest of all was accepted; 0 when there is none. Grows also while a payment is tried again
    /// and again, when it is hardly ever due.
    pub oldest_payment_s: i64,
    /// Those that wait for a person.
    pub parked: i64,
}

/// Counts what waits.
///
/// # Errors
/// When the database does not answer.
pub async fn depth(pool: &Pool) -> Result<Depth, sqlx::Error> {
    sqlx::query_as(
        "select count(*) as items,
                coalesce(floor(extract(epoch from now() - min(run_at) filter (where parked_at is null and run_at <= now()))), 0)::bigint as oldest_s,
                coalesce(floor(extract(epoch from now() - min(created_at))), 0)::bigint as oldest_payment_s,
                count(*) filter (where parked_at is not null) as parked
         from work_items",
    )
    .fetch_one(pool)
    .await
}

fn columns(leases: &[Lease]) -> (Vec<i64>, Vec<i32>) {
    leases.iter().map(|lease| (lease.item_id, lease.attempt)).unzip()
}
