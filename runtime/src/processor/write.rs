//! Writing a batch of records: one transaction, one statement per kind of row, over arrays.
//!
//! A payment costs its share of two such transactions, one before the provider is called and one after. In a batch of
//! any size the first is 5 statements (begin, hold, checks, attempts, commit) and the second 8 (begin, hold, attempts,
//! payments, ledger, events with deliveries, completion, commit); kinds that a batch has none of cost nothing. With the
//! claim, which also reads, that is 14 statements for up to 64 payments.

use std::collections::{HashMap, HashSet};

use sqlx::postgres::PgConnection;
use uuid::Uuid;

use super::ending::Ended;
use super::error::StepError;
use super::record::{Answered, Fate, NewAttempt, NewCheck, Record};
use super::rows;
use crate::database::{self, Pool};
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
    let mut transaction = database::begin(pool).await?;
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

/// Place of a record in its batch.
pub(super) type Place = usize;

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
            rows::insert_checks(connection, &self.checks, release).await?;
        }
        let providers = if self.sent.is_empty() {
            HashMap::new()
        } else {
            let providers = rows::insert_attempts(connection, &self.sent, release).await?;
            let known = |attempt: &NewAttempt| providers.contains_key(&attempt.id.as_uuid());
            refuse(self.sent.iter().filter(|(_, _, attempt)| !known(attempt)), |(place, _, attempt)| {
                (*place, format!("provider {} has no row", attempt.provider.resource))
            })?;
            providers
        };
        if !self.answered.is_empty() {
            let done = rows::update_attempts(connection, &self.answered).await?;
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
        let done = rows::update_payments(connection, &self.ended).await?;
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
