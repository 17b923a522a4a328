//! SQL of acceptance: payments, their keys and their work, in one statement and so in one commit.

use std::time::Duration;

use rust_decimal::Decimal;
use sqlx::{FromRow, PgExecutor};
use uuid::Uuid;

use super::{Amounts, CaptureMethod, Payment, Status};
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

impl NewPayment {
    /// The payment as [`accept`] stores it.
    #[must_use]
    pub fn payment(&self, release: &str) -> Payment {
        Payment {
            id: self.id,
            merchant_id: self.request.merchant_id,
            user_id: self.user_id,
            payment_method_id: self.payment_method_id,
            amount: self.amount,
            status: Status::Pending,
            capture_method: self.capture_method,
            amounts: Amounts::none(self.amount.currency()),
            authorized_until: None,
            sequence: 0,
            fee: None,
            payment_provider_id: None,
            provider: None,
            provider_reference: None,
            fraud_score: None,
            fraud_status: None,
            error_code: None,
            error_message: None,
            description: self.description.clone(),
            ip_address: self.ip_address.clone(),
            device_fingerprint: self.device_fingerprint.clone(),
            release: release.to_owned(),
            t_start: self.id.created_at(),
            t_end: None,
            latency_ms: None,
        }
    }
}

/// Who takes payments to their end as soon as they are accepted: the first of a batch are claimed in the commit that accepts
/// them, so that nobody has to look for them.
#[derive(Clone, Debug)]
pub struct ClaimedAtOnce {
    /// Name of the worker, for people who look into the table.
    pub worker: String,
    /// How long the claims last without being extended.
    pub lease: Duration,
    /// Drawn for these claims.
    pub token: i64,
    /// How many, counted from the first of the batch.
    pub places: usize,
}

/// A payment that was accepted.
#[derive(Clone, Debug, FromRow)]
pub struct Accepted {
    /// The payment.
    pub payment_id: PaymentId,
    /// Its work item.
    pub item_id: i64,
    /// Number of claims of the item: 1 when it was claimed at once.
    pub claims: i32,
    /// The payment method as the provider knows it.
    pub token: String,
    /// Share of the amount that the platform keeps, in percent.
    pub fee_percentage: Decimal,
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
    insert into work_items (payment_id, payment_created_at, merchant_id, release, attempt, claim_token, leased_until, leased_by)
    select payment_id, created_at, merchant_id, $15, case when place <= $16 then 1 else 0 end,
        case when place <= $16 then $17::bigint end, case when place <= $16 then now() + $18::interval end,
        case when place <= $16 then $19 end
    from asked join fresh using (payment_id) order by place
    returning id, payment_id, attempt
)
select work.payment_id, work.id as item_id, work.attempt as claims, pm.token, m.fee_percentage
from work join asked using (payment_id)
join payment_methods pm on pm.id = asked.payment_method_id
join merchants m on m.id = asked.merchant_id";

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
    claim: Option<&ClaimedAtOnce>,
) -> Result<Vec<Accepted>, sqlx::Error> {
    fn column<'a, T>(payments: &'a [NewPayment], of: impl Fn(&'a NewPayment) -> T) -> Vec<T> {
        payments.iter().map(of).collect()
    }
    sqlx::query_as(ACCEPT)
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
        .bind(claim.map_or(0, |claim| i64::try_from(claim.places).unwrap_or(i64::MAX)))
        .bind(claim.map(|claim| claim.token))
        .bind(claim.map(|claim| claim.lease))
        .bind(claim.map(|claim| claim.worker.as_str()))
        .fetch_all(executor)
        .await
}
