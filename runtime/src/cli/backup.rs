//! `purser backup`.

use std::process::ExitCode;

use crate::backup::{BackupError, Backups, Create, Manifest, Restore, Restored, ScratchServer};
use crate::config::ConfigError;
use crate::ids::BackupId;
use crate::{report, shutdown};
use chrono::Utc;
use clap::{Args, Subcommand};
use runtime_contract::{JobReport, Outcome, Reason};

use super::store::{Failed, StoreArgs, StoreJobArgs, at, size};
use super::table::Table;
use super::{job, show};

/// What can be done with backups.
#[derive(Subcommand)]
pub(crate) enum BackupCommand {
    /// Back the database up, while payments go on
    Create(CreateArgs),
    /// Restore a backup into a database of its own, compare every table with what was counted, and drop it again
    Verify(VerifyArgs),
    /// Put a verified backup into the place of the database. It is refused when a payment would be lost
    Restore(RestoreArgs),
    /// List backups, the oldest first
    List(ListArgs),
}

/// What `purser backup create` takes.
#[derive(Args)]
pub(crate) struct CreateArgs {
    #[command(flatten)]
    job: StoreJobArgs,
    /// Verify it, as `purser backup verify` does
    #[arg(long)]
    verify: bool,
    /// Remove verified backups of the same PaymentCluster afterwards, but for the newest N
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    keep: Option<u16>,
}

/// What `purser backup verify` takes.
#[derive(Args)]
pub(crate) struct VerifyArgs {
    /// The backup
    #[arg(value_name = "ID")]
    id: BackupId,
    #[command(flatten)]
    job: StoreJobArgs,
}

/// What `purser backup restore` takes.
#[derive(Args)]
pub(crate) struct RestoreArgs {
    /// The backup
    #[arg(value_name = "ID")]
    id: BackupId,
    #[command(flatten)]
    job: StoreJobArgs,
    /// Replace the database that there is, and keep it under another name
    #[arg(long, required = true)]
    into_current: bool,
    /// Lose so many payments that were made or changed since the backup; the number that the refusal names
    #[arg(long, value_name = "N", default_value_t = 0)]
    discard_newer: usize,
    /// Drop the old database once the new one is in its place
    #[arg(long)]
    drop_old: bool,
}

/// What `purser backup list` takes.
#[derive(Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    store: StoreArgs,
    /// Of this PaymentCluster alone
    #[arg(long, value_name = "NAMESPACE/NAME", value_parser = job::owner)]
    owner: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Why a command did not do it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// A secret is missing.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Nobody said whose database it is.
    #[error("say whose database it is: --owner NAMESPACE/NAME")]
    NoOwner,
    /// The rest.
    #[error(transparent)]
    Backup(#[from] BackupError),
}

impl Failed for Failure {
    fn report(&self) -> JobReport {
        let (outcome, reason) = match self {
            Self::Config(_) | Self::NoOwner => (Outcome::Failed, Reason::InvalidConfiguration),
            Self::Backup(error) => (error.outcome(), error.reason()),
        };
        report::report(outcome, reason, &self.to_string())
    }
}

/// Where backups are restored to be looked at: beside the database, unless another server is named.
pub(crate) fn scratch(job: &StoreJobArgs) -> Result<ScratchServer, Failure> {
    let secrets = job.store.secrets.secrets();
    let wait = job.patience().connect;
    Ok(match secrets.scratch_url() {
        Some(url) => ScratchServer { url, is_home: false, wait },
        None => ScratchServer { url: secrets.database_url()?, is_home: true, wait },
    })
}

/// The place of backups.
pub(crate) fn open(store: &StoreArgs) -> anyhow::Result<Result<Backups, Failure>> {
    let stop = shutdown::on_signal()?;
    Ok(Backups::open(&store.url, &store.secrets.secrets(), stop).map_err(Failure::from))
}

/// Names the backup in a report.
pub(crate) fn of_backup(id: Option<BackupId>, report: JobReport) -> JobReport {
    JobReport { backup_id: id.map(|id| id.to_string()), ..report }
}

