//! Writing a batch of records: one transaction, one statement per kind of row, over arrays.
//!
//! A payment costs its share of two such transactions, one before the provider is called and one after. In a batch of
//! any size the first is 5 statements (begin, hold, checks, attempts, commit) and the second 8 (begin, hold, attempts,
//! payments, ledger, events with deliveries, completion, commit); kinds that a batch has none of cost nothing. With the
//! claim, which also reads, that is 14 statements for up to 64 payments.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use super::error::StepError;
use super::record::{Answered, Ended, Fate, NewAttempt, NewCheck, Record};
use crate::database::Pool;
use crate::money::Money;
use crate::queue::{GivenBack, Lease, PAYMENTS, Parked};
use crate::{events, ledger};

/// What a written record came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Of the attempt that is about to be sent: its provider's id in `payment_providers`.
    pub provider_id: Option<i32>,
}

/// Why nothing of a batch was written.
#[derive(Debug)]
pub(super) enum BatchError {
    /// The database refused or did not answer.
    Database(sqlx::Error),
    /// These records, by their place in the batch, are not of what is in the database.
    Inconsistent(Vec<(usize, String)>),
}

impl From<sqlx::Error> for BatchError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

/// Writes every record whose claim stands, all of them or none. The others are [`StepError::Lost`].
pub(super) async fn write(
    pool: &Pool,
    release: &str,
    records: &[&Record],
) -> Result<Vec<Result<Written, StepError>>, BatchError> {
    let mut transaction = pool.begin().await?;
    let leases: Vec<Lease> = records.iter().map(|record| record.lease).collect();
    let held: HashSet<Lease> = PAYMENTS.hold(&mut transaction, &leases).await?.into_iter().collect();
    let mut batch = Batch::default();
    for (place, record) in records.iter().enumerate().filter(|(_, record)| held.contains(&record.lease)) {
        batch.add(place, record);
    }
    let providers = batch.write(&mut transaction, release).await?;
    transaction.commit().await?;
    Ok(records
        .iter()
        .map(|record| {
            let provider_id = record.sent.as_ref().and_then(|sent| providers.get(&sent.id.as_uuid()).copied());
            if held.contains(&record.lease) { Ok(Written { provider_id }) } else { Err(StepError::Lost) }
        })
        .collect())
}

type Place = usize;

/// The rows of a batch, by kind.
#[derive(Default)]
struct Batch<'a> {
    checks: Vec<(&'a Record, &'a NewCheck)>,
    sent: Vec<(Place, &'a Record, &'a NewAttempt)>,
    answered: Vec<(Place, &'a Answered)>,
    ended: Vec<(Place, &'a Ended)>,
    complete: Vec<Lease>,
    later: Vec<GivenBack>,
    parked: Vec<Parked>,
}

impl<'a> Batch<'a> {
    fn add(&mut self, place: Place, record: &'a Record) {
        // Destructured whole: a kind of row that is added to a record cannot be forgotten here.
        let Record { lease, payment_id: _, created_at: _, check, sent, answered, ended, item } = record;
        self.checks.extend(check.as_ref().map(|check| (record, check)));
        self.sent.extend(sent.as_ref().map(|attempt| (place, record, attempt)));
        self.answered.extend(answered.as_ref().map(|answered| (place, answered)));
        self.ended.extend(ended.as_deref().map(|ended| (place, ended)));
        match item {
            Fate::Keep => {}
            Fate::Complete => self.complete.push(*lease),
            Fate::Later { delay, reason } => {
                self.later.push(GivenBack { lease: *lease, delay: *delay, reason: reason.clone() });
            }
            Fate::Park { reason } => self.parked.push(Parked { lease: *lease, reason: reason.clone() }),
        }
    }

    /// Providers of the attempts about to be sent.
    async fn write(&self, connection: &mut PgConnection, release: &str) -> Result<HashMap<Uuid, i32>, BatchError> {
        if !self.checks.is_empty() {
            insert_checks(connection, &self.checks, release).await?;
        }
        let providers = if self.sent.is_empty() {
            HashMap::new()
        } else {
            let providers = insert_attempts(connection, &self.sent, release).await?;
            let known = |attempt: &NewAttempt| providers.contains_key(&attempt.id.as_uuid());
            refuse(self.sent.iter().filter(|(_, _, attempt)| !known(attempt)), |(place, _, attempt)| {
                (*place, format!("provider {} has no row", attempt.provider.resource))
            })?;
            providers
        };
        if !self.answered.is_empty() {
            let done = update_attempts(connection, &self.answered).await?;
            refuse(
                self.answered.iter().filter(|(_, answered)| !done.contains(&answered.id.as_uuid())),
                |(place, answered)| (*place, format!("attempt {} is not open", answered.id)),
            )?;
        }
        if !self.ended.is_empty() {
            self.end(connection).await?;
        }
        self.items(connection).await?;
        Ok(providers)
    }

    async fn end(&self, connection: &mut PgConnection) -> Result<(), BatchError> {
        let done = update_payments(connection, &self.ended).await?;
        refuse(
            self.ended.iter().filter(|(_, ended)| !done.contains(&ended.payment.id.as_uuid())),
            |(place, ended)| (*place, format!("{} is not where it was when it was read", ended.payment.id)),
        )?;
        let journals: Vec<_> = self.ended.iter().filter_map(|(_, ended)| ended.journal.as_ref()).collect();
        ledger::store::post(connection, &journals).await?;
        let events: Vec<_> = self.ended.iter().map(|(_, ended)| &ended.event).collect();
        Ok(events::store::record(connection, &events).await?)
    }

    /// The claims are held, so each of these finds its row.
    async fn items(&self, connection: &mut PgConnection) -> Result<(), BatchError> {
        if !self.complete.is_empty() {
            PAYMENTS.complete(connection, &self.complete).await?;
        }
        if !self.later.is_empty() {
            PAYMENTS.give_back(connection, &self.later).await?;
        }
        if !self.parked.is_empty() {
            PAYMENTS.park(connection, &self.parked).await?;
        }
        Ok(())
    }
}

fn refuse<T>(wrong: impl Iterator<Item = T>, say: impl Fn(T) -> (Place, String)) -> Result<(), BatchError> {
    let wrong: Vec<_> = wrong.map(say).collect();
    if wrong.is_empty() { Ok(()) } else { Err(BatchError::Inconsistent(wrong)) }
}

/// One column of an array parameter.
fn column<T, V>(rows: &[T], of: impl Fn(&T) -> V) -> Vec<V> {
    rows.iter().map(of).collect()
}

async fn insert_checks(
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

async fn insert_attempts(
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

async fn update_attempts(
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

async fn update_payments(
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
