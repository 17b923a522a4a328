//! SQL of acceptance: payments, their keys and their work, in one statement and so in one commit.

use std::collections::HashSet;

use rust_decimal::Decimal;
use sqlx::PgExecutor;
use uuid::Uuid;

use super::CaptureMethod;
use crate::idempotency::{KEPT, KeyedRequest};
use crate::ids::{PaymentId, PaymentMethodId, UserId};
use crate::money::Money;

/// A payment to be accepted. Everything in it was checked.
#[derive(Clone, Debug)]
pub struct NewPayment {
    /// Its id; carries `created_at` and `t_start`.
    pub id: PaymentId,
    /// By whom, and under which key.
    pub request: KeyedRequest,
    /// Who pays.
    pub user_id: UserId,
    /// What is paid with.
    pub payment_method_id: PaymentMethodId,
    /// How much.
    pub amount: Money,
    /// Whether the amount is taken at once.
    pub capture_method: CaptureMethod,
    /// The merchant's own words.
    pub description: Option<String>,
    /// Address of the one who pays.
    pub ip_address: Option<String>,
    /// Device of the one who pays.
    pub device_fingerprint: Option<String>,
}

// A key lives by the clock of whoever is later, the gateway or the database: one clock that was set wrong lets nobody pay twice.
// Keys are taken in one order everywhere: two batches that share some would otherwise wait for each other.
const ACCEPT: &str = "
with asked as (
    select * from unnest($1::uuid[], $2::timestamptz[], $3::timestamptz[], $4::uuid[], $5::text[], $6::bytea[], $7::uuid[], $8::uuid[],
        $9::numeric[], $10::text[], $11::text[], $12::text[], $13::text[], $14::text[])
        with ordinality as a (payment_id, created_at, expires_at, merchant_id, key, request_hash, user_id, payment_method_id,
            amount, currency, capture_method, description, ip_address, device_fingerprint, place)
), fresh as (
    insert into idempotency_keys as known (merchant_id, key, request_hash, payment_id, payment_created_at, created_at, expires_at)
    select merchant_id, key, request_hash, payment_id, created_at, created_at, greatest(expires_at, now() + (expires_at - created_at))
    from asked order by merchant_id, key
    on conflict (merchant_id, key) do update set
        request_hash = excluded.request_hash, payment_id = excluded.payment_id, operation_id = null,
        payment_created_at = excluded.payment_created_at, created_at = excluded.created_at, expires_at = excluded.expires_at,
        response_status = null, response_headers = null, response_body = null
    where known.expires_at <= least(excluded.created_at, now())
    returning payment_id
), payment as (
    insert into transactions (id, created_at, t_start, updated_at, merchant_id, user_id, payment_method_id, amount, currency, status,
        capture_method, description, ip_address, device_fingerprint, release)
    select payment_id, created_at, created_at, created_at, merchant_id, user_id, payment_method_id, amount, currency, 'PENDING',
        capture_method, description, ip_address, device_fingerprint, $15
    from asked join fresh using (payment_id) order by place
), work as (
    insert into work_items (payment_id, payment_created_at, merchant_id, release)
    select payment_id, created_at, merchant_id, $15 from asked join fresh using (payment_id) order by place
)
select payment_id from fresh";

/// Accepts payments, no two of them under one key: one commit holds their keys, rows and work items. Returns those that
/// were accepted; the keys of the others are in use. What is returned here, no crash can lose. When this fails, none was
/// accepted, unless the connection broke meanwhile: then their keys tell.
///
/// # Errors
/// When the database refuses one of them, or does not answer.
pub async fn accept(
    executor: impl PgExecutor<'_>,
    payments: &[NewPayment],
    release: &str,
) -> Result<HashSet<PaymentId>, sqlx::Error> {
    fn column<'a, T>(payments: &'a [NewPayment], of: impl Fn(&'a NewPayment) -> T) -> Vec<T> {
        payments.iter().map(of).collect()
    }
    let accepted: Vec<PaymentId> = sqlx::query_scalar(ACCEPT)
        .bind(column::<Uuid>(payments, |new| new.id.as_uuid()))
        .bind(column(payments, |new| new.id.created_at()))
        .bind(column(payments, |new| new.id.created_at() + KEPT))
        .bind(column::<Uuid>(payments, |new| new.request.merchant_id.as_uuid()))
        .bind(column(payments, |new| new.request.key.as_str()))
        .bind(column(payments, |new| new.request.hash.as_bytes().as_slice()))
        .bind(column::<Uuid>(payments, |new| new.user_id.as_uuid()))
        .bind(column::<Uuid>(payments, |new| new.payment_method_id.as_uuid()))
        .bind(column::<Decimal>(payments, |new| new.amount.to_decimal()))
        .bind(column(payments, |new| new.amount.currency().code()))
        .bind(column(payments, |new| new.capture_method.as_str()))
        .bind(column(payments, |new| new.description.as_deref()))
        .bind(column(payments, |new| new.ip_address.as_deref()))
        .bind(column(payments, |new| new.device_fingerprint.as_deref()))
        .bind(release)
        .fetch_all(executor)
        .await?;
    Ok(accepted.into_iter().collect())
}
