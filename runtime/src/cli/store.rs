//! What commands have in common that work with the store of backups and archives.

use std::process::ExitCode;
use std::time::Duration;

use crate::config::ConfigError;
use crate::migrate::Patience;
use crate::{report, storage};
use chrono::{DateTime, Utc};
use clap::Args;
use runtime_contract::{JobReport, Outcome, Reason};
use serde::Serialize;

use super::{SecretArgs, exit_code, job, show};

/// How long a command waits for another one that migrates, backs up or archives.
const LOCK_PATIENCE: Duration = Duration::from_secs(120);

/// Why a command did not do it, which the operator is told.
pub(crate) trait Failed: std::error::Error + Send + Sync + 'static {
    /// The same as a report.
    fn report(&self) -> JobReport;
}

/// Where backups and archives are kept.
#[derive(Args)]
pub(crate) struct StoreArgs {
    /// Where backups and archives are kept: file:///FOLDER, or s3://BUCKET/PREFIX, of which ?endpoint=URL&region=NAME may say more. Credentials
    /// are the secrets backup-store/access-key-id and backup-store/secret-access-key, or AWS_ACCESS_KEY_ID and so on
    #[arg(long = "store", value_name = "URL", env = "PURSER_BACKUP_STORE", default_value_t = storage::default_place())]
    pub(crate) url: String,
    #[command(flatten)]
    pub(crate) secrets: SecretArgs,
}

/// What commands that do something with backups or archives have in common.
#[derive(Args)]
pub(crate) struct StoreJobArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// The PaymentCluster that all of it must belong to; with it, a report is left for the operator
    #[arg(long, value_name = "NAMESPACE/NAME", value_parser = job::owner)]
    pub(crate) owner: Option<String>,
    /// Seconds to wait for a database that does not answer
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    wait: u64,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

impl StoreJobArgs {
    /// How long to wait.
    pub(crate) const fn patience(&self) -> Patience {
        Patience { connect: Duration::from_secs(self.wait), lock: LOCK_PATIENCE }
    }

    /// Where the database is.
    pub(crate) fn database_url(&self) -> Result<secrecy::SecretString, ConfigError> {
        self.store.secrets.secrets().database_url()
    }

    /// Ends a command: leaves a report when it is run for an owner, and shows what it did.
    pub(crate) fn ended<T: Serialize, E: Failed>(
        &self,
        done: Result<T, E>,
        (outcome, reason): (Outcome, Reason),
        detail: impl FnOnce(&T, JobReport) -> JobReport,
        words: impl Fn(&T) -> String,
    ) -> anyhow::Result<ExitCode> {
        if self.owner.is_none() {
            show(self.json, &done?, words)?;
            return Ok(ExitCode::SUCCESS);
        }
        let report = match &done {
            Ok(done) => detail(done, report::report(outcome, reason, &words(done))),
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

/// A time for people.
pub(crate) fn at(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%d %H:%M:%SZ").to_string()
}

/// `12.3 MiB`.
pub(crate) fn size(bytes: u64) -> String {
    let mut unit = 0;
    let mut tenths = u128::from(bytes) * 10;
    while tenths >= 10_240 && unit < 4 {
        tenths /= 1024;
        unit += 1;
    }
    let unit = ["B", "KiB", "MiB", "GiB", "TiB"][unit];
    format!("{}.{} {unit}", tenths / 10, tenths % 10)
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
