//! `purser` as the operator and people run it: exit codes, reports, signals.

// A helper that fails is a test that fails.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::{Duration, Instant};

use runtime_contract::{Health, JobReport, Outcome, Reason, commands};
use sha2::{Digest, Sha256};
use support::process::{Running, purser, run, write_config};
use support::server::free_port;
use support::{OWNER, connection, empty_database, migrated_database};

/// Runs a command that leaves a report: its exit code, and the report from the termination log.
fn reported(arguments: &[&str], database_url: &str) -> (Option<i32>, JobReport) {
    let log = tempfile::NamedTempFile::new().unwrap();
    let mut command = purser(arguments);
    command.env(commands::TERMINATION_LOG_ENV, log.path()).env("PURSER_DATABASE_URL", database_url);
    let output = run(&mut command);
    let written = std::fs::read_to_string(log.path()).unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), written, "standard output says the same");
    assert!(!written.contains(support::server::PASSWORD));
    (output.status.code(), serde_json::from_str(&written).unwrap())
}

#[tokio::test]
async fn migrate_leaves_a_report_of_what_it_did() {
    let url = empty_database().await;
    let (code, report) = reported(&["migrate", "--owner", OWNER], &url);
    assert_eq!((code, report.outcome, report.reason), (Some(0), Outcome::Succeeded, Reason::Migrated));
    assert_eq!(report.schema_version, Some(runtime::migrate::schema_version()));
    let (code, report) = reported(&["migrate", "--owner", "tests/another"], &url);
    assert_eq!((code, report.outcome, report.reason), (Some(1), Outcome::Failed, Reason::DatabaseOwnedByAnother));
}

#[tokio::test]
async fn a_job_of_an_operator_that_was_replaced_says_so() {
    let url = empty_database().await;
    for (token, reason) in [("2", Reason::Migrated), ("1", Reason::OperatorSuperseded)] {
        let (_, report) = reported(&["migrate", "--owner", OWNER, commands::FENCING_TOKEN_FLAG, token], &url);
        assert_eq!(report.reason, reason, "{}", report.message);
    }
}

#[tokio::test]
async fn the_operator_is_told_what_would_be_migrated_and_nothing_is() {
    let url = empty_database().await;
    let version = runtime::migrate::schema_version();
    for (from, pending) in [(0, u32::try_from(version).unwrap()), (version, 0)] {
        let (code, report) = reported(&["migrate", "plan", "--owner", OWNER], &url);
        assert_eq!((code, report.outcome, report.reason), (Some(0), Outcome::Succeeded, Reason::MigrationsPlanned));
        let plan = report.migration_plan.unwrap();
        assert_eq!((plan.from, plan.to, plan.pending), (from, version, pending), "{}", report.message);
        if pending > 0 {
            let (code, _) = reported(&["migrate", "--owner", OWNER], &url);
            assert_eq!(code, Some(0));
        }
    }
}

#[tokio::test]
async fn a_command_that_cannot_connect_says_why() {
    let wrong = empty_database().await.replace(support::server::PASSWORD, "guess");
    let away = support::url_on(1, "purser");
    for (url, outcome, reason) in [
        (wrong.as_str(), Outcome::Failed, Reason::DatabaseAuthenticationFailed),
        (away.as_str(), Outcome::Retry, Reason::DatabaseUnreachable),
        ("not a url", Outcome::Failed, Reason::InvalidConfiguration),
        ("", Outcome::Failed, Reason::InvalidConfiguration),
    ] {
        let (code, report) = reported(&["migrate", "--owner", OWNER, "--wait", "1"], url);
        assert_eq!((code, report.outcome, report.reason), (Some(1), outcome, reason), "{}", report.message);
    }
}

#[tokio::test]
async fn settings_apply_reads_its_document_and_reports_the_revision() {
    let url = migrated_database().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("settings.yaml");
    let document = "revision: 7\ncacheTtl: {userS: 300, paymentMethodS: 600, fraudRulesS: 3600, metricsS: 60}\nproviders:\n- resource: stripe\n  name: STRIPE\n  apiEndpoint: https://api.stripe.example\n  priority: 1\n  active: true\n  maxLatencyMs: 2000\n  successRateThreshold: \"95.0\"\n";
    std::fs::write(&file, document).unwrap();
    let arguments = ["settings", "apply", "--owner", OWNER, "--file", file.to_str().unwrap()];
    let (code, report) = reported(&arguments, &url);
    assert_eq!(
        (code, report.reason, report.settings_revision),
        (Some(0), Reason::SettingsApplied, Some(7)),
        "{}",
        report.message
    );

    std::fs::write(&file, document.replace("revision: 7", "revision: 6")).unwrap();
    let (code, report) = reported(&arguments, &url);
    assert_eq!((code, report.reason, report.settings_revision), (Some(0), Reason::SettingsSuperseded, Some(7)));

    std::fs::write(&file, document.replace("userS", "usrS")).unwrap();
    let (code, report) = reported(&arguments, &url);
    assert_eq!((code, report.reason), (Some(1), Reason::InvalidConfiguration));
    assert!(report.message.contains("usrS"), "{}", report.message);
}

