//! `purser maintenance`.

use std::process::ExitCode;
use std::time::Duration;

use crate::maintenance::{self, Drained, State, Work};
use crate::{database, report};
use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use runtime_contract::{JobReport, Outcome, Reason};
use serde::Serialize;

use super::PersonArgs;
use super::job::{self, DatabaseArgs};

/// What can be done about maintenance. It is turned on and off by the live settings, and by nothing else.
#[derive(Subcommand)]
pub(crate) enum MaintenanceCommand {
    /// Say whether maintenance is on, how far it is, and what is in work
    Status(PersonArgs),
    /// Once writes are refused: wait for what is in work, freeze everything of money until maintenance ends, and leave a report.
    /// When time is up before, nothing is frozen
    Drain(DrainArgs),
}

/// What `purser maintenance drain` takes.
#[derive(Args)]
pub(crate) struct DrainArgs {
    /// Seconds to wait for what is in work
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    timeout: u64,
    #[command(flatten)]
    database: DatabaseArgs,
}

/// How far maintenance is, and what is in work.
#[derive(Serialize)]
struct Status {
    on: bool,
    frozen: bool,
    #[serde(flatten)]
    state: Option<State>,
    #[serde(flatten)]
    work: Work,
}

/// Does it.
pub(crate) async fn run(command: MaintenanceCommand) -> anyhow::Result<ExitCode> {
    match command {
        MaintenanceCommand::Status(args) => status(&args).await,
        MaintenanceCommand::Drain(args) => job::reported(&drain(&args).await),
    }
}

async fn status(args: &PersonArgs) -> anyhow::Result<ExitCode> {
    let mut connection = args.connect().await?;
    let state = maintenance::state(&mut connection).await?;
    let work = maintenance::work(&mut connection).await?;
    let frozen = state.is_some_and(|state| state.frozen_at.is_some());
    args.show(&Status { on: state.is_some(), frozen, state, work }, |status| {
        format!("{}; {}", stage(status.state.as_ref()), in_words(&status.work))
    })
}

fn stage(state: Option<&State>) -> String {
    let Some(State { since, held_at, frozen_at }) = state else { return "maintenance is off".to_owned() };
    let further = match (held_at, frozen_at) {
        (_, Some(at)) => format!(", and nothing of money is written since {}", time(at)),
        (Some(at), None) => format!(", and no work is begun since {}", time(at)),
        (None, None) => String::new(),
    };
    format!("maintenance is on since {}{further}", time(since))
}

fn time(at: &DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}

fn in_words(work: &Work) -> String {
    let Work { payments, operations, in_work, due, later, parked } = work;
    format!(
        "{payments} payments and {operations} operations are not at their end: {in_work} in work, {due} due, {later} for later, \
         {parked} wait for a person"
    )
}

async fn drain(args: &DrainArgs) -> JobReport {
    let url = match args.database.secrets.secrets().database_url() {
        Ok(url) => url,
        Err(error) => return report::report(Outcome::Failed, Reason::InvalidConfiguration, &error.to_string()),
    };
    let limit = Duration::from_secs(args.timeout);
    let drained = match database::connect(&url, "purser maintenance", args.database.patience()).await {
        Ok(mut connection) => maintenance::drain(&mut connection, &args.database.owner, limit).await,
        Err(error) => Err(error.into()),
    };
    match drained {
        Ok(Drained { work }) => {
            let message = format!("nothing of money is written any more; {}", in_words(&work));
            report::report(Outcome::Succeeded, Reason::Drained, &message)
        }
        Err(error) => report::report(error.outcome(), error.reason(), &error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_stage_has_its_words() {
        let at = "2026-11-28T15:00:00Z".parse().unwrap();
        let on = State { since: at, held_at: None, frozen_at: None };
        let held = State { held_at: Some(at), ..on };
        let frozen = State { frozen_at: Some(at), ..held };
        assert_eq!(stage(None), "maintenance is off");
        assert_eq!(stage(Some(&on)), "maintenance is on since 2026-11-28 15:00:00 UTC");
        assert!(stage(Some(&held)).ends_with("no work is begun since 2026-11-28 15:00:00 UTC"));
        assert!(stage(Some(&frozen)).ends_with("nothing of money is written since 2026-11-28 15:00:00 UTC"));
    }
}
