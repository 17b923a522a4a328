//! `purser replica`.

use std::process::ExitCode;
use std::time::Duration;

use crate::config::ConfigError;
use crate::replica::{self, Checked, ReplicaError, Waits};
use crate::report;
use clap::{Args, Subcommand};
use runtime_contract::{JobReport, Outcome, Reason};

use super::job::{DatabaseArgs, reported};

/// What can be done about the replica.
#[derive(Subcommand)]
pub(crate) enum ReplicaCommand {
    /// Prove that the server of database-read-url is a replica of the database, wait until it has all that the database has now, and leave
    /// a report. One that is late or away is told, and no failure: lists are read from the database then
    Check(CheckArgs),
}

/// What it takes. The secret database-read-url is a file beside database-url, or `PURSER_DATABASE_READ_URL`.
#[derive(Args)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    database: DatabaseArgs,
    /// Seconds to wait for a replica that is behind
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    replay_wait: u64,
}

/// Why nothing was found out, or what is wrong.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// A secret is missing.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The rest.
    #[error(transparent)]
    Replica(#[from] ReplicaError),
}

/// Does it.
pub(crate) async fn run(command: ReplicaCommand) -> anyhow::Result<ExitCode> {
    match command {
        ReplicaCommand::Check(args) => reported(&report_of(&check(&args).await)),
    }
}

async fn check(args: &CheckArgs) -> Result<Checked, Failure> {
    let secrets = args.database.secrets.secrets();
    let (database, read) = (secrets.database_url()?, secrets.database_read_url()?);
    let waits = Waits { connect: args.database.patience(), replay: Duration::from_secs(args.replay_wait) };
    Ok(replica::check(&args.database.owner, &database, &read, waits).await?)
}

fn report_of(found: &Result<Checked, Failure>) -> JobReport {
    let (outcome, reason, message) = match found {
        Ok(Checked { is_current: true, message }) => (Outcome::Succeeded, Reason::ReplicaReady, message.clone()),
        Ok(Checked { is_current: false, message }) => (Outcome::Succeeded, Reason::ReplicaBehind, message.clone()),
        Err(Failure::Config(error)) => (Outcome::Failed, Reason::InvalidConfiguration, error.to_string()),
        Err(Failure::Replica(error)) => (error.outcome(), error.reason(), error.to_string()),
    };
    report::report(outcome, reason, &message)
}
