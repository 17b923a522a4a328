//! SQL of acceptance: payments, their keys and their work, in one statement and so in one commit.

use std::time::Duration;

use rust_decimal::Decimal;
use sqlx::{FromRow, PgExecutor};
use uuid::Uuid;

use super::{Amounts, CaptureMethod, Payment, Status};
use crate::idempotency::{KEPT, KeyedRequest};
use crate::ids::{PaymentId, PaymentMethodId, UserId};
use crate::money::Money;
use crate::processor::record::{Begun, NewAttempt, NewCheck};
use crate::processor::rows;

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
    /// Whether it is a test, as all payments of its merchant are then.
    pub is_test: bool,
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

/// A payment that is offered, and what was begun for it by the one who will take it to its end at once.
#[derive(Clone, Copy, Debug)]
pub struct Offered<'a> {
    /// The payment.
    pub new: &'a NewPayment,
    /// None: it goes to the queue.
    pub begun: Option<&'a Begun>,
}

/// Who takes what was begun to its end: it is claimed in the commit that accepts it, so that nobody has to look for it.
#[derive(Clone, Debug)]
pub struct ClaimedAtOnce {
    /// Name of the worker, for people who look into the table.
    pub worker: String,
    /// How long the claims last without being extended.
    pub lease: Duration,
    /// Drawn for these claims.
    pub token: i64,
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
    /// Id in `payment_providers` of the provider of the attempt that was written; none when there was no attempt, or its
    /// provider has no row.
    pub provider_id: Option<i32>,
}

// A key lives by the clock of whoever is later, the gateway or the database: one clock that was set wrong lets nobody pay twice.
// Keys are taken in one order everywhere: two batches that share some would otherwise wait for each other.
const ACCEPT: &str = concat!(
    "with asked as (
         select * from unnest($1::uuid[], $2::timestamptz[], $3::timestamptz[], $4::uuid[], $5::text[], $6::bytea[], $7::uuid[], $8::uuid[],
             $9::numeric[], $10::text[], $11::text[], $12::text[], $13::text[], $14::text[],
             $19::uuid[], $20::numeric[], $21::jsonb[], $22::int[], $23::text[], $24::bool[], $25::bool[],
             $26::uuid[], $27::text[], $28::timestamptz[], $29::text[], $30::text[], $31::text[])
             with ordinality as a (payment_id, created_at, expires_at, merchant_id, key, request_hash, user_id, payment_method_id,
                 amount, currency, capture_method, description, ip_address, device_fingerprint,
                 check_id, score, rules, duration_ms, status, degraded, deadline_missed,
                 attempt_id, resource, t_start, api_endpoint, route, purchase, place)
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
     ), taken as materialized (
         -- A condition rather than a join: a join of two lists compares each with each.
         select * from asked where (payment_id in (select payment_id from fresh)) is true
     ), payment as (
         insert into transactions (id, created_at, t_start, updated_at, merchant_id, user_id, payment_method_id, amount, currency, status,
             capture_method, description, ip_address, device_fingerprint, release)
         select payment_id, created_at, created_at, created_at, merchant_id, user_id, payment_method_id, amount, currency, 'PENDING',
             capture_method, description, ip_address, device_fingerprint, $15
         from taken order by place
     ), work as (
         insert into work_items (payment_id, payment_created_at, merchant_id, release, purchase, attempt, claim_token, leased_until, leased_by)
         select payment_id, created_at, merchant_id, $15, purchase, case when check_id is null then 0 else 1 end,
             case when check_id is not null then $16::bigint end, case when check_id is not null then now() + $17::interval end,
             case when check_id is not null then $18 end
         from taken order by place
         returning id, payment_id, attempt
     ), checked as (",
    rows::into_checks!(),
    "    select check_id, payment_id, created_at, score, rules, ip_address, device_fingerprint, duration_ms, status, degraded,
             deadline_missed, $15
         from taken where check_id is not null
     ), sent as (
         insert into payment_attempts
             (id, payment_id, payment_created_at, number, payment_provider_id, state, release, t_start, api_endpoint, route)
         select taken.attempt_id, taken.payment_id, taken.created_at, 1, p.id, 'SENT', $15, taken.t_start, taken.api_endpoint, taken.route
         from taken join payment_providers p on p.resource = taken.resource
         returning payment_id, payment_provider_id
     )
     select taken.payment_id, work.id as item_id, work.attempt as claims, pm.token, m.fee_percentage,
         sent.payment_provider_id as provider_id
     from taken
     join work on work.payment_id = taken.payment_id
     join payment_methods pm on pm.id = taken.payment_method_id
     join merchants m on m.id = taken.merchant_id
     left join sent on sent.payment_id = taken.payment_id"
);

