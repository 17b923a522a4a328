//! The statements of a batch: one per kind of row, over arrays.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use super::ending::Ended;
use super::record::{Answered, NewAttempt, NewCheck, Record};
use super::write::Place;
use crate::money::Money;

/// One column of an array parameter.
fn column<T, V>(rows: &[T], of: impl Fn(&T) -> V) -> Vec<V> {
    rows.iter().map(of).collect()
}

pub(super) async fn insert_checks(
    connection: &mut PgConnection,
    checks: &[(&Record, &NewCheck)],
    release: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into fraud_checks (id, transaction_id, created_at, risk_score, rules_triggered, ip_address, device_fingerprint,
             check_duration_ms, status, degraded, deadline_missed, release)
         select *, $12 from unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $4::numeric[], $5::jsonb[], $6::text[], $7::text[],
             $8::int[], $9::text[], $10::bool[], $11::bool[])",
    )
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

pub(super) async fn insert_attempts(
    connection: &mut PgConnection,
    sent: &[(Place, &Record, &NewAttempt)],
    release: &str,
) -> Result<HashMap<Uuid, i32>, sqlx::Error> {
    let made: Vec<(Uuid, i32)> = sqlx::query_as(
        "insert into payment_attempts
             (id, payment_id, payment_created_at, number, payment_provider_id, state, release, t_start, api_endpoint, route)
         select a.id, a.payment_id, a.payment_created_at, a.number, p.id, 'SENT', $9, a.t_start, a.api_endpoint, a.route
         from unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $4::int[], $5::text[], $6::timestamptz[], $7::text[], $8::text[])
             as a (id, payment_id, payment_created_at, number, resource, t_start, api_endpoint, route)
         join payment_providers p on p.resource = a.resource
         returning id, payment_provider_id",
    )
    .bind(column(sent, |(_, _, attempt)| attempt.id.as_uuid()))
    .bind(column(sent, |(_, record, _)| record.payment_id.as_uuid()))
    .bind(column(sent, |(_, record, _)| record.created_at))
    .bind(column(sent, |(_, _, attempt)| attempt.number))
    .bind(column(sent, |(_, _, attempt)| attempt.provider.resource.as_str()))
    .bind(column(sent, |(_, _, attempt)| attempt.t_start))
    .bind(column(sent, |(_, _, attempt)| attempt.provider.api_endpoint.as_str()))
    .bind(column(sent, |(_, _, attempt)| attempt.route.as_str()))
    .bind(release)
    .fetch_all(connection)
    .await?;
    Ok(made.into_iter().collect())
}

pub(super) async fn update_attempts(
    connection: &mut PgConnection,
    answered: &[(Place, &Answered)],
) -> Result<HashSet<Uuid>, sqlx::Error> {
    let done: Vec<Uuid> = sqlx::query_scalar(
        "update payment_attempts a set state = o.state, provider_reference = coalesce(o.reference, a.provider_reference),
             error_code = o.error_code, error_message = o.error_message, t_end = o.t_end, latency_ms = o.latency_ms
         from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::timestamptz[], $7::int[])
             as o (id, state, reference, error_code, error_message, t_end, latency_ms)
         where a.id = o.id and a.state in ('SENT', 'UNKNOWN') returning a.id",
    )
    .bind(column(answered, |(_, answered)| answered.id.as_uuid()))
    .bind(column(answered, |(_, answered)| answered.state))
    .bind(column(answered, |(_, answered)| answered.reference.as_deref()))
    .bind(column(answered, |(_, answered)| answered.error_code.as_deref()))
    .bind(column(answered, |(_, answered)| answered.error_message.as_deref()))
    .bind(column(answered, |(_, answered)| answered.t_end))
    .bind(column(answered, |(_, answered)| answered.latency_ms))
    .fetch_all(connection)
    .await?;
    Ok(done.into_iter().collect())
}

pub(super) async fn update_payments(
    connection: &mut PgConnection,
    ended: &[(Place, &Ended)],
) -> Result<HashSet<Uuid>, sqlx::Error> {
    let money = |minor: Option<Money>| minor.map(Money::to_decimal);
    let created: Vec<DateTime<Utc>> = column(ended, |(_, ended)| ended.payment.id.created_at());
    let done: Vec<Uuid> = sqlx::query_scalar(
        "update transactions t set status = e.status, t_end = e.t_end, latency_ms = e.latency_ms, fee = e.fee,
             payment_provider_id = coalesce(e.provider_id, t.payment_provider_id), provider_reference = e.provider_reference,
             fraud_status = e.fraud_status, fraud_score = e.fraud_score, error_code = e.error_code, error_message = e.error_message,
             amount_authorized = e.authorized, amount_captured = e.captured, authorized_until = e.authorized_until,
             sequence = e.sequence, updated_at = now()
         from unnest($1::uuid[], $2::timestamptz[], $3::text[], $4::timestamptz[], $5::int[], $6::numeric[], $7::int[], $8::text[],
             $9::text[], $10::numeric[], $11::text[], $12::text[], $13::numeric[], $14::numeric[], $15::timestamptz[], $16::int[])
             as e (id, created_at, status, t_end, latency_ms, fee, provider_id, provider_reference, fraud_status, fraud_score,
                 error_code, error_message, authorized, captured, authorized_until, sequence)
         where t.id = e.id and t.created_at = e.created_at and t.status in ('PENDING', 'PROCESSING') and t.sequence = e.sequence - 1
             and t.id = any ($1) and t.created_at between $17 and $18
         returning t.id",
    )
    .bind(column(ended, |(_, ended)| ended.payment.id.as_uuid()))
    .bind(&created)
    .bind(column(ended, |(_, ended)| ended.payment.status.as_str()))
    .bind(column(ended, |(_, ended)| ended.payment.t_end))
    .bind(column(ended, |(_, ended)| ended.payment.latency_ms))
    .bind(column(ended, |(_, ended)| money(ended.payment.fee)))
    .bind(column(ended, |(_, ended)| ended.payment.payment_provider_id))
    .bind(column(ended, |(_, ended)| ended.payment.provider_reference.as_deref()))
    .bind(column(ended, |(_, ended)| ended.payment.fraud_status.as_deref()))
    .bind(column(ended, |(_, ended)| ended.payment.fraud_score))
    .bind(column(ended, |(_, ended)| ended.payment.error_code.as_deref()))
    .bind(column(ended, |(_, ended)| ended.payment.error_message.as_deref()))
    .bind(column(ended, |(_, ended)| money(ended.payment.amounts.authorized())))
    .bind(column(ended, |(_, ended)| money(ended.payment.amounts.captured())))
    .bind(column(ended, |(_, ended)| ended.payment.authorized_until))
    .bind(column(ended, |(_, ended)| ended.payment.sequence))
    .bind(created.iter().min())
    .bind(created.iter().max())
    .fetch_all(connection)
    .await?;
    Ok(done.into_iter().collect())
}
