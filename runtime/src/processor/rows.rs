//! The statements of a batch, over arrays. Each begins by holding the claims that still stand, in the order of items, as
//! everybody does who holds several; what was lost to another worker is left out of all the rest.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde_json::Value;
use sqlx::FromRow;
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use super::ending::Ended;
use super::record::{Answered, Fate, NewCheck, Record, Sending};
use crate::events::store::Columns;
use crate::ledger::store::Lines;
use crate::money::Money;
use crate::queue::Lease;
use crate::queue::store::columns;
use crate::{events, ledger};

/// One column of an array parameter.
fn column<T, V>(rows: &[T], of: impl Fn(&T) -> V) -> Vec<V> {
    rows.iter().map(of).collect()
}

/// The claims among what is asked that still stand.
macro_rules! mine {
    () => {
        " mine as materialized (
             select asked.*, item.is_answered from work_items item
             join asked on item.id = asked.item_id and item.attempt = asked.claim and item.claim_token = asked.token
             order by item.id for update of item
         )"
    };
}

/// Begins the insertion of checks.
macro_rules! into_checks {
    () => {
        "insert into fraud_checks (id, transaction_id, created_at, risk_score, rules_triggered, ip_address, device_fingerprint,
             check_duration_ms, status, degraded, deadline_missed, release) "
    };
}

pub(crate) use into_checks;

pub(super) async fn insert_checks(
    connection: &mut PgConnection,
    checks: &[(&Record, &NewCheck)],
    release: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query(concat!(
        into_checks!(),
        "select *, $12 from unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $4::numeric[], $5::jsonb[], $6::text[], $7::text[],
             $8::int[], $9::text[], $10::bool[], $11::bool[])",
    ))
    .bind(column(checks, |(_, check)| check.id))
    .bind(column(checks, |(record, _)| record.payment_id.as_uuid()))
    .bind(column(checks, |(record, _)| record.created_at))
    .bind(column(checks, |(_, check)| check.score))
    .bind(column(checks, |(_, check)| &check.rules))
    .bind(column(checks, |(_, check)| check.ip_address.as_deref()))
    .bind(column(checks, |(_, check)| check.device_fingerprint.as_deref()))
    .bind(column(checks, |(_, check)| check.duration_ms))
    .bind(column(checks, |(_, check)| check.status.as_str()))
    .bind(column(checks, |(_, check)| check.degraded))
    .bind(column(checks, |(_, check)| check.deadline_missed))
    .bind(release)
    .execute(connection)
    .await?;
    Ok(())
}

/// A claim that still stood, and what became of what was asked under it.
#[derive(Clone, Copy, Debug, FromRow)]
pub(super) struct Sent {
    #[sqlx(flatten)]
    pub(super) lease: Lease,
    /// None when the provider has no row; then the attempt was not written.
    pub(super) provider_id: Option<i32>,
}

/// A claim that still stood.
#[derive(Clone, Copy, Debug, FromRow)]
pub(super) struct Stood {
    #[sqlx(flatten)]
    pub(super) lease: Lease,
    /// Whether the payment's key was answered before.
    pub(super) is_answered: bool,
}

const SEND: &str = concat!(
    "with asked as (
         select * from unnest($1::bigint[], $2::int[], $3::bigint[], $4::uuid[], $5::timestamptz[], $6::uuid[], $7::int[], $8::text[],
             $9::timestamptz[], $10::text[], $11::text[], $12::uuid[], $13::numeric[], $14::jsonb[], $15::text[], $16::text[],
             $17::int[], $18::text[], $19::bool[], $20::bool[])
             as asked (item_id, claim, token, payment_id, created_at, attempt_id, number, resource,
                 t_start, api_endpoint, route, check_id, score, rules, ip_address, device_fingerprint,
                 duration_ms, status, degraded, deadline_missed)
     ),",
    mine!(),
    ", checked as (",
    into_checks!(),
    "    select check_id, payment_id, created_at, score, rules, ip_address, device_fingerprint, duration_ms, status, degraded,
             deadline_missed, $21
         from mine where check_id is not null
     ), sent as (
         insert into payment_attempts
             (id, payment_id, payment_created_at, number, payment_provider_id, state, release, t_start, api_endpoint, route)
         select mine.attempt_id, mine.payment_id, mine.created_at, mine.number, p.id, 'SENT', $21, mine.t_start, mine.api_endpoint, mine.route
         from mine join payment_providers p on p.resource = mine.resource
         returning id, payment_provider_id
     )
     select mine.item_id, mine.claim as attempt, mine.token, sent.payment_provider_id as provider_id from mine left join sent on sent.id = mine.attempt_id"
);

