//! `purser cdc`, as the operator and people run it.

use std::process::Command;

use runtime_contract::{CdcReport, JobReport, Outcome, Reason, commands};
use serde_json::Value;

use crate::ground::Ground;
use crate::support::process::{purser, run};

fn command(ground: &Ground, word: &str) -> Command {
    let mut command = purser(&["cdc", word, "--owner", &ground.owner, "--wait", "5"]);
    command.env("PURSER_SECRETS", ground.secrets_folder());
    command
}

fn reported(ground: &Ground, word: &str) -> (Option<i32>, JobReport) {
    let log = tempfile::NamedTempFile::new().unwrap();
    let output = run(command(ground, word).env(commands::TERMINATION_LOG_ENV, log.path()));
    (output.status.code(), serde_json::from_slice(&std::fs::read(log.path()).unwrap()).unwrap())
}

#[tokio::test]
async fn commands_leave_reports_and_say_how_it_stands() {
    let ground = Ground::new().await;
    let (code, report) = reported(&ground, "apply");
    assert_eq!((code, report.outcome, report.reason), (Some(1), Outcome::Failed, Reason::InvalidConfiguration));
    assert!(report.message.contains("analytics-url is missing"), "{}", report.message);

    ground.write_urls();
    let (code, report) = reported(&ground, "apply");
    assert_eq!(
        (code, report.outcome, report.reason),
        (Some(0), Outcome::Succeeded, Reason::CdcApplied),
        "{}",
        report.message
    );
    let CdcReport { publication, subscription, tables, .. } = report.cdc.unwrap();
    assert_eq!((publication.as_str(), subscription, tables), ("purser_analytics", ground.name(), 10));
    ground.becomes_same().await;

    let output = run(command(&ground, "status").arg("--json"));
    let status: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{status}");
    assert_eq!(
        (&status["slot"]["active"], &status["subscription"]["running"]),
        (&true.into(), &true.into()),
        "{status}"
    );
    assert_eq!(
        (&status["slot"]["walStatus"], &status["subscription"]["copying"]),
        (&"reserved".into(), &Value::Array(vec![]))
    );
    let words = String::from_utf8(run(&mut command(&ground, "status")).stdout).unwrap();
    assert!(words.contains("analytics takes from it") && words.contains("subscription: running"), "{words}");

    let again: Value = serde_json::from_slice(&run(command(&ground, "apply").arg("--json")).stdout).unwrap();
    assert_eq!(again["changes"], Value::Array(vec![]), "{again}");
    let (code, report) = reported(&ground, "remove");
    assert_eq!((code, report.reason), (Some(0), Reason::CdcRemoved), "{}", report.message);
    assert_eq!(report.message, "the subscription, the replication slot, the publication removed");
    let output = run(&mut command(&ground, "status"));
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stdout).unwrap().contains("nothing is published"));
}
