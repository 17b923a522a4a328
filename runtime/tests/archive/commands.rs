//! `purser archive` as the operator and people run it.

use std::process::{Command, Output};

use runtime_contract::{Archived, JobReport, Outcome, Reason, commands};
use serde_json::Value;

use crate::ground::Ground;
use crate::support::OWNER;
use crate::support::process::{purser, run};

fn archive(ground: &Ground, arguments: &[&str]) -> Command {
    let mut command = purser(&[&["archive"], arguments].concat());
    command.env("PURSER_SECRETS", ground.secrets_folder()).env("PURSER_BACKUP_STORE", ground.store());
    command
}

fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test]
async fn people_list_verify_and_restore_archives() {
    let ground = Ground::new().await;
    let said = |output: &Output| String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(said(&run(&mut archive(&ground, &["list"]))), "no archives yet\n");
    assert_eq!(said(&run(&mut archive(&ground, &["run"]))), "no month is old enough to be archived\n");
    ground.run().await.unwrap();
    let id = ground.id("transactions").to_string();
    let listed = json(&run(&mut archive(&ground, &["list", "--json"])));
    let ids: Vec<&str> = listed.as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap()).collect();
    assert!(ids.contains(&id.as_str()), "{ids:?}");
    let table = said(&run(&mut archive(&ground, &["list"])));
    assert!(table.starts_with("ID ") && table.contains(&id), "{table}");
    let verified = said(&run(&mut archive(&ground, &["verify", &id])));
    assert!(verified.contains("is what was archived"), "{verified}");
    let restored = json(&run(&mut archive(&ground, &["restore", &id, "--json"])));
    assert_eq!(restored["table"], "transactions");
    assert!(ground.is_attached(ground.id("transactions")).await);
    let again = run(&mut archive(&ground, &["restore", &id]));
    assert_eq!(again.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&again.stderr).contains("is in the database"), "{again:?}");
    let wrong = run(&mut archive(&ground, &["verify", "merchants_p20260101"]));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("names no month of a table"), "{wrong:?}");
}

#[tokio::test]
async fn the_operator_finds_a_report() {
    let ground = Ground::new().await;
    let reported = |arguments: &[&str]| {
        let log = tempfile::NamedTempFile::new().unwrap();
        let output = run(archive(&ground, arguments).env(commands::TERMINATION_LOG_ENV, log.path()));
        let report: JobReport = serde_json::from_slice(&std::fs::read(log.path()).unwrap()).unwrap();
        (output.status.code(), report)
    };
    let (code, report) = reported(&["run", "--keep-months", "13", "--owner", OWNER]);
    assert_eq!((code, report.outcome, report.reason), (Some(0), Outcome::Succeeded, Reason::Archived), "{report:?}");
    assert_eq!(report.archived, Some(Archived { partitions: 0, rows: 0, stayed: 0 }));
    let (code, report) = reported(&["run", "--owner", "tests/another"]);
    assert_eq!((code, report.reason), (Some(1), Reason::DatabaseOwnedByAnother), "{report:?}");
    let (code, report) = reported(&["verify", "events_p20200101", "--owner", OWNER]);
    assert_eq!((code, report.outcome, report.reason), (Some(1), Outcome::Failed, Reason::ArchiveFailed), "{report:?}");
}
