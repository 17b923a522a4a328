//! The command line: one file per group of commands. What they do is in the library; here is how it is asked for and shown.

pub(crate) mod archive;
pub(crate) mod attempts;
pub(crate) mod backup;
pub(crate) mod cdc;
pub(crate) mod checks;
pub(crate) mod fraud_rule;
pub(crate) mod job;
pub(crate) mod key;
pub(crate) mod ledger;
pub(crate) mod maintenance;
pub(crate) mod merchant;
pub(crate) mod migrate;
pub(crate) mod provider;
pub(crate) mod replica;
pub(crate) mod roles;
pub(crate) mod settings;
pub(crate) mod store;
pub(crate) mod table;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use crate::administration::Actor;
use crate::config::Secrets;
use crate::database::{self, Pool};
use clap::Args;
use runtime_contract::paths;
use serde::Serialize;
use sqlx::{Connection, PgConnection};

use table::Table;

/// How long a person waits for a database that does not answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where secrets are.
#[derive(Args)]
pub(crate) struct SecretArgs {
    /// Folder of secrets: database-url, cache-url, providers/RESOURCE. What is not there is taken from the
    /// environment: PURSER_DATABASE_URL, PURSER_CACHE_URL, PURSER_PROVIDER_RESOURCE
    #[arg(long = "secrets", value_name = "FOLDER", env = "PURSER_SECRETS", default_value = paths::SECRETS)]
    folder: PathBuf,
}

impl SecretArgs {
    /// The secrets.
    pub(crate) fn secrets(&self) -> Secrets {
        Secrets::new(&self.folder)
    }
}

/// What commands for people have in common.
#[derive(Args)]
pub(crate) struct PersonArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    secrets: SecretArgs,
}

/// Shows a result: as JSON, or in words.
pub(crate) fn show<T: Serialize>(json: bool, result: &T, words: impl FnOnce(&T) -> String) -> anyhow::Result<()> {
    if json {
        println!("{}", serde_json::to_string(result)?);
    } else {
        println!("{}", words(result).trim_end());
    }
    Ok(())
}

/// How a command ends that asks whether something is so.
pub(crate) const fn exit_code(good: bool) -> ExitCode {
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Who does something, and why: kept with what was done.
#[derive(Args)]
pub(crate) struct ActorArgs {
    /// Who does it
    #[arg(long, value_name = "NAME", env = "PURSER_ACTOR")]
    actor: Option<String>,
    /// Why
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

impl ActorArgs {
    /// The one who is named, or who is logged in.
    pub(crate) fn actor(&self) -> anyhow::Result<Actor> {
        let logged_in = || std::env::var("USER").ok().filter(|name| !name.trim().is_empty());
        let name = self.actor.clone().or_else(logged_in).unwrap_or_else(|| "command line".to_owned());
        Ok(Actor::new(name, self.reason.clone())?)
    }
}

impl PersonArgs {
    /// A connection to the platform's database.
    pub(crate) async fn connect(&self) -> anyhow::Result<PgConnection> {
        let url = self.secrets.secrets().database_url()?;
        Ok(database::connect(&url, "purser command", PATIENCE).await?)
    }

    /// Connections to the platform's database, which answers.
    pub(crate) async fn pool(&self) -> anyhow::Result<Pool> {
        // Says what is wrong with a URL, a password or a server in one sentence; a pool only says that it took too long.
        self.connect().await?.close().await?;
        Ok(database::pool(&self.secrets.secrets().database_url()?, "purser command", 2)?)
    }

    /// Shows a result: as JSON, or in words.
    pub(crate) fn show<T: Serialize>(&self, result: &T, words: impl FnOnce(&T) -> String) -> anyhow::Result<ExitCode> {
        show(self.json, result, words)?;
        Ok(ExitCode::SUCCESS)
    }

    /// Says that something was done.
    pub(crate) fn done(&self, words: &str) -> anyhow::Result<ExitCode> {
        self.show(&serde_json::json!({ "done": true }), |_| words.to_owned())
    }

    /// Shows many results: as JSON, or as a table.
    pub(crate) fn show_all<T: Serialize>(
        &self,
        results: &[T],
        none: &str,
        headings: &[&'static str],
        row: impl Fn(&T) -> Vec<String>,
    ) -> anyhow::Result<ExitCode> {
        self.show(&results, |results| {
            if results.is_empty() {
                return none.to_owned();
            }
            results.iter().fold(Table::new(headings), |table, result| table.row(row(result))).to_string()
        })
    }
}
