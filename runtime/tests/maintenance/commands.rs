//! `purser maintenance` as the operator and people run it.

use runtime_contract::{JobReport, Outcome, Reason, commands};
use serde_json::Value;

use crate::ground::Ground;
use crate::support::OWNER;
use crate::support::process::{purser, run};

fn drain(ground: &Ground, owner: &str) -> JobReport {
    let log = tempfile::NamedTempFile::new().unwrap();
    let mut command = purser(&["maintenance", "drain", "--owner", owner, "--timeout", "20"]);
    command.env("PURSER_SECRETS", ground.stage.test.secrets.path()).env(commands::TERMINATION_LOG_ENV, log.path());
    let output = run(&mut command);
    let report: JobReport = serde_json::from_slice(&std::fs::read(log.path()).unwrap()).unwrap();
    assert_eq!(output.status.success(), report.outcome == Outcome::Succeeded, "{output:?}");
    report
}

fn status(ground: &Ground, arguments: &[&str]) -> String {
    let mut command = purser(&[&["maintenance", "status"], arguments].concat());
    let output = run(command.env("PURSER_SECRETS", ground.stage.test.secrets.path()));
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_finds_a_report_and_people_see_how_far_it_is() {
    let ground = Ground::new().await;
    assert!(status(&ground, &[]).starts_with("maintenance is off; 0 payments"));
    let report = drain(&ground, OWNER);
    assert_eq!((report.outcome, report.reason), (Outcome::Retry, Reason::NotDrained), "{}", report.message);
    ground.waiting().await;
    ground.maintenance(true).await;
    let report = drain(&ground, "tests/another");
    assert_eq!(
        (report.outcome, report.reason),
        (Outcome::Failed, Reason::DatabaseOwnedByAnother),
        "{}",
        report.message
    );
    let shown: Value = serde_json::from_str(&status(&ground, &["--json"])).unwrap();
    assert_eq!(
        (shown["on"].as_bool(), shown["frozen"].as_bool(), shown["later"].as_i64()),
        (Some(true), Some(false), Some(1))
    );

    let report = drain(&ground, OWNER);
    assert_eq!((report.outcome, report.reason), (Outcome::Succeeded, Reason::Drained), "{}", report.message);
    assert!(report.message.contains("1 payments and 0 operations are not at their end"), "{}", report.message);
    let shown: Value = serde_json::from_str(&status(&ground, &["--json"])).unwrap();
    assert!(shown["frozen"] == true && shown["frozen_at"].is_string(), "{shown}");
    assert!(status(&ground, &[]).contains("nothing of money is written since"));

    sqlx::query("drop table platform_maintenance").execute(ground.pool()).await.unwrap();
    let report = drain(&ground, OWNER);
    assert_eq!((report.outcome, report.reason), (Outcome::Failed, Reason::SchemaMismatch), "{}", report.message);
}
