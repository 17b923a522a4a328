//! `purser archive`.

use std::process::ExitCode;

use crate::archive::{ArchiveError, ArchiveId, Archived, Archives, Manifest, Run};
use crate::config::ConfigError;
use crate::{report, shutdown};
use chrono::Utc;
use clap::{Args, Subcommand};
use runtime_contract::{self as contract, JobReport, Outcome, Reason};

use super::show;
use super::store::{Failed, StoreJobArgs, at, size};
use super::table::Table;

/// What can be done with archives.
#[derive(Subcommand)]
pub(crate) enum ArchiveCommand {
    /// Archive the months that are old enough and at their end: written, read back, compared, and only then dropped
    Run(RunArgs),
    /// List archives, the oldest month first
    List(StoreJobArgs),
    /// Read an archive, and compare it with what was counted
    Verify(OneArgs),
    /// Bring a month back into the database, where it stays for 30 days. The archive stays too
    Restore(OneArgs),
}

/// What `purser archive run` takes.
#[derive(Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    job: StoreJobArgs,
    /// For how many months after its end a month stays in the database
    #[arg(long, value_name = "N", default_value_t = 13, value_parser = clap::value_parser!(u16).range(1..))]
    keep_months: u16,
}

/// What commands take that are about one archive.
#[derive(Args)]
pub(crate) struct OneArgs {
    /// The archive, as in transactions_p20250901
    #[arg(value_name = "ID")]
    id: ArchiveId,
    #[command(flatten)]
    job: StoreJobArgs,
}

/// Why a command did not do it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// A secret is missing.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The rest.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
}

impl Failed for Failure {
    fn report(&self) -> JobReport {
        let (outcome, reason) = match self {
            Self::Config(_) => (Outcome::Failed, Reason::InvalidConfiguration),
            Self::Archive(error) => (error.outcome(), error.reason()),
        };
        report::report(outcome, reason, &self.to_string())
    }
}

const DONE: (Outcome, Reason) = (Outcome::Succeeded, Reason::Archived);

/// Does it.
pub(crate) async fn run(command: ArchiveCommand) -> anyhow::Result<ExitCode> {
    match command {
        ArchiveCommand::Run(args) => {
            let done = match open(&args.job)? {
                Ok(archives) => archive(&args, &archives).await,
                Err(failure) => Err(failure),
            };
            args.job.ended(done, DONE, |done, report| JobReport { archived: Some(figures(done)), ..report }, in_words)
        }
        ArchiveCommand::List(job) => {
            let all = list(&job, &open(&job)??).await?;
            show(job.json, &all, |all| table(all))?;
            Ok(ExitCode::SUCCESS)
        }
        ArchiveCommand::Verify(args) => {
            let done = match open(&args.job)? {
                Ok(archives) => verify(&args, &archives).await,
                Err(failure) => Err(failure),
            };
            args.job.ended(done, DONE, |_, report| report, |manifest| one(manifest, "is what was archived"))
        }
        ArchiveCommand::Restore(args) => {
            let done = match open(&args.job)? {
                Ok(archives) => restore(&args, &archives).await,
                Err(failure) => Err(failure),
            };
            args.job.ended(done, DONE, |_, report| report, |manifest| one(manifest, "is in the database again"))
        }
    }
}

fn open(job: &StoreJobArgs) -> anyhow::Result<Result<Archives, Failure>> {
    let stop = shutdown::on_signal()?;
    Ok(Archives::open(&job.store.url, &job.store.secrets.secrets(), stop).map_err(Failure::from))
}

async fn archive(args: &RunArgs, archives: &Archives) -> Result<Archived, Failure> {
    let url = args.job.database_url()?;
    let run = Run {
        url: &url,
        owner: args.job.owner.as_deref(),
        keep_months: args.keep_months,
        patience: args.job.patience(),
        told: &|id, step| tracing::debug!(%id, ?step, "archiving"),
    };
    Ok(archives.run(run, Utc::now()).await?)
}

/// The one that is named, or else that of the database.
async fn owner(job: &StoreJobArgs) -> Result<String, Failure> {
    match &job.owner {
        Some(owner) => Ok(owner.clone()),
        None => Ok(Archives::owner(&job.database_url()?, job.patience().connect).await?),
    }
}

async fn list(job: &StoreJobArgs, archives: &Archives) -> Result<Vec<Manifest>, Failure> {
    Ok(archives.list(&owner(job).await?).await?)
}

async fn verify(args: &OneArgs, archives: &Archives) -> Result<Manifest, Failure> {
    Ok(archives.verify(args.id, &owner(&args.job).await?).await?)
}

async fn restore(args: &OneArgs, archives: &Archives) -> Result<Manifest, Failure> {
    let url = args.job.database_url()?;
    let owner = args.job.owner.as_deref();
    Ok(archives.restore(args.id, &url, owner, args.job.patience(), Utc::now()).await?)
}

fn figures(done: &Archived) -> contract::Archived {
    let count = |months: usize| u32::try_from(months).unwrap_or(u32::MAX);
    contract::Archived {
        partitions: count(done.archived.len()),
        rows: done.archived.iter().map(|manifest| manifest.rows).sum(),
        stayed: count(done.stayed.len()),
    }
}

fn in_words(done: &Archived) -> String {
    let contract::Archived { partitions, rows, stayed } = figures(done);
    let head = match (partitions, stayed) {
        (0, 0) => return "no month is old enough to be archived".to_owned(),
        (_, 0) => format!("{partitions} partitions with {rows} rows were archived"),
        _ => format!("{partitions} partitions with {rows} rows were archived, and {stayed} stay:"),
    };
    done.stayed.iter().fold(head, |words, stayed| format!("{words}\n{}: {}", stayed.id, stayed.why))
}

fn one(manifest: &Manifest, what: &str) -> String {
    let Manifest { id, rows, .. } = manifest;
    format!("archive {id} {what}: {rows} rows, {}", size(manifest.bytes()))
}

fn table(all: &[Manifest]) -> String {
    if all.is_empty() {
        return "no archives yet".to_owned();
    }
    let headings = ["id", "rows", "size", "files", "schema", "archived at", "encrypted"];
    let row = |manifest: &Manifest| {
        vec![
            manifest.id.to_string(),
            manifest.rows.to_string(),
            size(manifest.bytes()),
            manifest.files.len().to_string(),
            manifest.schema_version.to_string(),
            at(manifest.created_at),
            if manifest.encrypted { "yes" } else { "no" }.to_owned(),
        ]
    };
    all.iter().fold(Table::new(&headings), |table, manifest| table.row(row(manifest))).to_string()
}
