//! Sums of the ledger per hour, so that a balance needs no reading of every line. They are made once an hour is over, and
//! could be made anew at any time, but for months of the ledger that are archived: there they are all that balances stand on.

use chrono::{DateTime, DurationRound, TimeDelta, Utc};

use crate::database::{self, Pool};

/// An hour is summed up when it ended this long ago: the commits of its last moment are in it by then, and so are those of a
/// process whose clock is behind.
const SETTLE: TimeDelta = TimeDelta::minutes(10);

/// Sums up the hours that are over, and returns how many those were. Whoever comes second finds nothing left to do.
///
/// # Errors
/// When the database does not answer; what was summed up until then is whole hours.
pub async fn sum_up(pool: &Pool, now: DateTime<Utc>) -> Result<usize, sqlx::Error> {
    let mut hours = 0;
    while sum_up_next(pool, now).await? {
        hours += 1;
    }
    Ok(hours)
}

async fn sum_up_next(pool: &Pool, now: DateTime<Utc>) -> Result<bool, sqlx::Error> {
    let over = (now - SETTLE).duration_trunc(TimeDelta::hours(1)).unwrap_or(now);
    let mut transaction = database::begin(pool).await?;
    let from: Option<DateTime<Utc>> =
        sqlx::query_scalar("select until from ledger_totals_progress where until < $1 for update skip locked")
            .bind(over)
            .fetch_optional(&mut *transaction)
            .await?;
    let Some(from) = from else { return Ok(false) };
    let to = from + TimeDelta::hours(1);
    sqlx::query(
        "insert into ledger_totals (account_owner, account, currency, hour, amount, debits, entries)
         select account_owner, account, currency, $1, sum(amount), sum(greatest(amount, 0)), count(*) from ledger_entries
         where account in ('MERCHANT', 'FEE') and created_at >= $1 and created_at < $2
         group by account_owner, account, currency
         on conflict (account_owner, account, currency, hour) do update set
             amount = excluded.amount, debits = excluded.debits, entries = excluded.entries",
    )
    .bind(from)
    .bind(to)
    .execute(&mut *transaction)
    .await?;
    sqlx::query("update ledger_totals_progress set until = $1").bind(to).execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(true)
}
