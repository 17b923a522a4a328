//! SQL of ownership: one process delivers to an endpoint at a time.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgExecutor};
use uuid::Uuid;

use crate::ids::MerchantId;

/// An endpoint as its owner needs it.
#[derive(Debug, FromRow)]
pub(super) struct LeasedRow {
    pub(super) id: Uuid,
    pub(super) merchant_id: MerchantId,
    pub(super) url: String,
    pub(super) secret: String,
    pub(super) previous_secret: Option<String>,
    pub(super) previous_secret_until: Option<DateTime<Utc>>,
    pub(super) failures: i32,
    /// Seconds since its latest failure, by the database's clock.
    pub(super) failed_before_s: Option<f64>,
}

/// What an owner keeps in an endpoint's row.
#[derive(Debug)]
pub(super) struct Figures {
    pub(super) id: Uuid,
    pub(super) failures: i32,
    pub(super) given_up: i64,
    pub(super) last_error: Option<String>,
    pub(super) last_failed_at: Option<DateTime<Utc>>,
    pub(super) last_delivered_at: Option<DateTime<Utc>>,
}

/// Endpoints that have deliveries, found by jumping from one to the next in the index.
#[derive(Debug, FromRow)]
pub(super) struct Waiting {
    pub(super) endpoint_id: Uuid,
    /// Whether the first of them is due.
    pub(super) due: bool,
    /// Whether the endpoint is there and in use.
    pub(super) enabled: bool,
}

pub(super) async fn waiting(executor: impl PgExecutor<'_>) -> Result<Vec<Waiting>, sqlx::Error> {
    sqlx::query_as(
        "with recursive waiting (endpoint_id) as (
             (select endpoint_id from webhook_deliveries order by endpoint_id limit 1)
             union all
             select (select d.endpoint_id from webhook_deliveries d where d.endpoint_id > w.endpoint_id order by d.endpoint_id limit 1)
             from waiting w where w.endpoint_id is not null
         )
         select w.endpoint_id, first.run_at <= now() as due, e.id is not null as enabled
         from waiting w
         cross join lateral (
             select run_at from webhook_deliveries d where d.endpoint_id = w.endpoint_id order by run_at limit 1) first
         left join webhook_endpoints e on e.id = w.endpoint_id and e.status = 'ENABLED'",
    )
    .fetch_all(executor)
    .await
}

/// Takes endpoints that nobody owns: these, and those of these merchants. Committed on disk, since an owner that a crash
/// forgot would be joined by another.
pub(super) async fn claim(
    executor: impl PgExecutor<'_>,
    owner: &str,
    lease: Duration,
    endpoints: &[Uuid],
    merchants: &[Uuid],
) -> Result<Vec<LeasedRow>, sqlx::Error> {
    sqlx::query_as(
        "update webhook_endpoints e set leased_by = $1, leased_until = now() + make_interval(secs => $2)
         from (
             select id from webhook_endpoints
             where (id = any ($3) or merchant_id = any ($4)) and status = 'ENABLED'
                 and (leased_until is null or leased_until < now())
             order by id for update skip locked
         ) free
         where e.id = free.id
         returning e.id, e.merchant_id, e.url, e.secret, e.previous_secret, e.previous_secret_until, e.failures,
             extract(epoch from now() - e.last_failed_at)::float8 as failed_before_s",
    )
    .bind(owner)
    .bind(lease.as_secs_f64())
    .bind(endpoints)
    .bind(merchants)
    .fetch_all(executor)
    .await
}

/// Those of these merchants that have an endpoint which another process owns.
pub(super) async fn elsewhere(
    executor: impl PgExecutor<'_>,
    owner: &str,
    merchants: &[Uuid],
) -> Result<Vec<MerchantId>, sqlx::Error> {
    sqlx::query_scalar(
        "select distinct merchant_id from webhook_endpoints
         where merchant_id = any ($2) and status = 'ENABLED' and leased_by <> $1 and leased_until >= now()",
    )
    .bind(owner)
    .bind(merchants)
    .fetch_all(executor)
    .await
}

/// Makes leases last, keeps figures, and reads what merchants changed. What is not returned is not owned any more.
pub(super) async fn renew(
    executor: impl PgExecutor<'_>,
    owner: &str,
    lease: Duration,
    figures: &[Figures],
) -> Result<Vec<LeasedRow>, sqlx::Error> {
    sqlx::query_as(
        "update webhook_endpoints e set
             leased_until = now() + make_interval(secs => $2), failures = f.failures, given_up = e.given_up + f.given_up,
             last_error = coalesce(f.last_error, e.last_error), last_failed_at = coalesce(f.last_failed_at, e.last_failed_at),
             last_delivered_at = coalesce(f.last_delivered_at, e.last_delivered_at)
         from unnest($3::uuid[], $4::int[], $5::bigint[], $6::text[], $7::timestamptz[], $8::timestamptz[])
             as f (id, failures, given_up, last_error, last_failed_at, last_delivered_at)
         where e.id = f.id and e.leased_by = $1 and e.status = 'ENABLED'
         returning e.id, e.merchant_id, e.url, e.secret, e.previous_secret, e.previous_secret_until, e.failures,
             extract(epoch from now() - e.last_failed_at)::float8 as failed_before_s",
    )
    .bind(owner)
    .bind(lease.as_secs_f64())
    .bind(figures.iter().map(|f| f.id).collect::<Vec<_>>())
    .bind(figures.iter().map(|f| f.failures).collect::<Vec<_>>())
    .bind(figures.iter().map(|f| f.given_up).collect::<Vec<_>>())
    .bind(figures.iter().map(|f| f.last_error.as_deref()).collect::<Vec<_>>())
    .bind(figures.iter().map(|f| f.last_failed_at).collect::<Vec<_>>())
    .bind(figures.iter().map(|f| f.last_delivered_at).collect::<Vec<_>>())
    .fetch_all(executor)
    .await
}

/// Gives endpoints free for others.
pub(super) async fn release(executor: impl PgExecutor<'_>, owner: &str, endpoints: &[Uuid]) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update webhook_endpoints set leased_by = null, leased_until = null where leased_by = $1 and id = any ($2)",
    )
    .bind(owner)
    .bind(endpoints)
    .execute(executor)
    .await?;
    Ok(())
}

#[cfg(test)]
impl LeasedRow {
    pub(super) fn for_tests(failures: i32, failed_before_s: Option<f64>) -> Self {
        Self {
            id: Uuid::nil(),
            merchant_id: MerchantId::at(Utc::now()),
            url: "https://shop.example/".into(),
            secret: "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD".into(),
            previous_secret: None,
            previous_secret_until: None,
            failures,
            failed_before_s,
        }
    }
}
