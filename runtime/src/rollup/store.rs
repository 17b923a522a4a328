//! The roll-up's SQL.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use sqlx::postgres::PgConnection;

use super::figures::{Ending, Figures, Tally};
use crate::ids::uuid_at;

/// Any number that no other part of the program locks.
const LOCK: i64 = 0x7075_7273_6572_0003;

/// A minute of a release.
pub(super) type Bucket = (DateTime<Utc>, String);

/// Whether this transaction is the only one that rolls up; until it ends, if so.
pub(super) async fn lock(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("select pg_try_advisory_xact_lock($1)").bind(LOCK).fetch_one(connection).await
}

#[derive(sqlx::FromRow)]
struct TallyRow {
    bucket: DateTime<Utc>,
    release: String,
    ending: String,
    latency_ms: Option<i32>,
    payments: i64,
    amount: Decimal,
}

/// Payments that began in the stretch, counted in the database, so that a busy minute comes as a few thousand rows. A held
/// amount is a success of which nothing was taken yet. What is PENDING may be with a provider already, and is not at its
/// end either way. Tests are nobody's business. `created_at` names the partitions; it lies a little before `t_start` at most.
const TALLIES: &str = "
select date_trunc('minute', t_start, 'UTC') as bucket, release,
       case when status in ('SUCCESS', 'AUTHORIZED', 'PARTIALLY_REFUNDED', 'REFUNDED') then 'success'
            when status = 'FAILED' then 'failed' when status = 'CANCELED' then 'canceled' else 'pending' end as ending,
       latency_ms, count(*) as payments, sum(coalesce(amount_captured, amount)) as amount
from transactions
where t_start >= $1 and t_start < $2 and created_at >= $1 - interval '1 hour' and created_at < $2 + interval '1 hour'
  and not exists (select from merchants m where m.id = merchant_id and m.is_test)
group by 1, 2, 3, 4";

/// The first minute in the stretch that has payments, but is later than every minute written so far.
pub(super) async fn first_missed(
    connection: &mut PgConnection,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
) -> Result<Option<DateTime<Utc>>, sqlx::Error> {
    sqlx::query_scalar(
        "select date_trunc('minute', min(t_start), 'UTC') from transactions
         where t_start >= greatest($1, (select max(time_bucket) + interval '1 minute' from transaction_metrics where bucket_size = 'MINUTE'))
           and t_start < $2 and created_at >= $1 - interval '1 hour' and created_at < $2 + interval '1 hour'",
    )
    .bind(from)
    .bind(to)
    .fetch_one(connection)
    .await
}

/// Minutes in the stretch with payments that were not at their end. A limited number, those that rested longest first.
pub(super) async fn unfinished(
    connection: &mut PgConnection,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
) -> Result<Vec<DateTime<Utc>>, sqlx::Error> {
    sqlx::query_scalar(
        "select time_bucket from transaction_metrics
         where bucket_size = 'MINUTE' and n_pending > 0 and time_bucket >= $1 and time_bucket < $2
         group by time_bucket order by min(updated_at), time_bucket limit 10",
    )
    .bind(from)
    .bind(to)
    .fetch_all(connection)
    .await
}

/// The payments of each minute and release.
pub(super) async fn tallies(
    connection: &mut PgConnection,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
) -> Result<BTreeMap<Bucket, Vec<Tally>>, sqlx::Error> {
    let rows: Vec<TallyRow> = sqlx::query_as(TALLIES).bind(from).bind(to).fetch_all(connection).await?;
    let mut buckets: BTreeMap<Bucket, Vec<Tally>> = BTreeMap::new();
    for TallyRow { bucket, release, ending, latency_ms, payments, amount } in rows {
        let ending = match ending.as_str() {
            "success" => Ending::Success,
            "failed" => Ending::Failed,
            "canceled" => Ending::Canceled,
            _ => Ending::Pending,
        };
        let payments = u32::try_from(payments).unwrap_or(u32::MAX);
        buckets.entry((bucket, release)).or_default().push(Tally { ending, latency_ms, payments, amount });
    }
    Ok(buckets)
}

/// Writes a minute, over what was there.
pub(super) async fn save(
    connection: &mut PgConnection,
    (time_bucket, release): &Bucket,
    figures: &Figures,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into transaction_metrics (id, time_bucket, bucket_size, release, n_total, n_success, n_failed, n_pending, tps,
             avg_latency_ms, p95_latency_ms, p99_latency_ms, success_rate, total_amount, latency_sketch)
         values ($1, $2, 'MINUTE', $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
         on conflict on constraint transaction_metrics_bucket_key do update set
             n_total = excluded.n_total, n_success = excluded.n_success, n_failed = excluded.n_failed,
             n_pending = excluded.n_pending, tps = excluded.tps, avg_latency_ms = excluded.avg_latency_ms,
             p95_latency_ms = excluded.p95_latency_ms, p99_latency_ms = excluded.p99_latency_ms,
             success_rate = excluded.success_rate, total_amount = excluded.total_amount,
             latency_sketch = excluded.latency_sketch, updated_at = now()",
    )
    .bind(uuid_at(*time_bucket))
    .bind(time_bucket)
    .bind(release)
    .bind(count(figures.n_total))
    .bind(count(figures.n_success))
    .bind(count(figures.n_failed))
    .bind(count(figures.n_pending))
    .bind(figures.tps)
    .bind(figures.avg_latency_ms)
    .bind(figures.p95_latency_ms)
    .bind(figures.p99_latency_ms)
    .bind(figures.success_rate)
    .bind(figures.total_amount)
    .bind(&figures.latency_sketch)
    .execute(connection)
    .await?;
    Ok(())
}

fn count(payments: u32) -> i32 {
    i32::try_from(payments).unwrap_or(i32::MAX)
}
