//! SQL of deliveries: what is due, and what came of it.

use chrono::{DateTime, Utc};
use sqlx::postgres::PgConnection;
use sqlx::{FromRow, PgExecutor};
use uuid::Uuid;

use crate::ids::EventId;

/// A delivery that is due.
#[derive(Debug, FromRow)]
pub(super) struct Due {
    pub(super) id: i64,
    pub(super) endpoint_id: Uuid,
    pub(super) event_id: EventId,
    pub(super) attempts: i32,
    pub(super) created_at: DateTime<Utc>,
    pub(super) run_at: DateTime<Utc>,
    /// None when the event is not in the database any more, or when the delivery has to wait.
    pub(super) payload: Option<String>,
    /// Whether an earlier event of the payment is still to be told.
    pub(super) blocked: bool,
    /// When the last of those is due.
    pub(super) head_run_at: Option<DateTime<Utc>>,
}

/// What is due at these endpoints, at most so many each, without what this process has in its hands.
pub(super) async fn due(
    connection: &mut PgConnection,
    endpoints: &[(Uuid, i32)],
    held: &[i64],
) -> Result<Vec<Due>, sqlx::Error> {
    sqlx::query_as(
        "select d.id, d.endpoint_id, d.event_id, d.attempts, d.created_at, d.run_at, e.payload::text as payload,
             head.run_at is not null as blocked, head.run_at as head_run_at
         from unnest($1::uuid[], $2::int[]) as wanted (endpoint_id, places)
         cross join lateral (
             select * from webhook_deliveries d
             where d.endpoint_id = wanted.endpoint_id and d.run_at <= now() and d.id <> all ($3)
             order by d.run_at, d.id limit wanted.places
         ) d
         left join lateral (
             select max(h.run_at) as run_at from webhook_deliveries h
             where h.payment_id = d.payment_id and h.endpoint_id = d.endpoint_id and h.id < d.id
         ) head on true
         left join events e on e.id = d.event_id and e.created_at = d.event_created_at and head.run_at is null
         order by d.run_at, d.id",
    )
    .bind(endpoints.iter().map(|(id, _)| *id).collect::<Vec<_>>())
    .bind(endpoints.iter().map(|(_, places)| *places).collect::<Vec<_>>())
    .bind(held)
    .fetch_all(connection)
    .await
}

/// Forgets deliveries: they were answered with 2xx, or given up.
pub(super) async fn done(executor: impl PgExecutor<'_>, ids: &[i64]) -> Result<(), sqlx::Error> {
    sqlx::query("delete from webhook_deliveries where id = any ($1)").bind(ids).execute(executor).await?;
    Ok(())
}

/// A delivery that failed.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) id: i64,
    pub(super) wait_s: f64,
    pub(super) reason: String,
}

/// Puts failed deliveries off, by the database's clock.
pub(super) async fn failed(executor: impl PgExecutor<'_>, failed: &[Failed]) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update webhook_deliveries d set attempts = d.attempts + 1, last_error = f.reason,
             run_at = now() + make_interval(secs => f.wait_s)
         from unnest($1::bigint[], $2::float8[], $3::text[]) as f (id, wait_s, reason) where d.id = f.id",
    )
    .bind(failed.iter().map(|f| f.id).collect::<Vec<_>>())
    .bind(failed.iter().map(|f| f.wait_s).collect::<Vec<_>>())
    .bind(failed.iter().map(|f| f.reason.as_str()).collect::<Vec<_>>())
    .execute(executor)
    .await?;
    Ok(())
}

/// Puts deliveries off until the earlier ones of their payment are due, so that these are read first.
pub(super) async fn defer(executor: impl PgExecutor<'_>, later: &[(i64, DateTime<Utc>)]) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update webhook_deliveries d set run_at = l.run_at
         from unnest($1::bigint[], $2::timestamptz[]) as l (id, run_at) where d.id = l.id",
    )
    .bind(later.iter().map(|(id, _)| *id).collect::<Vec<_>>())
    .bind(later.iter().map(|(_, run_at)| *run_at).collect::<Vec<_>>())
    .execute(executor)
    .await?;
    Ok(())
}

/// An endpoint that was away is back: what was put off meanwhile is due. An endpoint that rests is tried rarely, so there is
/// not much of it; the rest comes at its own times.
pub(super) async fn hurry(executor: impl PgExecutor<'_>, endpoint: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update webhook_deliveries set run_at = now() where id in (
             select id from webhook_deliveries where endpoint_id = $1 and run_at > now() order by run_at limit 10000)",
    )
    .bind(endpoint)
    .execute(executor)
    .await?;
    Ok(())
}

/// Forgets some of what was for endpoints that are disabled or gone.
pub(super) async fn purge(executor: impl PgExecutor<'_>, endpoints: &[Uuid]) -> Result<u64, sqlx::Error> {
    let done = sqlx::query(
        "delete from webhook_deliveries where id in (
             select id from webhook_deliveries where endpoint_id = any ($1) limit 5000 for update skip locked)",
    )
    .bind(endpoints)
    .execute(executor)
    .await?;
    Ok(done.rows_affected())
}

/// Forgets what nobody got to within its three days, because its endpoint rested all the time. Returns how many. Ids grow
/// with time, so the first ones are the oldest.
pub(super) async fn sweep(executor: impl PgExecutor<'_>) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(
        "with oldest as (
             select id, created_at from webhook_deliveries order by id limit 5000
         ), gone as (
             delete from webhook_deliveries d using oldest o
             where d.id = o.id and o.created_at < now() - interval '3 days 5 minutes' returning d.endpoint_id
         ), counted as (
             select endpoint_id, count(*) as n from gone group by endpoint_id
         ), noted as (
             update webhook_endpoints e set given_up = e.given_up + c.n from counted c where e.id = c.endpoint_id
         )
         select count(*) from gone",
    )
    .fetch_one(executor)
    .await
}

/// Seconds since the oldest delivery that is still to be made was written.
pub(super) async fn oldest_s(executor: impl PgExecutor<'_>) -> Result<i64, sqlx::Error> {
    let age: Option<i64> = sqlx::query_scalar(
        "select extract(epoch from now() - created_at)::bigint from webhook_deliveries order by id limit 1",
    )
    .fetch_optional(executor)
    .await?;
    Ok(age.unwrap_or(0))
}
