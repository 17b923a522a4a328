//! Writing a batch: few statements for however many payments, over arrays.
//!
//! A payment costs its share of two commits, one before the provider is called and one after. In a batch of any size the
//! first is one statement, and the second five (begin, what became of it, ledger, events with deliveries, commit); kinds
//! that a batch has none of cost nothing. With the claim, which also reads, that is seven statements for up to 256 payments.

use std::collections::HashMap;

use sqlx::Connection;
use sqlx::postgres::PgConnection;

use super::error::StepError;
use super::record::{Fate, NewCheck, Record, Sending};
use super::rows::{self, Recorded, Sent};
use crate::database::Link;
use crate::queue::{GivenBack, PAYMENTS, Parked};
use crate::{events, ledger};

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

/// Writes every attempt whose claim stands: the id in `payment_providers` of each of them. The others are
/// [`StepError::Lost`].
pub(super) async fn send(
    link: &mut Link,
    release: &str,
    sendings: &[&Sending],
) -> Result<Vec<Result<i32, StepError>>, BatchError> {
    let mut connection = link.take().await?;
    let sent = rows::send(&mut connection, release, sendings).await?;
    link.keep(connection);
    let by_item: HashMap<i64, Sent> = sent.into_iter().map(|sent| (sent.item_id, sent)).collect();
    let no_row = |sending: &Sending| format!("provider {} has no row", sending.attempt.provider.resource);
    Ok(sendings
        .iter()
        .map(|sending| {
            let sent = by_item.get(&sending.lease.item_id).ok_or(StepError::Lost)?;
            sent.provider_id.ok_or_else(|| StepError::Inconsistent(no_row(sending)))
        })
        .collect())
}

/// Writes every record whose claim stands, all of them or none. The others are [`StepError::Lost`].
pub(super) async fn record(
    link: &mut Link,
    release: &str,
    records: &[&Record],
) -> Result<Vec<Result<(), StepError>>, BatchError> {
    let mut connection = link.take().await?;
    let mut transaction = connection.begin().await?;
    let recorded = rows::record(&mut transaction, records).await?;
    let by_item: HashMap<i64, Recorded> = recorded.into_iter().map(|recorded| (recorded.item_id, recorded)).collect();
    refuse_inconsistent(records, &by_item)?;
    let is_held = |record: &Record| by_item.contains_key(&record.lease.item_id);
    let held: Vec<&Record> = records.iter().copied().filter(|record| is_held(record)).collect();
    write_beside(&mut transaction, release, &held).await?;
    transaction.commit().await?;
    link.keep(connection);
    Ok(records.iter().map(|record| if is_held(record) { Ok(()) } else { Err(StepError::Lost) }).collect())
}

fn refuse_inconsistent(records: &[&Record], by_item: &HashMap<i64, Recorded>) -> Result<(), BatchError> {
    let wrong = |record: &Record| {
        let recorded = by_item.get(&record.lease.item_id)?;
        match (&record.answered, &record.ended) {
            (Some(answered), _) if !recorded.answered => Some(format!("attempt {} is not open", answered.id)),
            (_, Some(ended)) if !recorded.ended => {
                Some(format!("{} is not where it was when it was read", ended.payment.id))
            }
            _ => None,
        }
    };
    let all: Vec<_> = records.iter().enumerate().filter_map(|(place, record)| Some((place, wrong(record)?))).collect();
    if all.is_empty() { Ok(()) } else { Err(BatchError::Inconsistent(all)) }
}

/// What stands beside the rows of payments and attempts. The claims are held, so each item finds its row.
async fn write_beside(connection: &mut PgConnection, release: &str, records: &[&Record]) -> Result<(), sqlx::Error> {
    let checks: Vec<(&Record, &NewCheck)> =
        records.iter().filter_map(|record| Some((*record, record.check.as_ref()?))).collect();
    if !checks.is_empty() {
        rows::insert_checks(connection, &checks, release).await?;
    }
    let ended = || records.iter().filter_map(|record| record.ended.as_deref());
    ledger::store::post(connection, &ended().filter_map(|ended| ended.journal.as_ref()).collect::<Vec<_>>()).await?;
    events::store::record(connection, &ended().map(|ended| &ended.event).collect::<Vec<_>>()).await?;
    let (mut later, mut parked) = (Vec::new(), Vec::new());
    for Record { lease, item, .. } in records {
        match item {
            Fate::Keep | Fate::Complete => {}
            Fate::Later { delay, reason } => {
                later.push(GivenBack { lease: *lease, delay: *delay, reason: reason.clone() });
            }
            Fate::Park { reason } => parked.push(Parked { lease: *lease, reason: reason.clone() }),
        }
    }
    if !later.is_empty() {
        PAYMENTS.give_back(connection, &later).await?;
    }
    if !parked.is_empty() {
        PAYMENTS.park(connection, &parked).await?;
    }
    Ok(())
}
