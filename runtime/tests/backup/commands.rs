//! `purser backup` as the operator and people run it.

use std::process::{Child, Command, Output, Stdio};

use runtime_contract::{JobReport, Outcome, Reason, commands};
use serde_json::Value;
use sqlx::Connection;

use crate::ground::Ground;
use crate::support::OWNER;
use crate::support::process::{purser, run};
use crate::support::server::PASSWORD;

fn backup(ground: &Ground, arguments: &[&str]) -> Command {
    let mut command = purser(&[&["backup"], arguments].concat());
    command.env("PURSER_SECRETS", ground.secrets_folder()).env("PURSER_BACKUP_STORE", ground.store());
    command
}

fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test]
async fn people_make_verify_and_list_backups() {
    let ground = Ground::new(1).await;
    let made = json(&run(&mut backup(&ground, &["create", "--json"])));
    assert!(made["verifiedAt"].is_null() && made["encrypted"] == false, "{made}");
    let id = made["id"].as_str().unwrap();
    let output = run(&mut backup(&ground, &["verify", id]));
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains(id) && said.contains(", verified"), "{said}");
    let listed = json(&run(&mut backup(&ground, &["list", "--json"])));
    assert_eq!(listed[0]["id"], id);
    assert!(listed[0]["verifiedAt"].is_string(), "{listed}");
    let output = run(&mut backup(&ground, &["list"]));
    let table = String::from_utf8_lossy(&output.stdout);
    assert!(table.starts_with("ID ") && table.contains(id) && table.contains("VERIFIED"), "{table}");

    std::fs::write(ground.dump(id.parse().unwrap()), "garbage").unwrap();
    let output = run(&mut backup(&ground, &["verify", id]));
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("is corrupt"), "{output:?}");
}

#[tokio::test]
async fn the_operator_finds_a_report() {
    let ground = Ground::new(1).await;
    let reported = |arguments: &[&str]| {
        let log = tempfile::NamedTempFile::new().unwrap();
        let output = run(backup(&ground, arguments).env(commands::TERMINATION_LOG_ENV, log.path()));
        let report: JobReport = serde_json::from_slice(&std::fs::read(log.path()).unwrap()).unwrap();
        (output, report)
    };
    let (output, report) = reported(&["create", "--verify", "--keep", "1", "--owner", OWNER]);
    assert_eq!((report.outcome, report.reason), (Outcome::Succeeded, Reason::BackedUp), "{output:?}");
    let first = report.backup_id.unwrap();
    let (output, report) = reported(&["create", "--verify", "--keep", "1", "--owner", OWNER, "--json"]);
    let made: Value = json(&output);
    assert!(made["verifiedAt"].is_string() && made["id"] == report.backup_id.unwrap(), "{made}");
    let listed = json(&run(&mut backup(&ground, &["list", "--json", "--owner", OWNER])));
    assert_eq!(listed.as_array().unwrap().len(), 1, "{first} was superfluous");

    let (output, report) = reported(&["verify", &first, "--owner", OWNER]);
    assert_eq!((output.status.code(), report.outcome, report.reason), (Some(1), Outcome::Failed, Reason::BackupFailed));
    let (output, report) = reported(&["create", "--owner", "tests/another"]);
    assert_eq!((output.status.code(), report.reason), (Some(1), Reason::DatabaseOwnedByAnother));
}

/// A `purser backup create` that stands in the middle of its work.
async fn begun(ground: &Ground) -> Child {
    let mut command = backup(ground, &["create"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    ground.dumping().await;
    child
}

#[tokio::test]
async fn the_password_is_on_no_command_line() {
    let ground = Ground::new(0).await;
    let blocked = ground.blocked("fraud_rules").await;
    let child = begun(&ground).await;
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let lines: Vec<String> = processes
        .filter_map(|process| std::fs::read(process.path().join("cmdline")).ok())
        .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
        .collect();
    let dumps: Vec<&String> = lines.iter().filter(|line| line.contains("pg_dump --format")).collect();
    assert!(!dumps.is_empty() && lines.iter().all(|line| !line.contains(PASSWORD)), "{dumps:?}");
    blocked.close().await.unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && !String::from_utf8_lossy(&output.stderr).contains(PASSWORD), "{output:?}");
}

#[tokio::test]
async fn one_that_is_told_to_stop_takes_back_what_it_began() {
    let ground = Ground::new(0).await;
    let _blocked = ground.blocked("fraud_rules").await;
    let child = begun(&ground).await;
    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("told to stop"), "{output:?}");
    assert!(ground.files().is_empty(), "{:?}", ground.files());
}

#[tokio::test]
async fn what_a_killed_one_left_is_no_backup_and_is_cleared_away_by_the_next() {
    let ground = Ground::new(0).await;
    let blocked = ground.blocked("fraud_rules").await;
    let mut child = begun(&ground).await;
    child.kill().unwrap();
    child.wait().unwrap();
    blocked.close().await.unwrap();
    // As one leaves it that was killed later: a part of a dump under the name that the store writes it by, and a whole one.
    let id = |time| runtime::ids::BackupId::at(time);
    let (early, late) = (id(chrono::Utc::now()), id(chrono::Utc::now()));
    for (id, file) in [(early, "dump#1"), (late, "dump")] {
        std::fs::create_dir_all(ground.place(id)).unwrap();
        std::fs::write(ground.place(id).join(file), "half of it").unwrap();
    }
    assert_eq!(ground.backups().list(None).await.unwrap(), []);
    // Its lock goes when the server notices.
    let made = ground.verified().await;
    assert_eq!(ground.backups().list(None).await.unwrap(), [made]);
    assert_eq!(ground.files().len(), 2, "{:?}", ground.files());
}
