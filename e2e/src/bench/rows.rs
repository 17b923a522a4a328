//! Whether a payment costs the same when `transactions` is large.

use std::time::Duration;

use anyhow::Result;

use super::{figures::Rows, run::Bench};
use crate::processes::{NEW_ID_AT, PostgresSettings};

const FEW: u64 = 100_000;
/// Rows of one statement: bounded, so that a server with little memory manages.
const CHUNK: u64 = 500_000;

/// Measures with few rows, fills the table, measures with many.
pub(super) async fn compare(bench: &mut Bench, many: u64) -> Result<Rows> {
    bench.platform.postgres.reconfigure(&PostgresSettings::durable()).await?;
    let time = Duration::from_secs(bench.options.seconds);
    fill(bench, FEW).await?;
    let few = bench.product(time).await?;
    fill(bench, many).await?;
    let many_cost = bench.product(time).await?;
    Ok(Rows {
        few: FEW,
        many,
        cpu_ms_few: few.server_cpu_ms(),
        cpu_ms_many: many_cost.server_cpu_ms(),
        per_second_few: few.per_second,
        per_second_many: many_cost.per_second,
        ratio: many_cost.server_cpu_ms() / few.server_cpu_ms(),
    })
}

/// Ended payments of this month until there are `rows` of them.
async fn fill(bench: &Bench, rows: u64) -> Result<()> {
    let platform = &bench.platform;
    let mut there: u64 = platform.sql("select count(*) from transactions").await?.parse()?;
    while there < rows {
        let count = CHUNK.min(rows - there);
        platform.sql(&insert(count)).await?;
        there += count;
        println!("{there} rows in transactions");
    }
    // As it would be after a night: statistics known, nothing left for the measurement to clean up.
    platform.sql("vacuum (analyze) transactions; checkpoint;").await?;
    Ok(())
}

fn insert(count: u64) -> String {
    // Foreign keys hold by construction; to check each of ten million rows is the database's time, not the payment's.
    format!(
        "set session_replication_role = replica;
         with payer as (
             select row_number() over () as n, m.id as method, u.id as payer, u.merchant_id
             from payment_methods m join users u on u.id = m.user_id
         ), payers as (select count(*) as count from payer),
         made as (
             select n, date_trunc('milliseconds',
                 date_trunc('month', now()) + random() * (now() - interval '1 minute' - date_trunc('month', now()))) as at
             from generate_series(1, {count}) as n
         )
         insert into transactions (id, amount, currency, status, t_start, t_end, latency_ms, user_id, merchant_id,
                                   payment_method_id, fee, amount_authorized, amount_captured, sequence, release, created_at)
         select {NEW_ID_AT}, 10, 'USD', 'SUCCESS', at, at + interval '20 ms', 20, payer.payer, payer.merchant_id,
                payer.method, 0.29, 10, 10, 1, 'filled', at
         from made cross join payers join payer on payer.n = 1 + made.n % payers.count"
    )
}