/// Accepts payments, no two of them under one key: one commit holds their keys, rows and work items, and whatever was begun
/// for them. Returns those that were accepted; the keys of the others are in use. What is returned here, no crash can lose.
/// When this fails, none was accepted, unless the connection broke meanwhile: then their keys tell.
///
/// # Errors
/// When the database refuses one of them, or does not answer.
pub async fn accept(
    executor: impl PgExecutor<'_>,
    offered: &[Offered<'_>],
    release: &str,
    claim: &ClaimedAtOnce,
) -> Result<Vec<Accepted>, sqlx::Error> {
    fn column<'a, T>(offered: &'a [Offered<'a>], of: impl Fn(&'a NewPayment) -> T) -> Vec<T> {
        offered.iter().map(|offered| of(offered.new)).collect()
    }
    fn check<'a, T>(offered: &'a [Offered<'a>], of: impl Fn(&'a NewCheck) -> T) -> Vec<Option<T>> {
        offered.iter().map(|offered| offered.begun.map(|begun| of(&begun.check))).collect()
    }
    fn attempt<'a, T>(offered: &'a [Offered<'a>], of: impl Fn(&'a NewAttempt) -> T) -> Vec<Option<T>> {
        offered.iter().map(|offered| offered.begun.and_then(|begun| begun.attempt.as_ref().map(&of))).collect()
    }
    sqlx::query_as(ACCEPT)
        .bind(column::<Uuid>(offered, |new| new.id.as_uuid()))
        .bind(column(offered, |new| new.id.created_at()))
        .bind(column(offered, |new| new.id.created_at() + KEPT))
        .bind(column::<Uuid>(offered, |new| new.request.merchant_id.as_uuid()))
        .bind(column(offered, |new| new.request.key.as_str()))
        .bind(column(offered, |new| new.request.hash.as_bytes().as_slice()))
        .bind(column::<Uuid>(offered, |new| new.user_id.as_uuid()))
        .bind(column::<Uuid>(offered, |new| new.payment_method_id.as_uuid()))
        .bind(column::<Decimal>(offered, |new| new.amount.to_decimal()))
        .bind(column(offered, |new| new.amount.currency().code()))
        .bind(column(offered, |new| new.capture_method.as_str()))
        .bind(column(offered, |new| new.description.as_deref()))
        .bind(column(offered, |new| new.ip_address.as_deref()))
        .bind(column(offered, |new| new.device_fingerprint.as_deref()))
        .bind(release)
        .bind(claim.token)
        .bind(claim.lease)
        .bind(&claim.worker)
        .bind(check(offered, |check| check.id))
        .bind(check(offered, |check| check.score))
        .bind(check(offered, |check| &check.rules))
        .bind(check(offered, |check| check.duration_ms))
        .bind(check(offered, |check| check.status.as_str()))
        .bind(check(offered, |check| check.degraded))
        .bind(check(offered, |check| check.deadline_missed))
        .bind(attempt::<Uuid>(offered, |attempt| attempt.id.as_uuid()))
        .bind(attempt(offered, |attempt| attempt.provider.resource.as_str()))
        .bind(attempt(offered, |attempt| attempt.t_start))
        .bind(attempt(offered, |attempt| attempt.provider.api_endpoint.as_str()))
        .bind(attempt(offered, |attempt| attempt.route.as_str()))
        .bind(column(offered, |new| new.request.purchase()))
        .fetch_all(executor)
        .await
}
