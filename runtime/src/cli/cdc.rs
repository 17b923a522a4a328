//! `purser cdc`.

use std::process::ExitCode;
use std::time::Duration;

use crate::cdc::{self, Applied, CdcError, Removed, Sides, Status};
use crate::config::ConfigError;
use crate::migrate::Patience;
use crate::report;
use clap::{Args, Subcommand};
use runtime_contract::{CdcReport, JobReport, Outcome, Reason};
use serde::Serialize;

use super::job::DatabaseArgs;
use super::{exit_code, show};

/// How long a command waits for one who migrates or restores.
const LOCK_PATIENCE: Duration = Duration::from_secs(60);

/// What can be done about what flows to analytics.
#[derive(Subcommand)]
pub(crate) enum CdcCommand {
    /// Make publication, tables and subscription what they are to be, and leave a report. Doing it again changes nothing
    Apply(CdcArgs),
    /// Say whether everything flows, and how far analytics is behind; ends with 1 when it does not
    Status(CdcArgs),
    /// Take subscription, replication slot and publication away, and leave a report. What analytics has, it keeps
    Remove(CdcArgs),
}

/// What these commands take. The secrets analytics-url and analytics-source-url are files beside database-url, or
/// `PURSER_ANALYTICS_URL` and `PURSER_ANALYTICS_SOURCE_URL`.
#[derive(Args)]
pub(crate) struct CdcArgs {
    #[command(flatten)]
    database: DatabaseArgs,
    /// Print what was found or done as JSON, instead of the report
    #[arg(long)]
    json: bool,
}

/// Why a command did not do it.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// A secret is missing.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The rest.
    #[error(transparent)]
    Cdc(#[from] CdcError),
}

impl Failure {
    fn report(&self) -> JobReport {
        let (outcome, reason) = match self {
            Self::Config(_) => (Outcome::Failed, Reason::InvalidConfiguration),
            Self::Cdc(error) => (error.outcome(), error.reason()),
        };
        report::report(outcome, reason, &self.to_string())
    }
}

impl CdcArgs {
    const fn patience(&self) -> Patience {
        Patience { connect: self.database.patience(), lock: LOCK_PATIENCE }
    }

    /// Leaves the report, and shows it or what was done.
    fn ended<T: Serialize>(
        &self,
        done: Result<T, Failure>,
        report: impl FnOnce(&T) -> JobReport,
    ) -> anyhow::Result<ExitCode> {
        let report = done.as_ref().map_or_else(Failure::report, report);
        match done {
            Ok(done) if self.json => {
                report::leave(&report)?;
                show(true, &done, |_| String::new())?;
            }
            _ => report::write(&report)?,
        }
        Ok(exit_code(report.outcome == Outcome::Succeeded))
    }
}

/// Does it.
pub(crate) async fn run(command: CdcCommand) -> anyhow::Result<ExitCode> {
    match command {
        CdcCommand::Apply(args) => args.ended(apply(&args).await, applied),
        CdcCommand::Remove(args) => args.ended(remove(&args).await, removed),
        CdcCommand::Status(args) => {
            let status = status(&args).await?;
            show(args.json, &status, in_words)?;
            Ok(exit_code(status.is_good()))
        }
    }
}

async fn apply(args: &CdcArgs) -> Result<Applied, Failure> {
    let secrets = args.database.secrets.secrets();
    let (payments, analytics) = (secrets.database_url()?, secrets.analytics_url()?);
    let source = secrets.analytics_source_url()?;
    let sides = Sides {
        owner: &args.database.owner,
        payments: &payments,
        analytics: &analytics,
        source: &source,
        patience: args.patience(),
    };
    Ok(cdc::apply(&sides).await?)
}

async fn remove(args: &CdcArgs) -> Result<Removed, Failure> {
    let secrets = args.database.secrets.secrets();
    let (analytics, source) = (secrets.analytics_url().ok(), secrets.analytics_source_url().ok());
    let payments = secrets.database_url()?;
    let owner = &args.database.owner;
    Ok(cdc::remove(owner, &payments, analytics.as_ref(), source.as_ref(), args.patience()).await?)
}

async fn status(args: &CdcArgs) -> Result<Status, Failure> {
    let secrets = args.database.secrets.secrets();
    let (payments, analytics) = (secrets.database_url()?, secrets.analytics_url().ok());
    Ok(cdc::status(&args.database.owner, &payments, analytics.as_ref(), args.patience()).await?)
}

fn applied(applied: &Applied) -> JobReport {
    let Applied { publication, subscription, tables, lag_bytes, changes } = applied;
    let changed = if changes.is_empty() { "all was as it is to be".to_owned() } else { changes.join(", ") };
    let message = format!("{tables} tables flow to analytics by the subscription {subscription}: {changed}");
    let cdc = CdcReport {
        publication: (*publication).to_owned(),
        subscription: subscription.clone(),
        tables: u32::try_from(*tables).unwrap_or(u32::MAX),
        lag_bytes: *lag_bytes,
    };
    JobReport { cdc: Some(cdc), ..report::report(Outcome::Succeeded, Reason::CdcApplied, &message) }
}

fn removed(removed: &Removed) -> JobReport {
    let Removed { subscription, slot, publication, unreached } = *removed;
    let parts = [(subscription, "the subscription"), (slot, "the replication slot"), (publication, "the publication")];
    let gone: Vec<&str> = parts.into_iter().filter_map(|(was, what)| was.then_some(what)).collect();
    let gone = if gone.is_empty() { "nothing was left".to_owned() } else { format!("{} removed", gone.join(", ")) };
    let rest = if unreached { "; the analytics database did not answer: drop the subscription there" } else { "" };
    report::report(Outcome::Succeeded, Reason::CdcRemoved, &format!("{gone}{rest}"))
}

fn in_words(status: &Status) -> String {
    let mut lines = Vec::new();
    lines.push(if status.is_published { "published" } else { "nothing is published" }.to_owned());
    match &status.slot {
        Some(slot) => {
            let active = if slot.active { "analytics takes from it" } else { "nobody takes from it" };
            let other = if slot.is_of_this_database { "" } else { ", and it is of a database that was here before" };
            let wal = slot.wal_status.as_deref().unwrap_or("unknown");
            let (name, lag, retained) = (&slot.name, slot.lag_bytes, slot.retained_bytes);
            lines.push(format!("slot {name}: {active}{other}; {lag} bytes behind, {retained} bytes kept ({wal})"));
        }
        None => lines.push("there is no replication slot".to_owned()),
    }
    match (&status.subscription, &status.problem) {
        (Some(found), _) => {
            let running = match (found.enabled, found.running) {
                (false, _) => "disabled",
                (true, true) => "running",
                (true, false) => "not running: see the log of the analytics server",
            };
            let (apply, copy) = (found.apply_errors, found.copy_errors);
            lines.push(format!("subscription: {running}; {apply} changes and {copy} copies failed so far"));
            if !found.copying.is_empty() {
                lines.push(format!("still being copied: {}", found.copying.join(", ")));
            }
        }
        (None, Some(problem)) => lines.push(problem.clone()),
        (None, None) => lines.push("no subscription is known".to_owned()),
    }
    lines.join("\n")
}
