//! What PostgreSQL does for a payment, by its own account.

use std::{sync::atomic::Ordering, time::Duration};

use anyhow::Result;

use super::{figures::Statement, run::Bench};
use crate::processes::PostgresSettings;

/// Enough to see where time goes.
const SHOWN: usize = 14;

/// What the server ran.
#[derive(Debug)]
pub(super) struct Statements {
    pub(super) per_payment: f64,
    pub(super) top: Vec<Statement>,
}

/// Restarts the server with pg_stat_statements, which costs a little and so has no place in the rounds before, and
/// takes payments for a while. The first to use a connection that the restart closed are told to try again, as they should be.
pub(super) async fn look(bench: &mut Bench) -> Result<Statements> {
    bench.load.problems.may_retry.store(true, Ordering::Relaxed);
    bench.platform.postgres.reconfigure(&PostgresSettings::durable().preloading("pg_stat_statements")).await?;
    bench.platform.sql("create extension if not exists pg_stat_statements").await?;
    bench.product(Duration::from_secs(3)).await?;
    bench.load.problems.may_retry.store(false, Ordering::Relaxed);
    bench.platform.sql("select pg_stat_statements_reset()").await?;
    let cost = bench.product(Duration::from_secs(5)).await?;
    // The measurement begins a second after the load does; statements of that second are counted, its payments too.
    let payments: f64 = bench
        .platform
        .sql("select count(*) from transactions where created_at >= (select stats_reset from pg_stat_statements_info)")
        .await?
        .parse()?;
    let payments = payments.max(cost.payments);
    let listed = bench
        .platform
        .sql(
            "select calls, total_exec_time * 1000, left(regexp_replace(query, '\\s+', ' ', 'g'), 110)
             from pg_stat_statements join pg_database d on d.oid = dbid
             where d.datname = current_database() order by total_exec_time desc",
        )
        .await?;
    let all: Vec<Statement> = listed.lines().filter_map(|line| statement(line, payments)).collect();
    let per_payment = all.iter().map(|statement| statement.per_payment).sum();
    Ok(Statements { per_payment, top: all.into_iter().take(SHOWN).collect() })
}

fn statement(line: &str, payments: f64) -> Option<Statement> {
    let mut columns = line.splitn(3, '|');
    let calls: f64 = columns.next()?.parse().ok()?;
    let us: f64 = columns.next()?.parse().ok()?;
    Some(Statement { per_payment: calls / payments, us_per_payment: us / payments, text: columns.next()?.to_owned() })
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_line_of_the_view_is_read() {
        let read = super::statement("50|2000.5|insert into t | x", 100.0).unwrap();
        assert!((read.per_payment - 0.5).abs() < f64::EPSILON && (read.us_per_payment - 20.005).abs() < 1e-9);
        assert_eq!(read.text, "insert into t | x");
    }
}
