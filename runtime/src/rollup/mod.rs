//! Turns each minute into figures, by the release that produced them.

pub mod figures;
mod store;

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use sqlx::postgres::PgConnection;
use thiserror::Error;
use tokio::time::MissedTickBehavior;

use self::figures::{FiguresError, figures};
use crate::app::App;
use crate::database::{self, DatabaseError, Pool};
use crate::processor::alarm;
use crate::{cdc, ledger, partitions, queue};

/// The latest minutes are calculated again each time: most payments that end late end within these.
const MINUTES_REDONE: i32 = 10;
/// How far back a minute is made good that was missed, or holds payments that were not at their end: as long as a
/// payment may wait for a provider, and an hour more.
const LATE_MAX: TimeDelta = TimeDelta::hours(25);
const MINUTE_S: u32 = 60;
/// A minute is rolled up a little after its end, so that the commits of its last moment are in it.
const SETTLE: TimeDelta = TimeDelta::seconds(2);
const PARTITIONS_EVERY: Duration = Duration::from_secs(3600);
const TOTALS_EVERY: Duration = Duration::from_secs(60);
const QUEUE_EVERY: Duration = Duration::from_secs(5);

/// Why a minute has no figures yet.
#[derive(Debug, Error)]
pub enum RollupError {
    /// The database did not answer.
    #[error("the database: {0}")]
    Database(#[from] sqlx::Error),
    /// The figures could not be calculated.
    #[error(transparent)]
    Figures(#[from] FiguresError),
}

/// What a roll-up did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rollup {
    /// So many rows were written.
    Written(usize),
    /// Another replica is at it.
    Elsewhere,
}

/// Rolls up each minute, makes partitions each hour, and measures the queue, until the process is to end.
pub async fn run(app: Arc<App>) {
    let work = async {
        tokio::join!(
            minutes(&app),
            partitions_ahead(&app.pool),
            queue_depth(&app),
            ledger_totals(&app.pool),
            cdc::watch(&app),
        );
    };
    tokio::select! {
        () = work => {}
        () = app.shutdown.cancelled() => {}
    }
}

/// Writes the whole minutes of the last ten before `now`, those that were missed while nobody rolled up, and some of
/// those whose payments were not all at their end. Doing it again changes nothing but late payments.
///
/// # Errors
/// When the database does not answer; what was written until then is whole minutes.
pub async fn roll_up(pool: &Pool, now: DateTime<Utc>) -> Result<Rollup, RollupError> {
    let stretch = TimeDelta::minutes(1) * MINUTES_REDONE;
    let to = now.duration_trunc(TimeDelta::minutes(1)).unwrap_or(now);
    let (recent, oldest) = (to - stretch, to - LATE_MAX);
    let mut written = 0;
    let mut from = oldest;
    while from < to {
        let mut transaction = database::begin(pool).await?;
        if !store::lock(&mut transaction).await? {
            return Ok(Rollup::Elsewhere);
        }
        // One stretch at a time, so that a long absence does not become one long statement.
        from = store::first_missed(&mut transaction, from, recent).await?.unwrap_or(recent);
        let end = if from < recent { recent } else { to };
        written += write(&mut transaction, from, (from + stretch).min(end)).await?;
        if from == recent {
            for minute in store::unfinished(&mut transaction, oldest, recent).await? {
                written += write(&mut transaction, minute, minute + TimeDelta::minutes(1)).await?;
            }
        }
        transaction.commit().await?;
        from += stretch;
    }
    Ok(Rollup::Written(written))
}

async fn write(connection: &mut PgConnection, from: DateTime<Utc>, to: DateTime<Utc>) -> Result<usize, RollupError> {
    let buckets = store::tallies(connection, from, to).await?;
    for (bucket, tallies) in &buckets {
        store::save(connection, bucket, &figures(tallies, MINUTE_S)?).await?;
    }
    Ok(buckets.len())
}

async fn minutes(app: &App) {
    loop {
        match roll_up(&app.pool, Utc::now()).await {
            Ok(done) => tracing::debug!(?done, "rolled up"),
            Err(error) => tracing::warn!(%error, "not rolled up; the next minute does it again"),
        }
        tokio::time::sleep(until_next(Utc::now())).await;
    }
}

/// The time until the next minute is over and settled.
fn until_next(now: DateTime<Utc>) -> Duration {
    let minute = TimeDelta::minutes(1);
    let begin = (now - SETTLE).duration_trunc(minute).unwrap_or(now);
    (begin + minute + SETTLE - now).to_std().unwrap_or(Duration::from_secs(1))
}

async fn partitions_ahead(pool: &Pool) {
    let mut ticks = tokio::time::interval(PARTITIONS_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match ensure_partitions(pool).await {
            Ok(made) if made.is_empty() => {}
            Ok(made) => tracing::info!(partitions = ?made, "made partitions ahead"),
            Err(error) => tracing::error!(%error, "partitions not made; months are left before payments need them"),
        }
    }
}

async fn ensure_partitions(pool: &Pool) -> Result<Vec<String>, DatabaseError> {
    let acquired = pool.acquire().await;
    let mut connection =
        acquired.map_err(|cause| DatabaseError::Statement { doing: "could not get a connection", cause })?;
    partitions::ensure(&mut connection, Utc::now()).await
}

async fn ledger_totals(pool: &Pool) {
    let mut ticks = tokio::time::interval(TOTALS_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match ledger::totals::sum_up(pool, Utc::now()).await {
            Ok(0) => {}
            Ok(hours) => tracing::debug!(hours, "summed up the ledger"),
            Err(error) => tracing::warn!(%error, "ledger not summed up; balances read more lines meanwhile"),
        }
    }
}

async fn queue_depth(app: &App) {
    let mut ticks = tokio::time::interval(QUEUE_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut parked_before, mut unknown_before) = (0, 0);
    loop {
        ticks.tick().await;
        match measure(app).await {
            Ok((parked, unknown)) => {
                if parked > parked_before {
                    tracing::error!(parked, "payments or operations wait for a person: see parked_at of their items");
                }
                if unknown > unknown_before {
                    tracing::error!(unknown, "outcomes are unknown for minutes: customers may have been charged");
                }
                (parked_before, unknown_before) = (parked, unknown);
            }
            Err(error) => tracing::warn!(%error, "queue not measured"),
        }
    }
}

/// How many wait for a person; and how many outcomes are unknown, once the oldest of them is old enough for an alarm.
async fn measure(app: &App) -> Result<(i64, i64), sqlx::Error> {
    let (payments, operations) =
        tokio::try_join!(queue::PAYMENTS.depth(&app.pool), queue::OPERATIONS.depth(&app.pool))?;
    let open = alarm::open_outcomes(&app.pool).await?;
    let parked = payments.parked + operations.parked;
    app.metrics.queue_depth.set(payments.items);
    app.metrics.queue_oldest_seconds.set(payments.oldest_s);
    app.metrics.queue_oldest_payment_seconds.set(payments.oldest_payment_s);
    app.metrics.queue_parked.set(parked);
    app.metrics.unknown_outcomes.set(open.unknown);
    app.metrics.unknown_oldest_seconds.set(open.oldest_s);
    Ok((parked, if open.oldest_s >= alarm::ALARM_AFTER_S { open.unknown } else { 0 }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_is_rolled_up_two_seconds_after_its_end() {
        let at = |second: u32| DateTime::from_timestamp(1_790_000_040 + i64::from(second), 0).unwrap();
        assert_eq!(at(0).timestamp() % 60, 0);
        let waits = [0, 1, 2, 3, 59].map(|second| until_next(at(second)).as_secs());
        assert_eq!(waits, [2, 1, 60, 59, 3]);
    }
}
