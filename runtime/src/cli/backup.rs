//! `purser backup`.

use std::process::ExitCode;
use std::time::Duration;

use crate::backup::{self, BackupError, Backups, Create, Manifest, Restore, Restored, ScratchServer};
use crate::config::ConfigError;
use crate::ids::BackupId;
use crate::migrate::Patience;
use crate::{report, shutdown};
use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use runtime_contract::{JobReport, Outcome, Reason};
use serde::Serialize;

use super::table::Table;
use super::{SecretArgs, exit_code, job, show};

/// How long a command waits for another one that migrates or makes a backup.
const LOCK_PATIENCE: Duration = Duration::from_secs(120);

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

/// Where backups are kept.
#[derive(Args)]
pub(crate) struct StoreArgs {
    /// Where backups are kept: file:///FOLDER, or s3://BUCKET/PREFIX, of which ?endpoint=URL&region=NAME may say more. Credentials
    /// are the secrets backup-store/access-key-id and backup-store/secret-access-key, or AWS_ACCESS_KEY_ID and so on
    #[arg(long, value_name = "URL", env = "PURSER_BACKUP_STORE", default_value_t = backup::default_store())]
    store: String,
    #[command(flatten)]
    pub(crate) secrets: SecretArgs,
}

/// What commands that do something with a backup have in common.
#[derive(Args)]
pub(crate) struct JobArgs {
    #[command(flatten)]
    store: StoreArgs,
    /// The PaymentCluster that the database and the backup must belong to; with it, a report is left for the operator
    #[arg(long, value_name = "NAMESPACE/NAME", value_parser = job::owner)]
    pub(crate) owner: Option<String>,
    /// Seconds to wait for a database that does not answer
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    wait: u64,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What `purser backup create` takes.
#[derive(Args)]
pub(crate) struct CreateArgs {
    #[command(flatten)]
    job: JobArgs,
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
    job: JobArgs,
}

/// What `purser backup restore` takes.
#[derive(Args)]
pub(crate) struct RestoreArgs {
    /// The backup
    #[arg(value_name = "ID")]
    id: BackupId,
    #[command(flatten)]
    job: JobArgs,
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

impl Failure {
    fn report(&self) -> JobReport {
        let (outcome, reason) = match self {
            Self::Config(_) | Self::NoOwner => (Outcome::Failed, Reason::InvalidConfiguration),
            Self::Backup(error) => (error.outcome(), error.reason()),
        };
        report::report(outcome, reason, &self.to_string())
    }
}

impl StoreArgs {
    /// The place, and what stops what is done there.
    pub(crate) fn open(&self) -> anyhow::Result<Result<Backups, Failure>> {
        let stop = shutdown::on_signal()?;
        Ok(Backups::open(&self.store, &self.secrets.secrets(), stop).map_err(Failure::from))
    }
}

impl JobArgs {
    /// The place.
    pub(crate) fn open(&self) -> anyhow::Result<Result<Backups, Failure>> {
        self.store.open()
    }

    /// How long to wait.
    pub(crate) const fn patience(&self) -> Patience {
        Patience { connect: Duration::from_secs(self.wait), lock: LOCK_PATIENCE }
    }

    /// Where the database is.
    pub(crate) fn database_url(&self) -> Result<secrecy::SecretString, Failure> {
        Ok(self.store.secrets.secrets().database_url()?)
    }

    /// Where backups are restored to be looked at: beside the database, unless another server is named.
    pub(crate) fn scratch(&self) -> Result<ScratchServer, Failure> {
        let secrets = self.store.secrets.secrets();
        let wait = Duration::from_secs(self.wait);
        Ok(match secrets.scratch_url() {
            Some(url) => ScratchServer { url, is_home: false, wait },
            None => ScratchServer { url: secrets.database_url()?, is_home: true, wait },
        })
    }