/// Writes attempts that are about to be sent, with the checks before them: one statement, and so one commit.
pub(super) async fn send(
    connection: &mut PgConnection,
    release: &str,
    sendings: &[&Sending],
) -> Result<Vec<Sent>, sqlx::Error> {
    let checks: Vec<Option<&NewCheck>> = column(sendings, |sending| sending.check.as_ref());
    let (items, claims, tokens) = columns(sendings.iter().map(|sending| &sending.lease));
    sqlx::query_as(SEND)
        .bind(items)
        .bind(claims)
        .bind(tokens)
        .bind(column(sendings, |sending| sending.payment_id.as_uuid()))
        .bind(column(sendings, |sending| sending.created_at))
        .bind(column(sendings, |sending| sending.attempt.id.as_uuid()))
        .bind(column(sendings, |sending| sending.attempt.number))
        .bind(column(sendings, |sending| sending.attempt.provider.resource.as_str()))
        .bind(column(sendings, |sending| sending.attempt.t_start))
        .bind(column(sendings, |sending| sending.attempt.provider.api_endpoint.as_str()))
        .bind(column(sendings, |sending| sending.attempt.route.as_str()))
        .bind::<Vec<Option<Uuid>>>(column(&checks, |check| check.map(|check| check.id)))
        .bind::<Vec<Option<Decimal>>>(column(&checks, |check| check.map(|check| check.score)))
        .bind::<Vec<Option<&Value>>>(column(&checks, |check| check.map(|check| &check.rules)))
        .bind::<Vec<Option<&str>>>(column(&checks, |check| check.and_then(|check| check.ip_address.as_deref())))
        .bind::<Vec<Option<&str>>>(column(&checks, |check| check.and_then(|check| check.device_fingerprint.as_deref())))
        .bind::<Vec<Option<i32>>>(column(&checks, |check| check.map(|check| check.duration_ms)))
        .bind::<Vec<Option<&str>>>(column(&checks, |check| check.map(|check| check.status.as_str())))
        .bind::<Vec<Option<bool>>>(column(&checks, |check| check.map(|check| check.degraded)))
        .bind::<Vec<Option<bool>>>(column(&checks, |check| check.map(|check| check.deadline_missed)))
        .bind(release)
        .fetch_all(connection)
        .await
}

// One claim that is lost, and nothing is written: what is beside the rows of payments need not be told apart then.
const RECORD: &str = concat!(
    "with asked as (
         select * from unnest($1::bigint[], $2::int[], $3::bigint[], $4::bool[], $5::uuid[], $6::timestamptz[],
             $7::uuid[], $8::text[], $9::text[], $10::text[], $11::text[], $12::timestamptz[], $13::int[],
             $14::text[], $15::timestamptz[], $16::int[], $17::numeric[], $18::int[], $19::text[], $20::text[], $21::numeric[],
             $22::text[], $23::text[], $24::numeric[], $25::numeric[], $26::timestamptz[], $27::int[])
             as asked (item_id, claim, token, completes, payment_id, created_at,
                 attempt_id, state, attempt_reference, attempt_error_code, attempt_error_message, attempt_t_end, attempt_latency_ms,
                 status, t_end, latency_ms, fee, provider_id, provider_reference, fraud_status, fraud_score,
                 error_code, error_message, authorized, captured, authorized_until, sequence)
     ),",
    mine!(),
    ", standing as materialized (
         select count(*) = cardinality($1) as ok from mine
     ), answered as (
         update payment_attempts a set state = mine.state, provider_reference = coalesce(mine.attempt_reference, a.provider_reference),
             error_code = mine.attempt_error_code, error_message = mine.attempt_error_message,
             t_end = mine.attempt_t_end, latency_ms = mine.attempt_latency_ms
         from mine where (select ok from standing) and a.id = mine.attempt_id and a.state in ('SENT', 'UNKNOWN')
         returning mine.item_id
     ), ended as (
         update transactions t set status = mine.status, t_end = mine.t_end, latency_ms = mine.latency_ms, fee = mine.fee,
             payment_provider_id = coalesce(mine.provider_id, t.payment_provider_id), provider_reference = mine.provider_reference,
             fraud_status = mine.fraud_status, fraud_score = mine.fraud_score, error_code = mine.error_code,
             error_message = mine.error_message, amount_authorized = mine.authorized, amount_captured = mine.captured,
             authorized_until = mine.authorized_until, sequence = mine.sequence, updated_at = now()
         from mine where (select ok from standing) and mine.status is not null and t.id = mine.payment_id and t.created_at = mine.created_at
             and t.created_at between $28 and $29 and t.status in ('PENDING', 'PROCESSING') and t.sequence = mine.sequence - 1
         returning mine.item_id
     ), completed as (
         delete from work_items item using mine where (select ok from standing) and item.id = mine.item_id and mine.completes
     ), posted as (",
    ledger::store::posting!("$30", "$31", "$32", "$33", "$34", "$35", "$36", "$37", "$38", "where (select ok from standing)"),
    "), ",
    events::store::recording!("$39", "$40", "$41", "$42", "$43", "$44", "$45", "$46", "where (select ok from standing)"),
    "select item_id, claim as attempt, token, is_answered, case
         when not (select ok from standing) then null
         when (select count(*) from answered) <> (select count(attempt_id) from mine) then refuse('the attempt is not open')
         when (select count(*) from ended) <> (select count(status) from mine)
             then refuse('the payment is not where it was when it was read')
     end from mine"
);

