//! The figures: a table for people, a document for programs.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::Result;
use serde::Serialize;

/// What one run of the benchmark found.
#[derive(Debug, Serialize)]
pub(super) struct Figures {
    /// Whole payments a second: median of the rounds.
    pub(super) payments_per_second: f64,
    /// TPC-B, prepared, 16 clients, on the same server: median of the rounds.
    pub(super) pgbench_tps: f64,
    /// The one by the other.
    pub(super) ratio: f64,
    /// Processor time of Purser's own processes per payment.
    pub(super) cpu_ms_per_payment: f64,
    /// Own time of a payment at half of the maximum: total less the provider's; open loop.
    pub(super) p50_ms: f64,
    /// The same, 99 % of payments.
    pub(super) p99_ms: f64,
    /// The rate of the open loop.
    pub(super) open_loop_per_second: f64,
    /// From answer to delivered event, at that rate.
    pub(super) event_lag_p50_ms: f64,
    /// The same, 99 % of payments.
    pub(super) event_lag_p99_ms: f64,
    /// Resident memory per process, in MiB, at the end.
    pub(super) rss_mib: BTreeMap<String, f64>,
    /// How much that grew over the open loop.
    pub(super) rss_growth_mib: BTreeMap<String, f64>,
    /// Clients of the closed loop.
    pub(super) clients: usize,
    /// Processor time per payment by process, in milliseconds.
    pub(super) cpu_ms_by_process: BTreeMap<String, f64>,
    /// Statements that PostgreSQL ran per payment.
    pub(super) statements_per_payment: f64,
    /// The most expensive of them.
    pub(super) statements: Vec<Statement>,
    /// Bytes of write-ahead log per payment.
    pub(super) wal_bytes_per_payment: f64,
    /// Rounds: pgbench's and the product's figure of each.
    pub(super) rounds: Vec<(f64, f64)>,
    /// Requests that were not answered with a payment's success.
    pub(super) problems: u64,
    /// Answered payments whose event did not come.
    pub(super) without_event: u64,
    /// The cost with many rows by that with few, if it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) rows: Option<Rows>,
    /// What it ran on.
    pub(super) machine: BTreeMap<&'static str, String>,
    /// How it was run.
    pub(super) command: String,
}

/// One statement, as pg_stat_statements has it.
#[derive(Debug, Serialize)]
pub(super) struct Statement {
    /// How often per payment.
    pub(super) per_payment: f64,
    /// Microseconds of execution per payment.
    pub(super) us_per_payment: f64,
    /// Its text, shortened.
    pub(super) text: String,
}

/// What a payment costs with many rows in `transactions`, beside what it costs with few.
#[derive(Debug, Serialize)]
pub(super) struct Rows {
    /// How many are few.
    pub(super) few: u64,
    /// How many are many.
    pub(super) many: u64,
    /// Processor time of Purser, PostgreSQL and Redis per payment.
    pub(super) cpu_ms_few: f64,
    /// The same.
    pub(super) cpu_ms_many: f64,
    /// Payments a second.
    pub(super) per_second_few: f64,
    /// The same.
    pub(super) per_second_many: f64,
    /// `cpu_ms_many` by `cpu_ms_few`.
    pub(super) ratio: f64,
}

impl Figures {
    /// Writes them below `target`.
    pub(super) fn write(&self, file: &Path) -> Result<()> {
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder)?;
        }
        Ok(fs::write(file, serde_json::to_string_pretty(self)? + "\n")?)
    }

    /// Prints them with what they ought to be.
    pub(super) fn print(&self) {
        let rss = self.rss_mib.values().copied().fold(0.0, f64::max);
        println!();
        line("payments per second", self.payments_per_second, "");
        line("pgbench transactions per second", self.pgbench_tps, "");
        line("ratio", self.ratio, ">= 0.35");
        line("own CPU, ms per payment", self.cpu_ms_per_payment, "<= 1.0");
        line("own time p50, ms", self.p50_ms, "<= 10");
        line("own time p99, ms", self.p99_ms, "<= 30");
        line("answer to event p50, ms", self.event_lag_p50_ms, "");
        line("answer to event p99, ms", self.event_lag_p99_ms, "");
        line("largest process, MiB", rss, "<= 128");
        line("statements per payment", self.statements_per_payment, "");
        line("WAL bytes per payment", self.wal_bytes_per_payment, "");
        if let Some(rows) = &self.rows {
            line("cost with many rows by few", rows.ratio, "<= 1.1");
        }
        println!("\nCPU per payment, ms");
        for (name, cpu_ms) in &self.cpu_ms_by_process {
            println!("  {name:<20} {cpu_ms:>8.3}");
        }
        println!("\nstatements, by their time");
        for statement in &self.statements {
            println!(
                "  {:>7.3} a payment {:>8.1} us  {}",
                statement.per_payment, statement.us_per_payment, statement.text
            );
        }
        if self.problems > 0 || self.without_event > 0 {
            println!("\n{} requests without success, {} payments without event", self.problems, self.without_event);
        }
    }
}

fn line(what: &str, value: f64, bar: &str) {
    println!("{what:<34} {value:>10.2}  {bar}");
}

/// The middle one.
pub(super) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        length if length % 2 == 1 => values[length / 2],
        length => f64::midpoint(values[length / 2 - 1], values[length / 2]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        assert!((median(vec![3.0, 1.0, 2.0]) - 2.0).abs() < f64::EPSILON);
        assert!((median(vec![4.0, 1.0]) - 2.5).abs() < f64::EPSILON);
    }
}
