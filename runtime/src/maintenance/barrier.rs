//! Waiting for those who looked before.
//!
//! A statement that writes to a table holds a lock on it (`RowExclusiveLock`) from before its triggers run until its transaction
//! ends. So whoever passed a trigger before a stage was committed holds such a lock right after that commit, or has ended; and
//! once these few have ended, everything that was written before the stage is there, and everything later was refused. Locks
//! say more than the age of transactions does: a long report or a backup that reads, autovacuum, and whatever happens in other
//! databases of the server write nothing here, and are not waited for.

use sqlx::{FromRow, PgConnection};

use super::drain::{Deadline, DrainError};
use crate::database::Doing;

/// A transaction that writes, or has written, to a table.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub(super) struct Writer {
    /// Names the transaction for as long as it lasts.
    transaction: String,
    /// Its session; none for one that was prepared and is in no session.
    pid: Option<i32>,
    application: String,
    state: String,
    age_s: i64,
}

const WRITERS: &str = "
    select distinct l.virtualtransaction as transaction, l.pid, coalesce(a.application_name, '') as application,
        coalesce(a.state, 'prepared') as state, coalesce(floor(extract(epoch from clock_timestamp() - a.xact_start)), 0)::bigint as age_s
    from pg_locks l left join pg_stat_activity a on a.pid = l.pid
    where l.locktype = 'relation' and l.mode = 'RowExclusiveLock' and l.granted and l.pid is distinct from pg_backend_pid()
        and l.database = (select oid from pg_database where datname = current_database())
        and l.relation in (select to_regclass(name) from unnest($1::text[]) as name)";

/// Waits until all transactions have ended that write to one of the tables now.
pub(super) async fn past(
    connection: &mut PgConnection,
    tables: &[&str],
    deadline: &Deadline,
) -> Result<(), DrainError> {
    let mut before = writers(connection, tables).await?;
    while let Some(oldest) = before.iter().max_by_key(|writer| writer.age_s) {
        deadline.pause(|| oldest.to_string()).await?;
        let now = writers(connection, tables).await?;
        before = still_open(before, &now);
    }
    Ok(())
}

async fn writers(connection: &mut PgConnection, tables: &[&str]) -> Result<Vec<Writer>, DrainError> {
    let found = sqlx::query_as(WRITERS).bind(tables).fetch_all(connection).await;
    Ok(found.doing("could not look for transactions that are open")?)
}

/// Those of before, as they are now.
fn still_open(before: Vec<Writer>, now: &[Writer]) -> Vec<Writer> {
    let is_one =
        |one: &&Writer| before.iter().any(|other| other.transaction == one.transaction && other.pid == one.pid);
    now.iter().filter(is_one).cloned().collect()
}

impl std::fmt::Display for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { transaction, pid, application, state, age_s } = self;
        match pid {
            Some(pid) => {
                write!(
                    f,
                    "process {pid} of PostgreSQL (\"{application}\", {state}) has a transaction open since {age_s} s"
                )
            }
            None => write!(f, "the prepared transaction {transaction} is open"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn writer(transaction: &str, pid: Option<i32>) -> Writer {
        Writer { transaction: transaction.into(), pid, application: "psql".into(), state: "active".into(), age_s: 4 }
    }

    #[test]
    fn only_those_of_before_are_waited_for_and_only_in_the_same_transaction() {
        let before = vec![writer("3/7", Some(11)), writer("4/1", Some(12)), writer("-1/9", None)];
        let now = [writer("3/8", Some(11)), writer("5/1", Some(13)), writer("4/1", Some(12)), writer("-1/9", None)];
        assert_eq!(still_open(before, &now), [writer("4/1", Some(12)), writer("-1/9", None)]);
    }

    #[test]
    fn who_holds_everything_up_is_named() {
        let named = writer("3/7", Some(11)).to_string();
        assert_eq!(named, "process 11 of PostgreSQL (\"psql\", active) has a transaction open since 4 s");
        assert_eq!(writer("-1/9", None).to_string(), "the prepared transaction -1/9 is open");
    }
}
