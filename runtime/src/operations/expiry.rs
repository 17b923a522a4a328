//! Authorisations whose time is over: what the provider no longer holds is given up here too.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use sqlx::Row;
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use crate::database::{self, Pool};
use crate::ids::{PaymentId, time_of, uuid_at};

/// Why the platform voids a payment of its own accord.
pub const REASON: &str = "authorization expired";

/// Makes a void of what is left of each authorisation whose time is over, for at most `limit` of them. Returns how many.
/// One whose captures are on their way waits for them; one that the provider refused to void is tried again a day later.
///
/// # Errors
/// When the database does not answer.
pub async fn sweep(pool: &Pool, release: &str, limit: i64, now: DateTime<Utc>) -> Result<u64, sqlx::Error> {
    let mut transaction = database::begin(pool).await?;
    // What others have in hand just now is left to the next round.
    let due = sqlx::query(
        "select id, amount_authorized - amount_captured as amount from transactions t
         where status = 'AUTHORIZED' and authorized_until <= $1 and amount_capturing = 0
             and amount_authorized > amount_captured
             and not exists (
                 select from operations o where o.payment_id = t.id and o.kind = 'VOID'
                     and (o.status = 'PENDING' or o.reason = $2 and o.t_end > $1 - interval '1 day'))
         order by authorized_until limit $3 for update of t skip locked",
    )
    .bind(now)
    .bind(REASON)
    .bind(limit)
    .fetch_all(&mut *transaction)
    .await?;
    let mut ids = (Vec::new(), Vec::new(), Vec::new());
    for row in &due {
        ids.0.push(uuid_at(now));
        ids.1.push(row.try_get::<PaymentId, _>("id")?.as_uuid());
        ids.2.push(row.try_get::<Decimal, _>("amount")?);
    }
    let made = if due.is_empty() { 0 } else { insert(&mut transaction, &ids, release, now).await? };
    transaction.commit().await?;
    Ok(made)
}

async fn insert(
    connection: &mut PgConnection,
    (ids, payments, amounts): &(Vec<Uuid>, Vec<Uuid>, Vec<Decimal>),
    release: &str,
    now: DateTime<Utc>,
) -> Result<u64, sqlx::Error> {
    // A void that was accepted between the look and the lock stands in the way of this one, by its index.
    let made = sqlx::query(
        "with voids as (
             insert into operations (id, payment_id, payment_created_at, merchant_id, kind, amount, currency, reason, release, created_at)
             select due.id, t.id, t.created_at, t.merchant_id, 'VOID', due.amount, t.currency, $5, $6, $7
             from unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $4::numeric[]) as due (id, payment_id, payment_created_at, amount)
             join transactions t on t.id = due.payment_id and t.created_at = due.payment_created_at
             on conflict (payment_id) where kind = 'VOID' and status = 'PENDING' do nothing
             returning id, payment_id, payment_created_at, merchant_id, release
         )
         insert into operation_items (operation_id, payment_id, payment_created_at, merchant_id, release)
         select id, payment_id, payment_created_at, merchant_id, release from voids",
    )
    .bind(ids)
    .bind(payments)
    .bind(payments.iter().map(|id| time_of(*id)).collect::<Vec<_>>())
    .bind(amounts)
    .bind(REASON)
    .bind(release)
    .bind(ids.first().map_or(now, |id| time_of(*id)))
    .execute(connection)
    .await?;
    Ok(made.rows_affected())
}
