//! The commands, one function each.

use std::process::ExitCode;

use crds::payment_cluster::BackupStatus;
use jiff::Timestamp;

use super::arguments::{
    Arguments, Command, HistoryArguments, NameArguments, StatusArguments, Switch, VersionArguments, WaitArguments,
};
use super::connection::Connection;
use super::decision::{self, Decision, Wish};
use super::failure::{self, CLUSTERS, Failure};
use super::output::Output;
use super::{backups, follow, history, logs, view};

pub(super) async fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let output = Output::new(arguments.color);
    if matches!(arguments.command, Command::Version) {
        let (group, version) = (crds::GROUP, crds::VERSION);
        output.line(&format!("kubectl-purser {} ({group}/{version})", env!("CARGO_PKG_VERSION")))?;
        return Ok(ExitCode::SUCCESS);
    }
    let at = Connection::open(&arguments.cluster).await?;
    match &arguments.command {
        Command::Status(told) => status(&at, output, told).await,
        Command::Approve(told) => approve_or_reject(&at, output, told, Wish::Approve).await,
        Command::Reject(told) => approve_or_reject(&at, output, told, Wish::Reject).await,
        Command::Abort(told) => decide(&at, output, &told.of, Wish::Abort, Some(told)).await,
        Command::Rollback(told) => decide(&at, output, &told.of, Wish::Rollback, Some(told)).await,
        Command::Retry(told) => {
            let fresh = Timestamp::now().to_string();
            decide(&at, output, &told.of, Wish::Retry(fresh), Some(told)).await
        }
        Command::Pause(of) => decide(&at, output, of, Wish::Pause, None).await,
        Command::Resume(of) => decide(&at, output, of, Wish::Resume, None).await,
        Command::Maintenance(told) => {
            let wish = Wish::Maintenance(told.switch == Switch::On);
            decide(&at, output, &told.of.of, wish, Some(&told.of)).await
        }
        Command::Backups(told) => backups(&at, output, told).await,
        Command::History(told) => history(&at, output, told).await,
        Command::Logs(told) => logs::show(&at, output, told).await,
        Command::Version => Ok(ExitCode::SUCCESS),
    }
}

async fn status(at: &Connection, output: Output, told: &StatusArguments) -> Result<ExitCode, Failure> {
    let name = at.name(told.of.name.as_deref()).await?;
    if let Some(format) = told.output {
        output.data(&at.raw_status(&name).await?, format)?;
        return Ok(ExitCode::SUCCESS);
    }
    let look = at.look(at.cluster(&name).await?).await;
    if told.watch || told.until_done {
        return follow::show(at, output, look, told.until_done).await;
    }
    output.text(&view::tree(&look, Timestamp::now()).render(output.screen()))?;
    Ok(ExitCode::SUCCESS)
}

async fn approve_or_reject(
    at: &Connection,
    output: Output,
    told: &VersionArguments,
    wish: fn(Option<String>) -> Wish,
) -> Result<ExitCode, Failure> {
    decide(at, output, &told.of.of, wish(told.version.clone()), Some(&told.of)).await
}

async fn decide(
    at: &Connection,
    output: Output,
    of: &NameArguments,
    wish: Wish,
    wait: Option<&WaitArguments>,
) -> Result<ExitCode, Failure> {
    let name = at.name(of.name.as_deref()).await?;
    let decision = write_down(at, &name, &wish).await?;
    output.line(&decision.told)?;
    if let Some(wait) = wait.filter(|wait| wait.wait) {
        follow::until(at, &name, &decision.effect, wait.timeout).await?;
        output.line("done")?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What was looked at is what is decided on: when somebody changed it in between, it is looked at once more, and decided on only
/// when the same follows.
async fn write_down(at: &Connection, name: &str, wish: &Wish) -> Result<Decision, Failure> {
    let manager = at.manager().await;
    let mut before: Option<Decision> = None;
    loop {
        let cluster = at.cluster(name).await?;
        let decision = decision::decide(wish, at.subject(&cluster)).map_err(Failure::Refused)?;
        if before.as_ref().is_some_and(|before| before.effect != decision.effect) {
            let is =
                format!("{name} was changed meanwhile, and another release is meant now: look at it, and decide again");
            return Err(Failure::Refused(is));
        }
        match at.annotate(&cluster, &decision.annotations, &manager).await {
            Ok(()) => return Ok(decision),
            Err(error) if failure::is_conflict(&error) && before.is_none() => before = Some(decision),
            Err(error) => return Err(at.failed("patch", CLUSTERS, Some(name), error)),
        }
    }
}

async fn history(at: &Connection, output: Output, told: &HistoryArguments) -> Result<ExitCode, Failure> {
    let name = at.name(told.of.name.as_deref()).await?;
    if let Some(format) = told.output {
        let mut status = at.raw_status(&name).await?;
        let history = status["release"]["history"].take();
        let history = if history.is_null() { serde_json::json!([]) } else { history };
        output.data(&history, format)?;
        return Ok(ExitCode::SUCCESS);
    }
    let cluster = at.cluster(&name).await?;
    match at.subject(&cluster).release().map(|release| release.history.as_slice()).unwrap_or_default() {
        [] => output.line(&format!("no release of {name} has ended yet"))?,
        ended => output.text(&history::table(ended, Timestamp::now()))?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn backups(at: &Connection, output: Output, told: &HistoryArguments) -> Result<ExitCode, Failure> {
    let name = at.name(told.of.name.as_deref()).await?;
    let cluster = at.cluster(&name).await?;
    let made = at.subject(&cluster).release().map(backups::of).unwrap_or_default();
    match (told.output, &made[..]) {
        (Some(format), made) => {
            let all: Vec<_> = made.iter().map(|(backup, version, _)| backup_data(backup, version)).collect();
            output.data(&serde_json::Value::from(all), format)?;
        }
        (None, []) => output.line(&format!("no release of {name} has made a backup yet"))?,
        (None, made) => output.text(&backups::table(made, Timestamp::now()))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn backup_data(backup: &BackupStatus, version: &str) -> serde_json::Value {
    serde_json::json!({ "id": backup.id, "verifiedAt": backup.verified_at, "release": version })
}

#[cfg(test)]
#[path = "commands_tests.rs"]
mod tests;
