//! Commands that the operator runs as Jobs: they leave a report.

use std::process::ExitCode;
use std::time::Duration;

use crate::{config, report};
use anyhow::Context;
use clap::Args;
use runtime_contract::{JobReport, Outcome};

use super::{SecretArgs, exit_code};

/// Which database, whose, and how long to wait for it. The group is what tells `purser migrate` whether they were given: clap fills
/// it by itself only where nothing is flattened.
#[derive(Args)]
#[group(args = ["owner"])]
pub(crate) struct DatabaseArgs {
    #[command(flatten)]
    pub(crate) secrets: SecretArgs,
    /// The PaymentCluster that the database belongs to, as NAMESPACE/NAME; another one's is refused
    #[arg(long, value_name = "NAMESPACE/NAME", value_parser = owner)]
    pub(crate) owner: String,
    /// Seconds to wait for a database that does not answer. A wrong password or a missing database fails at once
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    wait: u64,
}

impl DatabaseArgs {
    /// How long to wait for a database that does not answer.
    pub(crate) const fn patience(&self) -> Duration {
        Duration::from_secs(self.wait)
    }
}

/// What names a PaymentCluster on a command line.
pub(crate) fn owner(text: &str) -> Result<String, String> {
    if config::is_owner(text) {
        Ok(text.to_owned())
    } else {
        Err("a PaymentCluster is named as NAMESPACE/NAME".to_owned())
    }
}

/// Leaves the report where the operator finds it.
pub(crate) fn reported(report: &JobReport) -> anyhow::Result<ExitCode> {
    report::write(report).context("cannot write the report")?;
    Ok(exit_code(report.outcome == Outcome::Succeeded))
}