    /// Ends a command: leaves a report when it is run for an owner, and shows what it did.
    pub(crate) fn ended<T: Serialize>(
        &self,
        done: Result<T, Failure>,
        (outcome, reason): (Outcome, Reason),
        backup: impl FnOnce(&T) -> Option<BackupId>,
        words: impl Fn(&T) -> String,
    ) -> anyhow::Result<ExitCode> {
        if self.owner.is_none() {
            show(self.json, &done?, words)?;
            return Ok(ExitCode::SUCCESS);
        }
        let report = match &done {
            Ok(done) => {
                let report = report::report(outcome, reason, &words(done));
                JobReport { backup_id: backup(done).map(|id| id.to_string()), ..report }
            }
            Err(failure) => failure.report(),
        };
        match done {
            Ok(done) if self.json => {
                report::leave(&report)?;
                show(true, &done, words)?;
            }
            _ => report::write(&report)?,
        }
        Ok(exit_code(report.outcome == Outcome::Succeeded))
    }
}

/// Does it.
pub(crate) async fn run(command: BackupCommand) -> anyhow::Result<ExitCode> {
    match command {
        BackupCommand::Create(args) => {
            let done = match args.job.open()? {
                Ok(backups) => create(&args, &backups).await,
                Err(failure) => Err(failure),
            };
            args.job.ended(done, (Outcome::Succeeded, Reason::BackedUp), |backup| Some(backup.id), backup_in_words)
        }
        BackupCommand::Verify(args) => {
            let done = match args.job.open()? {
                Ok(backups) => verify(&args, &backups).await,
                Err(failure) => Err(failure),
            };
            args.job.ended(
                done,
                (Outcome::Succeeded, Reason::BackupVerified),
                |backup| Some(backup.id),
                backup_in_words,
            )
        }
        BackupCommand::Restore(args) => {
            let done = match args.job.open()? {
                Ok(backups) => restore(&args, &backups).await,
                Err(failure) => Err(failure),
            };
            args.job.ended(done, (Outcome::Succeeded, Reason::Restored), |done| Some(done.id), restored_in_words)
        }
        BackupCommand::List(args) => list(&args).await,
    }
}

async fn create(args: &CreateArgs, backups: &Backups) -> Result<Manifest, Failure> {
    let url = args.job.database_url()?;
    let scratch = args.job.scratch()?;
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
    Ok(backups.verify(args.id, &args.job.scratch()?, Utc::now()).await?)
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
    let Restored { id, schema_version, discarded, kept_as } = restored;
    let lost = match discarded {
        0 => String::new(),
        lost => format!(", {lost} payments were lost"),
    };
    let kept = kept_as.as_ref().map(|old| format!("; the old database is kept as {old}")).unwrap_or_default();
    format!("the database is as it was at backup {id}, schema version {schema_version}{lost}{kept}")
}

async fn list(args: &ListArgs) -> anyhow::Result<ExitCode> {
    let all = args.store.open()??.list(args.owner.as_deref()).await?;
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

fn at(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%d %H:%M:%SZ").to_string()
}

/// `12.3 MiB`.
fn size(bytes: u64) -> String {
    let mut unit = 0;
    let mut tenths = u128::from(bytes) * 10;
    while tenths >= 10_240 && unit < 4 {
        tenths /= 1024;
        unit += 1;
    }
    let unit = ["B", "KiB", "MiB", "GiB", "TiB"][unit];
    format!("{}.{} {unit}", tenths / 10, tenths % 10)
}

fn backup_in_words(backup: &Manifest) -> String {
    let Manifest { id, schema_version, stored_bytes, tables, .. } = backup;
    let verified = if backup.verified_at.is_some() { "verified" } else { "not verified yet" };
    let rows: u64 = tables.iter().map(|table| table.rows).sum();
    let size = size(*stored_bytes);
    format!("backup {id}: schema version {schema_version}, {} tables, {rows} rows, {size}, {verified}", tables.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_for_people() {
        for (bytes, words) in [(0, "0.0 B"), (1023, "1023.0 B"), (1536, "1.5 KiB"), (5 << 30, "5.0 GiB")] {
            assert_eq!(size(bytes), words);
        }
    }
}
