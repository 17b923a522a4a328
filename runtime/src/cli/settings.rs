//! `purser settings`.

use std::path::PathBuf;

use crate::settings_apply::{self, Applied};
use crate::{config, database, report};
use clap::{Args, Subcommand};
use runtime_contract::{JobReport, Outcome, Reason, Settings, paths};

use super::job::DatabaseArgs;

/// What can be done with settings.
#[derive(Subcommand)]
pub(crate) enum SettingsCommand {
    /// Put a settings document into force if it is newer than what is, and leave a report
    Apply(SettingsArgs),
}

/// What `purser settings apply` takes.
#[derive(Args)]
pub(crate) struct SettingsArgs {
    /// The settings document
    #[arg(long, value_name = "FILE", default_value = paths::SETTINGS)]
    file: PathBuf,
    #[command(flatten)]
    database: DatabaseArgs,
}

/// Does it.
pub(crate) async fn run(SettingsCommand::Apply(args): &SettingsCommand) -> JobReport {
    let invalid =
        |error: config::ConfigError| report::report(Outcome::Failed, Reason::InvalidConfiguration, &error.to_string());
    let settings: Settings = match config::document(&args.file) {
        Ok(settings) => settings,
        Err(error) => return invalid(error),
    };
    let url = match args.database.secrets.secrets().database_url() {
        Ok(url) => url,
        Err(error) => return invalid(error),
    };
    let connected = database::connect(&url, "purser settings", args.database.patience()).await;
    let applied = match connected {
        Ok(mut connection) => settings_apply::apply(&mut connection, &args.database.owner, &settings).await,
        Err(error) => Err(error.into()),
    };
    let (reason, revision, message) = match applied {
        Ok(Applied::InForce { revision }) => {
            (Reason::SettingsApplied, revision, format!("revision {revision} is in force"))
        }
        Ok(Applied::Superseded { revision }) => {
            (Reason::SettingsSuperseded, revision, format!("the newer revision {revision} is in force"))
        }
        Err(error) => return report::report(error.outcome(), error.reason(), &error.to_string()),
    };
    JobReport { settings_revision: Some(revision), ..report::report(Outcome::Succeeded, reason, &message) }
}
