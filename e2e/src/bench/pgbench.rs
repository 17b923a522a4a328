//! The reference: PostgreSQL's own benchmark, on the same server.

use anyhow::{Context as _, Result, ensure};

use crate::processes::Postgres;

const DATABASE: &str = "pgbench";
/// Tens of megabytes each; as many as clients at least, or they wait for each other's branch.
pub(super) const SCALE: u32 = 50;
/// As in the figures that others publish.
pub(super) const CLIENTS: u32 = 16;

/// Makes its tables.
pub(super) async fn prepare(postgres: &Postgres) -> Result<()> {
    postgres.sql("postgres", &format!("create database {DATABASE}")).await?;
    let mut pgbench = postgres.client("pgbench", DATABASE);
    run(pgbench.args(["-i", "-q", "-s", &SCALE.to_string()])).await?;
    Ok(())
}

/// Transactions per second of TPC-B, prepared statements.
pub(super) async fn measure(postgres: &Postgres, seconds: u64) -> Result<f64> {
    let mut pgbench = postgres.client("pgbench", DATABASE);
    pgbench.args(["-M", "prepared", "-c", &CLIENTS.to_string(), "-j", "2", "-T", &seconds.to_string()]);
    tps(&run(&mut pgbench).await?)
}

async fn run(command: &mut tokio::process::Command) -> Result<String> {
    let output = command.output().await.context("cannot run pgbench")?;
    ensure!(output.status.success(), "pgbench: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn tps(printed: &str) -> Result<f64> {
    let line = printed.lines().find_map(|line| line.strip_prefix("tps = ")).context("pgbench printed no tps")?;
    Ok(line.split_whitespace().next().context("no number")?.parse()?)
}

#[cfg(test)]
mod tests {
    #[test]
    fn its_figure_is_read() {
        let printed = "latency average = 4.9 ms\ntps = 3251.507 (without initial connection time)\n";
        assert!((super::tps(printed).unwrap() - 3251.507).abs() < 0.001);
        assert!(super::tps("pgbench: error").is_err());
    }
}
