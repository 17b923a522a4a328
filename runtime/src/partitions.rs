//! Monthly partitions, made ahead: a payment without a partition would be refused.

use chrono::{DateTime, Datelike, Months, NaiveDate, Utc};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::database::{DatabaseError, Doing};

/// Tables that are partitioned by month of `created_at`, in UTC.
pub(crate) const TABLES: [&str; 4] = [PAYMENTS, "fraud_checks", LEDGER, EVENTS];
/// What all the others are about.
pub(crate) const PAYMENTS: &str = "transactions";
pub(crate) const EVENTS: &str = "events";
/// Nobody may change a line of it, by way of a partition either.
pub(crate) const LEDGER: &str = "ledger_entries";
/// Months made besides the current one. One would do; three leave a quarter of a year to mend what keeps new ones from being made.
const MONTHS_AHEAD: u32 = 3;
/// Any number that no other part of the program locks.
const LOCK: i64 = 0x7075_7273_6572_0002;

/// Makes the partitions of the month before, this one and the next three that are missing, and returns their names. Whoever
/// comes second waits for the first and finds nothing left to do.
///
/// # Errors
/// When the database refuses, or a lock is not to be had in time; then nothing was made.
pub async fn ensure(connection: &mut PgConnection, now: DateTime<Utc>) -> Result<Vec<String>, DatabaseError> {
    let mut transaction = connection.begin().await.doing("could not begin to make partitions")?;
    // Attaching needs short locks that payments wait behind; better to try again in an hour than to hold them up.
    sqlx::query("set local lock_timeout = '3s'").execute(&mut *transaction).await.doing("could not limit waiting")?;
    sqlx::query("select pg_advisory_xact_lock($1)")
        .bind(LOCK)
        .execute(&mut *transaction)
        .await
        .doing("could not get the lock on partitions")?;
    let mut made = Vec::new();
    for table in TABLES {
        let present = partitions_of(&mut transaction, table).await?;
        for month in months(now) {
            let name = name(table, month);
            if !present.contains(&name) {
                make(&mut transaction, table, &name, month).await?;
                made.push(name);
            }
        }
    }
    transaction.commit().await.doing("could not commit new partitions")?;
    Ok(made)
}

async fn partitions_of(connection: &mut PgConnection, table: &str) -> Result<Vec<String>, DatabaseError> {
    sqlx::query_scalar(
        "select child.relname::text from pg_inherits join pg_class child on child.oid = inhrelid where inhparent = $1::regclass",
    )
    .bind(table)
    .fetch_all(connection)
    .await
    .doing("could not list partitions")
}

/// Made beside the table and then attached: unlike `create table … partition of`, that does not stop readers and writers.
async fn make(connection: &mut PgConnection, table: &str, name: &str, month: NaiveDate) -> Result<(), DatabaseError> {
    let statements = format!(
        "create table {name} (like {table} including defaults including constraints); {}; {}",
        attach(table, name, month),
        protect(table, name)
    );
    // Names and dates come from constants and the calendar, never from outside.
    sqlx::raw_sql(AssertSqlSafe(statements)).execute(connection).await.doing("could not make a partition")?;
    Ok(())
}

/// Makes a table a partition.
pub(crate) fn attach(table: &str, name: &str, month: NaiveDate) -> String {
    let next = following(month);
    format!(
        "alter table {table} attach partition {name} for values from ('{month} 00:00:00+00') to ('{next} 00:00:00+00')"
    )
}

/// What is so of every row of a month. PostgreSQL believes a table with this check, where it would read all of it while it is attached.
pub(crate) fn month_check(month: NaiveDate) -> String {
    let next = following(month);
    format!("created_at is not null and created_at >= '{month} 00:00:00+00' and created_at < '{next} 00:00:00+00'")
}

/// Takes rights away that nobody has on the whole table either.
pub(crate) fn protect(table: &str, name: &str) -> String {
    if table == LEDGER {
        format!("revoke update, delete, truncate on {name} from public, current_user")
    } else {
        String::new()
    }
}

/// `transactions_p20261101`: the first day of the month, as pg_partman names them.
pub(crate) fn name(table: &str, month: NaiveDate) -> String {
    format!("{table}_p{}", month.format("%Y%m%d"))
}

/// First days of the month before, this one and the next ones. The one before is for gateways whose clock is a little
/// behind when the platform is set up on the first of a month.
fn months(now: DateTime<Utc>) -> Vec<NaiveDate> {
    let today = now.date_naive();
    let first = today.with_day(1).unwrap_or(today);
    let before = first.checked_sub_months(Months::new(1)).unwrap_or(first);
    std::iter::successors(Some(before), |month| Some(following(*month))).take(2 + MONTHS_AHEAD as usize).collect()
}

/// The first day of the month after.
pub(crate) fn following(month: NaiveDate) -> NaiveDate {
    month.checked_add_months(Months::new(1)).unwrap_or(month)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_reach_over_the_end_of_the_year() {
        let now = "2026-11-30T23:59:59Z".parse().unwrap();
        let names: Vec<String> = months(now).into_iter().map(|month| name("t", month)).collect();
        assert_eq!(names, ["t_p20261001", "t_p20261101", "t_p20261201", "t_p20270101", "t_p20270201"]);
    }

    #[test]
    fn the_last_day_of_a_long_month_skips_no_short_one() {
        let now = "2027-01-31T12:00:00Z".parse().unwrap();
        assert_eq!(months(now)[2].to_string(), "2027-02-01");
    }
}
