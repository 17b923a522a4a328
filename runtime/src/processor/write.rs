//! Writing a batch: few statements for however many payments, over arrays.
//!
//! A payment costs its share of two commits, one before the provider is called and one after. In a batch of any size each of
//! them is one statement; kinds that are rare cost a transaction and a statement more.

use std::collections::HashMap;

use sqlx::Connection;
use sqlx::postgres::PgConnection;

use super::error::StepError;
use super::record::{Fate, NewCheck, Record, Sending};
use super::rows::{self, Sent, Stood};
use crate::database::Link;
use crate::queue::{GivenBack, Lease, PAYMENTS, Parked};

/// Writes every attempt whose claim stands: the id in `payment_providers` of each of them. The others are
/// [`StepError::Lost`].
pub(super) async fn send(
    link: &mut Link,
    release: &str,
    sendings: &[&Sending],
) -> Result<Vec<Result<i32, StepError>>, sqlx::Error> {
    let mut connection = link.take().await?;
    let sent = rows::send(&mut connection, release, sendings).await?;
    link.keep(connection);
    // By claim, not by item: an item that was claimed anew meanwhile may have both of its claims in one batch.
    let by_claim: HashMap<Lease, Sent> = sent.into_iter().map(|sent| (sent.lease, sent)).collect();
    let no_row = |sending: &Sending| format!("provider {} has no row", sending.attempt.provider.resource);
    Ok(sendings
        .iter()
        .map(|sending| {
            let sent = by_claim.get(&sending.lease).ok_or(StepError::Lost)?;
            sent.provider_id.ok_or_else(|| StepError::Inconsistent(no_row(sending)))
        })
        .collect())
}

/// Writes every record whose claim stands, all of them or none: whether the key of each payment was answered before. The others
/// are [`StepError::Lost`].
pub(super) async fn record(
    link: &mut Link,
    release: &str,
    records: &[&Record],
) -> Result<Vec<Result<bool, StepError>>, sqlx::Error> {
    let mut connection = link.take().await?;
    let mut held = records.to_vec();
    let mut stand = HashMap::new();
    while !held.is_empty() {
        let stood = record_if_all_stand(&mut connection, release, &held).await?;
        let all_stand = stood.len() == held.len();
        stand = stood.into_iter().map(|stood| (stood.lease, stood.is_answered)).collect();
        if all_stand {
            break;
        }
        held.retain(|record| stand.contains_key(&record.lease));
    }
    link.keep(connection);
    Ok(records.iter().map(|record| stand.get(&record.lease).copied().ok_or(StepError::Lost)).collect())
}

/// The claims that stand; while one of them does not, nothing was written.
async fn record_if_all_stand(
    connection: &mut PgConnection,
    release: &str,
    records: &[&Record],
) -> Result<Vec<Stood>, sqlx::Error> {
    let is_common = |record: &&Record| record.check.is_none() && matches!(record.item, Fate::Keep | Fate::Complete);
    if records.iter().all(is_common) {
        return rows::record(connection, records).await;
    }
    let mut transaction = connection.begin().await?;
    let stand = rows::record(&mut transaction, records).await?;
    if stand.len() == records.len() {
        write_rare(&mut transaction, release, records).await?;
    }
    transaction.commit().await?;
    Ok(stand)
}

/// What not every batch has. The claims are held, so each item finds its row.
async fn write_rare(connection: &mut PgConnection, release: &str, records: &[&Record]) -> Result<(), sqlx::Error> {
    let checks: Vec<(&Record, &NewCheck)> =
        records.iter().filter_map(|record| Some((*record, record.check.as_ref()?))).collect();
    if !checks.is_empty() {
        rows::insert_checks(connection, &checks, release).await?;
    }
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