/// Writes what became of attempts and payments, journals and events, and ends the items that have done their work: one
/// statement. Returns the claims that stand; while one of them does not, nothing was written.
pub(super) async fn record(connection: &mut PgConnection, records: &[&Record]) -> Result<Vec<Stood>, sqlx::Error> {
    let (items, claims, tokens) = columns(records.iter().map(|record| &record.lease));
    let answers: Vec<Option<&Answered>> = column(records, |record| record.answered.as_ref());
    let ends: Vec<Option<&Ended>> = column(records, |record| record.ended.as_deref());
    let created: Vec<DateTime<Utc>> = column(records, |record| record.created_at);
    let money = |of: fn(&Ended) -> Option<Money>| -> Vec<Option<Decimal>> {
        column(&ends, |end| end.and_then(of).map(Money::to_decimal))
    };
    let text = |of: fn(&Ended) -> Option<&str>| -> Vec<Option<&str>> { column(&ends, |end| end.and_then(of)) };
    let said = |of: fn(&Answered) -> Option<&str>| -> Vec<Option<&str>> { column(&answers, |said| said.and_then(of)) };
    let ended = || ends.iter().copied().flatten();
    let lines = Lines::of(ended().filter_map(|end| end.journal.as_ref()));
    let told = Columns::of(ended().map(|end| &end.event));
    sqlx::query_as(RECORD)
        .bind(items)
        .bind(claims)
        .bind(tokens)
        .bind(column(records, |record| record.item == Fate::Complete))
        .bind(column(records, |record| record.payment_id.as_uuid()))
        .bind(&created)
        .bind::<Vec<Option<Uuid>>>(column(&answers, |said| said.map(|said| said.id.as_uuid())))
        .bind(said(|said| Some(said.state)))
        .bind(said(|said| said.reference.as_deref()))
        .bind(said(|said| said.error_code.as_deref()))
        .bind(said(|said| said.error_message.as_deref()))
        .bind::<Vec<Option<DateTime<Utc>>>>(column(&answers, |said| said.and_then(|said| said.t_end)))
        .bind::<Vec<Option<i32>>>(column(&answers, |said| said.and_then(|said| said.latency_ms)))
        .bind(text(|end| Some(end.payment.status.as_str())))
        .bind::<Vec<Option<DateTime<Utc>>>>(column(&ends, |end| end.and_then(|end| end.payment.t_end)))
        .bind::<Vec<Option<i32>>>(column(&ends, |end| end.and_then(|end| end.payment.latency_ms)))
        .bind(money(|end| end.payment.fee))
        .bind::<Vec<Option<i32>>>(column(&ends, |end| end.and_then(|end| end.payment.payment_provider_id)))
        .bind(text(|end| end.payment.provider_reference.as_deref()))
        .bind(text(|end| end.payment.fraud_status.as_deref()))
        .bind::<Vec<Option<Decimal>>>(column(&ends, |end| end.and_then(|end| end.payment.fraud_score)))
        .bind(text(|end| end.payment.error_code.as_deref()))
        .bind(text(|end| end.payment.error_message.as_deref()))
        .bind(money(|end| end.payment.amounts.authorized()))
        .bind(money(|end| end.payment.amounts.captured()))
        .bind::<Vec<Option<DateTime<Utc>>>>(column(&ends, |end| end.and_then(|end| end.payment.authorized_until)))
        .bind::<Vec<Option<i32>>>(column(&ends, |end| end.map(|end| end.payment.sequence)))
        .bind(created.iter().min())
        .bind(created.iter().max())
        .bind(lines.journal_id)
        .bind(lines.line)
        .bind(lines.account)
        .bind(lines.owner)
        .bind(lines.provider)
        .bind(lines.currency)
        .bind(lines.amount)
        .bind(lines.payment_id)
        .bind(lines.created_at)
        .bind(told.id)
        .bind(told.merchant_id)
        .bind(told.kind)
        .bind(told.payment_id)
        .bind(told.operation_id)
        .bind(told.sequence)
        .bind(told.payload)
        .bind(told.created_at)
        .fetch_all(connection)
        .await
}
