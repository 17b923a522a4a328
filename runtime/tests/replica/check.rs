//! `purser replica check`, as the operator runs it.

use runtime_contract::{JobReport, Outcome, Reason, commands};

use crate::ground::{ANY_LAG_MS, Ground, run};
use crate::support::process::purser;
use crate::support::{OWNER, connection, empty_database, url_on};

/// The report and the exit code for this URL.
fn checked(ground: &Ground, read_url: Option<&str>, waits: [&str; 2]) -> (Option<i32>, JobReport) {
    let secrets = tempfile::tempdir().unwrap();
    std::fs::write(secrets.path().join("database-url"), ground.url()).unwrap();
    if let Some(url) = read_url {
        std::fs::write(secrets.path().join("database-read-url"), url).unwrap();
    }
    let log = tempfile::NamedTempFile::new().unwrap();
    let [connect, replay] = waits;
    let mut command = purser(&["replica", "check", "--owner", OWNER, "--wait", connect, "--replay-wait", replay]);
    command.env("PURSER_SECRETS", secrets.path()).env(commands::TERMINATION_LOG_ENV, log.path());
    let output = crate::support::process::run(&mut command);
    (output.status.code(), serde_json::from_slice(&std::fs::read(log.path()).unwrap()).unwrap())
}

const PATIENT: [&str; 2] = ["30", "120"];

#[tokio::test]
async fn a_replica_is_told_from_whatever_else_the_url_may_lead_to() {
    let ground = Ground::new(ANY_LAG_MS).await;
    let (code, report) = checked(&ground, Some(&ground.read_url), PATIENT);
    assert_eq!(
        (code, report.outcome, report.reason),
        (Some(0), Outcome::Succeeded, Reason::ReplicaReady),
        "{report:?}"
    );

    let elsewhere = empty_database().await;
    let other_database = url_on(ground.standby.port(), "postgres");
    let itself = ground.url().to_owned();
    let cases = [
        (None, Reason::InvalidConfiguration, "database-read-url is missing"),
        (Some("mysql://somebody:hunter2@host/db"), Reason::InvalidConfiguration, "is not a PostgreSQL URL"),
        (Some(elsewhere.as_str()), Reason::ReplicaWrong, "system identifier"),
        (Some(itself.as_str()), Reason::ReplicaWrong, "not in recovery"),
        (Some(other_database.as_str()), Reason::ReplicaWrong, "another database"),
    ];
    for (read_url, reason, words) in cases {
        let (code, report) = checked(&ground, read_url, PATIENT);
        assert_eq!((code, report.outcome, report.reason), (Some(1), Outcome::Failed, reason), "{report:?}");
        assert!(report.message.contains(words) && !report.message.contains("hunter2"), "{}", report.message);
    }
}

#[tokio::test]
async fn a_user_that_may_not_read_is_named_with_what_it_lacks() {
    let ground = Ground::new(ANY_LAG_MS).await;
    let mut session = connection(ground.url()).await;
    run(&mut session, "create role replica_reader login password 'read'").await;
    let reader = ground.read_url.replace("purser:test-password@", "replica_reader:read@");
    // Until the role has come to the replica, it does not answer; that is waited for here, not by the check.
    crate::ground::until("the role is there", async || sqlx_connects(&reader).await).await;
    let (code, report) = checked(&ground, Some(&reader), PATIENT);
    assert_eq!((code, report.reason), (Some(1), Reason::ReplicaWrong), "{report:?}");
    assert!(report.message.contains("transactions") && report.message.contains("grant select"), "{}", report.message);
    run(&mut session, "grant select on all tables in schema public to replica_reader").await;
    let (code, report) = checked(&ground, Some(&reader), PATIENT);
    assert_eq!((code, report.reason), (Some(0), Reason::ReplicaReady), "{report:?}");
}

async fn sqlx_connects(url: &str) -> bool {
    use sqlx::Connection;
    sqlx::PgConnection::connect(url).await.is_ok()
}

#[tokio::test]
async fn one_that_is_late_or_away_is_no_failure() {
    let mut ground = Ground::new(ANY_LAG_MS).await;
    ground.pause().await;
    ground.pay().await;
    let (code, report) = checked(&ground, Some(&ground.read_url), ["30", "1"]);
    assert_eq!((code, report.reason), (Some(0), Reason::ReplicaBehind), "{report:?}");
    assert!(report.message.contains("bytes are left"), "{}", report.message);
    ground.standby.stop();
    let (code, report) = checked(&ground, Some(&ground.read_url), ["1", "1"]);
    assert_eq!((code, report.reason), (Some(0), Reason::ReplicaBehind), "{report:?}");
    assert!(report.message.contains("does not answer"), "{}", report.message);
}
