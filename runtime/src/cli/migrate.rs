//! `purser migrate`.

use std::time::Duration;

use chrono::Utc;
use clap::Args;
use runtime::migrate::{self, Patience};
use runtime::report;
use runtime_contract::{JobReport, Outcome, Reason};

use super::job::DatabaseArgs;

/// How long a command waits for another one that migrates.
const LOCK_PATIENCE: Duration = Duration::from_secs(120);

/// What `purser migrate` takes.
#[derive(Args)]
pub(crate) struct MigrateArgs {
    #[command(flatten)]
    database: DatabaseArgs,
}

/// Brings the schema to this version.
pub(crate) async fn run(args: &MigrateArgs) -> JobReport {
    let url = match args.database.secrets.secrets().database_url() {
        Ok(url) => url,
        Err(error) => return report::report(Outcome::Failed, Reason::InvalidConfiguration, &error.to_string()),
    };
    let patience = Patience { connect: args.database.patience(), lock: LOCK_PATIENCE };
    match migrate::run(&url, &args.database.owner, patience, Utc::now()).await {
        Ok(done) => {
            let message = format!(
                "schema version {}: {} migrations applied, {} partitions made",
                done.schema_version,
                done.applied,
                done.partitions.len()
            );
            let report = report::report(Outcome::Succeeded, Reason::Migrated, &message);
            JobReport { schema_version: Some(done.schema_version), ..report }
        }
        Err(error) => report::report(error.outcome(), error.reason(), &error.to_string()),
    }
}