#[tokio::test]
async fn a_merchants_key_is_shown_once_and_only_its_hash_is_stored() {
    let url = migrated_database().await;
    let mut command = purser(&["merchant", "create", "--name", "Shop", "--email", "shop@example.com", "--json"]);
    let output = run(command.env("PURSER_DATABASE_URL", &url));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let shown: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let key = shown["api_key"].as_str().unwrap();
    assert!(key.starts_with("psk_") && key.len() >= 36, "{key}");
    assert!(!String::from_utf8_lossy(&output.stderr).contains(key), "not in the log");

    let row: (String, String, String) =
        sqlx::query_as("select api_key, api_key_prefix, row_to_json(merchants)::text from merchants")
            .fetch_one(&mut connection(&url).await)
            .await
            .unwrap();
    let hash: String = Sha256::digest(key).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(row.0, hash);
    assert!(key.starts_with(&row.1));
    assert!(!row.2.contains(key), "the key stands nowhere in the row");
}

#[tokio::test]
async fn a_fee_that_is_no_percentage_is_refused() {
    let url = migrated_database().await;
    for fee in ["101", "-1", "2.999"] {
        let fee = format!("--fee-percentage={fee}");
        let mut command = purser(&["merchant", "create", "--name", "Shop", "--email", "shop@example.com", &fee]);
        assert!(!run(command.env("PURSER_DATABASE_URL", &url)).status.success(), "{fee}");
    }
}

#[test]
fn every_command_explains_itself() {
    for command in
        ["gateway", "fraud", "processor", "metrics", "all", "migrate", "settings apply", "simulator", "merchant create"]
    {
        let mut arguments: Vec<&str> = command.split(' ').collect();
        arguments.push("--help");
        let output = run(&mut purser(&arguments));
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains(&format!("Usage: purser {command}")), "{text}");
    }
}

#[test]
fn a_role_without_its_configuration_names_what_is_missing() {
    let output = run(&mut purser(&["gateway", "--config", "/nowhere/purser.yaml"]));
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("/nowhere/purser.yaml"));

    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("purser.yaml");
    write_config(&config, 1);
    let output = run(&mut purser(&["gateway", "--config", config.to_str().unwrap(), "--secrets", "/nowhere"]));
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("database-url"));
}

async fn health(admin: &str) -> Option<(u16, Health)> {
    let response = reqwest::get(format!("{admin}/readyz")).await.ok()?;
    Some((response.status().as_u16(), response.json().await.unwrap()))
}

/// Asks until the answer is as wanted.
async fn until_health(admin: &str, wanted: impl Fn(u16, &Health) -> bool) -> Health {
    let begin = Instant::now();
    let mut last = None;
    while begin.elapsed() < Duration::from_secs(60) {
        last = health(admin).await;
        match &last {
            Some((status, health)) if wanted(*status, health) => return health.clone(),
            _ => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
    panic!("never came: {last:?}");
}

/// A gateway process: its configuration folder must outlive it.
fn gateway(database_url: &str, cache_url: &str) -> (Running, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("purser.yaml");
    write_config(&config, 1);
    let (port, admin) = (free_port(), free_port());
    let arguments = ["--gateway-port", &port.to_string(), "--admin-port", &admin.to_string()].map(str::to_owned);
    let mut command = purser(&["gateway", "--address", "127.0.0.1", "--config", config.to_str().unwrap()]);
    command.args(arguments).env("PURSER_DATABASE_URL", database_url).env("PURSER_CACHE_URL", cache_url);
    (Running::start(command, admin), folder)
}

#[tokio::test]
async fn a_pod_says_what_it_lacks_and_ends_when_told() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (running, _folder) = gateway(&migrated_database().await, "redis://127.0.0.1:1/0");
    // Without Redis it is slower, but ready.
    let ready = until_health(&running.admin, |status, _| status == 200).await;
    let cache = ready.checks.iter().find(|check| check.name == "cache").unwrap();
    assert!(ready.ready && !cache.ok && cache.optional && !cache.message.is_empty(), "{ready:?}");
    let metrics = reqwest::get(format!("{}/metrics", running.admin)).await.unwrap().text().await.unwrap();
    assert!(metrics.contains(r#"purser_settings_revision{release="0.1.0"} 0"#), "{metrics}");
    let (code, took) = running.terminate();
    assert_eq!(code, Some(0));
    // Most of it in which it would still be called.
    assert!(took < Duration::from_secs(9), "{took:?}");
}

#[tokio::test]
async fn a_pod_starts_without_its_database_and_is_ready_when_it_comes() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut postgres = support::server::postgres();
    let url = support::url_on(postgres.port(), "postgres");
    postgres.stop();
    let (running, _folder) = gateway(&url, &support::redis_url());
    let away = until_health(&running.admin, |status, _| status == 503).await;
    let database = away.checks.iter().find(|check| check.name == "database").unwrap();
    assert!(!away.ready && !database.ok && !database.optional && !database.message.is_empty(), "{away:?}");
    assert_eq!(
        reqwest::get(format!("{}/livez", running.admin)).await.unwrap().status().as_u16(),
        200,
        "alive nevertheless"
    );
    postgres.start();
    until_health(&running.admin, |status, _| status == 200).await;
}

#[tokio::test]
async fn a_wrong_password_stands_in_the_readiness() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let wrong = migrated_database().await.replace(support::server::PASSWORD, "guess");
    let (running, _folder) = gateway(&wrong, &support::redis_url());
    let away = until_health(&running.admin, |status, _| status == 503).await;
    let database = away.checks.iter().find(|check| check.name == "database").unwrap();
    assert!(database.message.contains("password authentication failed"), "{}", database.message);
    assert!(!database.message.contains("guess"));
}