/// Does it.
pub(crate) async fn run(command: BackupCommand) -> anyhow::Result<ExitCode> {
    match command {
        BackupCommand::Create(args) => {
            let done = match open(&args.job.store)? {
                Ok(backups) => create(&args, &backups).await,
                Err(failure) => Err(failure),
            };
            args.job.ended(
                done,
                (Outcome::Succeeded, Reason::BackedUp),
                |backup, report| of_backup(Some(backup.id), report),
                backup_in_words,
            )
        }
        BackupCommand::Verify(args) => {
            let done = match open(&args.job.store)? {
                Ok(backups) => verify(&args, &backups).await,
                Err(failure) => Err(failure),
            };
            args.job.ended(
                done,
                (Outcome::Succeeded, Reason::BackupVerified),
                |backup, report| of_backup(Some(backup.id), report),
                backup_in_words,
            )
        }
        BackupCommand::Restore(args) => {
            let done = match open(&args.job.store)? {
                Ok(backups) => restore(&args, &backups).await,
                Err(failure) => Err(failure),
            };
            args.job.ended(
                done,
                (Outcome::Succeeded, Reason::Restored),
                |done, report| of_backup(Some(done.id), report),
                restored_in_words,
            )
        }
        BackupCommand::List(args) => list(&args).await,
    }
}

async fn create(args: &CreateArgs, backups: &Backups) -> Result<Manifest, Failure> {
    let url = args.job.database_url()?;
    let scratch = scratch(&args.job)?;
    let create = Create { url: &url, owner: args.job.owner.as_deref(), patience: args.job.patience() };
    let mut backup = backups.create(create, Utc::now()).await?;
    if args.verify {
        backup = backups.verify(backup.id, &scratch, Utc::now()).await?;
    }
    if let Some(keep) = args.keep {
        for id in backups.prune(&backup.owner, usize::from(keep)).await? {
            tracing::info!(%id, "removed: {keep} newer ones are kept");
        }
    }
    Ok(backup)
}

async fn verify(args: &VerifyArgs, backups: &Backups) -> Result<Manifest, Failure> {
    if let Some(owner) = &args.job.owner {
        backups.find_of(args.id, owner).await?;
    }
    Ok(backups.verify(args.id, &scratch(&args.job)?, Utc::now()).await?)
}

async fn restore(args: &RestoreArgs, backups: &Backups) -> Result<Restored, Failure> {
    let url = args.job.database_url()?;
    let Some(owner) = args.job.owner.as_deref() else { return Err(Failure::NoOwner) };
    let restore = Restore {
        id: args.id,
        owner,
        url: &url,
        discard_newer: args.discard_newer,
        drop_old: args.drop_old,
        patience: args.job.patience(),
    };
    Ok(backups.restore(restore, Utc::now()).await?)
}

fn restored_in_words(restored: &Restored) -> String {
    let Restored { id, schema_version, discarded, kept_as, was_published } = restored;
    let lost = match discarded {
        0 => String::new(),
        lost => format!(", {lost} payments were lost"),
    };
    let kept = kept_as.as_ref().map(|old| format!("; the old database is kept as {old}")).unwrap_or_default();
    let analytics = if *was_published { "; analytics has to subscribe anew: purser cdc apply" } else { "" };
    format!("the database is as it was at backup {id}, schema version {schema_version}{lost}{kept}{analytics}")
}

async fn list(args: &ListArgs) -> anyhow::Result<ExitCode> {
    let all = open(&args.store)??.list(args.owner.as_deref()).await?;
    show(args.json, &all, |all| {
        if all.is_empty() {
            return "no backups yet".to_owned();
        }
        let headings = ["id", "owner", "created at", "size", "schema", "verified at", "encrypted"];
        all.iter().fold(Table::new(&headings), |table, backup| table.row(row(backup))).to_string()
    })?;
    Ok(ExitCode::SUCCESS)
}

fn row(backup: &Manifest) -> Vec<String> {
    vec![
        backup.id.to_string(),
        backup.owner.clone(),
        at(backup.created_at),
        size(backup.stored_bytes),
        backup.schema_version.to_string(),
        backup.verified_at.map_or_else(|| "-".to_owned(), at),
        if backup.encrypted { "yes" } else { "no" }.to_owned(),
    ]
}

fn backup_in_words(backup: &Manifest) -> String {
    let Manifest { id, schema_version, stored_bytes, tables, .. } = backup;
    let verified = if backup.verified_at.is_some() { "verified" } else { "not verified yet" };
    let rows: u64 = tables.iter().map(|table| table.rows).sum();
    let size = size(*stored_bytes);
    format!("backup {id}: schema version {schema_version}, {} tables, {rows} rows, {size}, {verified}", tables.len())
}
