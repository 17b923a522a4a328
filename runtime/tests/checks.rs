//! `purser smoke`, `purser load` and `purser warm-cache`, against a gateway, a fraud workload, PostgreSQL, Redis, and a provider
//! that must never hear of any of it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends by panicking")]

mod stage;
mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::routing::get;
use axum::{Json, Router};
use reqwest::StatusCode;
use runtime::cache::Cache;
use runtime::checks::TestMerchant;
use runtime::{ledger, rollup};
use runtime_contract::{Environment, JobReport, OnDeadline, Outcome, Reason, commands};
use secrecy::ExposeSecret;
use serde_json::json;
use stage::{Provider, Stage, hasty, provider};
use support::gateway::{send, start};
use support::process::{purser, run};
use support::{OWNER, RELEASE, redis_url};

/// A platform with a provider that would charge whatever it is asked for.
struct Release {
    stage: Stage,
    provider: Provider,
    url: String,
}

impl Release {
    async fn on(mut stage: Stage) -> Self {
        let provider = Provider::start().await;
        stage.providers(&[self::provider("stripe", provider.address, 1)]).await;
        stage.processor(hasty());
        let url = start(stage.test.app.clone()).await;
        Self { stage, provider, url }
    }

    /// Runs a command that leaves a report.
    async fn reported(&self, arguments: &[&str]) -> (Option<i32>, JobReport) {
        reported(&self.stage.test.database_url, &redis_url(), arguments).await
    }

    async fn smoke(&self, more: &[&str]) -> (Option<i32>, JobReport) {
        self.reported(&[&["smoke", "--owner", OWNER, "--gateway", &self.url], more].concat()).await
    }

    async fn one<T>(&self, query: &'static str) -> T
    where
        T: Send + Unpin + for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
    {
        sqlx::query_scalar(query).fetch_one(self.stage.pool()).await.unwrap()
    }
}

async fn reported(database: &str, redis: &str, arguments: &[&str]) -> (Option<i32>, JobReport) {
    let log = tempfile::NamedTempFile::new().unwrap();
    let mut command = purser(arguments);
    command.env(commands::TERMINATION_LOG_ENV, log.path());
    command.env("PURSER_DATABASE_URL", database).env("PURSER_CACHE_URL", redis);
    // The gateway lives in this process, and answers meanwhile.
    let output = tokio::task::spawn_blocking(move || run(&mut command)).await.unwrap();
    let written = std::fs::read_to_string(log.path()).unwrap();
    let report = serde_json::from_str(&written);
    let report = report.unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code(), report)
}

#[tokio::test(flavor = "multi_thread")]
async fn test_payments_go_the_whole_way_and_no_provider_hears_of_them() {
    let release = Release::on(Stage::new("pm_card_visa").await).await;
    for _ in 0..2 {
        let (code, report) = release.smoke(&["--release", RELEASE]).await;
        assert_eq!(
            (code, report.outcome, report.reason),
            (Some(0), Outcome::Succeeded, Reason::SmokePassed),
            "{report:?}"
        );
        assert!(report.message.contains("nobody was charged"), "{}", report.message);
    }
    assert!(release.provider.ledger().await.is_empty(), "the provider was asked for nothing");
    let counts: Vec<i64> = vec![
        release.one("select count(*) from payment_attempts").await,
        release.one("select count(*) from ledger_entries").await,
        release.one("select count(*) from webhook_deliveries").await,
        release.one("select count(*) from work_items").await,
        release.one("select count(*) from api_keys").await,
    ];
    assert_eq!(counts, [0; 5], "attempts, ledger lines, webhooks, work that is left, keys that are left");
    assert_eq!(release.one::<i64>("select count(*) from merchants where is_test").await, 1);
    let fates: String = release
        .one("select string_agg(distinct status || ' ' || coalesce(provider_reference, '-'), ', ') from transactions")
        .await;
    assert_eq!(fates, "FAILED -, SUCCESS -");
    assert_eq!(release.one::<i64>("select count(*) from fraud_checks").await, 4, "each was checked for fraud");
    let mut connection = support::connection(&release.stage.test.database_url).await;
    let verified = ledger::verify::verify(&mut connection).await.unwrap();
    assert!(verified.sound, "{verified:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_that_is_ill_does_not_pass() {
    let release = Release::on(Stage::without_fraud("pm_card_visa", OnDeadline::Flag).await).await;
    let (code, report) = release.smoke(&[]).await;
    assert_eq!((code, report.outcome, report.reason), (Some(1), Outcome::Failed, Reason::SmokeFailed));
    assert!(report.message.starts_with("failed at the fraud check: 3 payments in a row"), "{}", report.message);

    let nobody = stage::free_address().await;
    let gateway = format!("http://{nobody}");
    let (_, report) = release.reported(&["smoke", "--owner", OWNER, "--gateway", &gateway, "--wait", "1"]).await;
    assert_eq!((report.outcome, report.reason), (Outcome::Failed, Reason::SmokeFailed), "{report:?}");
    assert!(report.message.starts_with("failed at the description of the API"), "{}", report.message);
    assert!(release.provider.ledger().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_that_cannot_be_made_says_nothing_of_the_release() {
    let release = Release::on(Stage::new("pm_card_visa").await).await;
    let (code, report) = release.smoke(&["--release", "9.9.9"]).await;
    assert_eq!((code, report.reason), (Some(1), Reason::SmokeFailed), "another release answered");
    assert!(report.message.contains(&format!("release {RELEASE} took payment")), "{}", report.message);

    let before: i64 = release.one("select count(*) from transactions").await;
    let strangers = ["smoke", "--owner", "tests/another", "--gateway", &release.url];
    let (_, report) = release.reported(&strangers).await;
    assert_eq!((report.outcome, report.reason), (Outcome::Failed, Reason::DatabaseOwnedByAnother));
    let (_, report) = release.reported(&["smoke", "--owner", OWNER, "--gateway", "payments-gateway"]).await;
    assert_eq!((report.outcome, report.reason), (Outcome::Failed, Reason::InvalidConfiguration), "{report:?}");
    let away = support::url_on(1, "purser");
    let arguments = ["smoke", "--owner", OWNER, "--gateway", &release.url, "--wait", "1"];
    let (_, report) = reported(&away, &redis_url(), &arguments).await;
    assert_eq!((report.outcome, report.reason), (Outcome::Retry, Reason::DatabaseUnreachable));
    sqlx::query("update merchants set is_test = false where is_test").execute(release.stage.pool()).await.unwrap();
    let (_, report) = release.smoke(&[]).await;
    assert_eq!((report.outcome, report.reason), (Outcome::Failed, Reason::Internal), "what is no test is left alone");
    assert_eq!(release.one::<i64>("select count(*) from transactions").await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_a_test_can_neither_be_given_back_nor_paid_with_a_real_card() {
    let release = Release::on(Stage::new("pm_card_visa").await).await;
    let mut connection = support::connection(&release.stage.test.database_url).await;
    let until = chrono::Utc::now() + chrono::TimeDelta::minutes(5);
    let merchant = TestMerchant::enter(&mut connection, Some(OWNER), until).await.unwrap();
    let card = merchant.payers(&mut connection, 1).await.unwrap()[0];
    let user: uuid::Uuid =
        release.one("select user_id from payment_methods where token = 'purser_test_approved'").await;
    let post = async |path: &str, body: serde_json::Value| {
        let request = reqwest::Client::new().post(format!("{}{path}", release.url));
        let request = request.bearer_auth(merchant.key.expose_secret()).header("Prefer", "wait=20");
        send(request.header("Idempotency-Key", uuid::Uuid::now_v7().to_string()).json(&body)).await
    };
    let real =
        json!({"user_id": runtime::ids::UserId::from_uuid(user), "type": "CREDIT_CARD", "token": "pm_card_visa"});
    let refused = post("/v1/payment-methods", real).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{refused:?}");

    let body = json!({"amount": "12.00", "currency": "USD", "payment_method_id": card});
    let paid = post("/v1/payments", body.clone()).await;
    assert_eq!((paid.status, &paid.json()["amount_captured"]), (StatusCode::CREATED, &json!("0.00")), "{paid:?}");
    let id = paid.json()["id"].as_str().unwrap().to_owned();
    let refund = post("/v1/refunds", json!({"payment_id": id})).await;
    assert_eq!(refund.status, StatusCode::CONFLICT, "{refund:?}");
    let mut held = body;
    held["capture_method"] = json!("MANUAL");
    assert_eq!(post("/v1/payments", held).await.json()["status"], "FAILED", "a test holds nothing");
    assert!(release.provider.ledger().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_test_reaches_its_figures_or_names_the_ones_that_it_missed() {
    let release = Release::on(Stage::new("pm_card_visa").await).await;
    let load = ["load", "--owner", OWNER, "--gateway", &release.url, "--tps", "4", "--duration", "3s", "--staging"];
    let easy = [&load[..], &["--p95", "20s", "--p99", "20s", "--success-rate", "90"]].concat();
    let mut passed = release.reported(&easy).await;
    for _ in 0..3 {
        // A machine that compiles meanwhile does not always keep up.
        if passed.0 == Some(0) {
            break;
        }
        passed = release.reported(&easy).await;
    }
    let (code, report) = passed;
    assert_eq!((code, report.outcome, report.reason), (Some(0), Outcome::Succeeded, Reason::LoadPassed), "{report:?}");
    assert!(report.message.starts_with("12 test payments at "), "{}", report.message);
    assert!(release.one::<i64>("select count(*) from transactions where status = 'SUCCESS'").await >= 11);

    let hard = [&load[..], &["--p95", "1ms", "--p99", "20s"]].concat();
    let (code, report) = release.reported(&hard).await;
    assert_eq!((code, report.outcome, report.reason), (Some(1), Outcome::Failed, Reason::LoadFailed));
    // Whatever else was missed on a machine that is busy: this one is named, with what was found and what is allowed.
    let missed = report.message.split(" (").next().unwrap();
    assert!(missed.starts_with("missed: ") && missed.contains(" ms, at most 1 ms"), "{}", report.message);
    assert!(release.provider.ledger().await.is_empty());
    let careless = &load[..load.len() - 1];
    let mut command = purser(careless);
    assert_eq!(run(&mut command).status.code(), Some(2), "without --staging nothing is begun");
}

#[tokio::test(flavor = "multi_thread")]
async fn tests_count_in_the_figures_of_staging_and_in_those_of_production_they_do_not() {
    for (environment, counted) in [(Environment::Staging, true), (Environment::Production, false)] {
        let release = Release::on(Stage::of("pm_card_visa", environment).await).await;
        let (_, report) = release.smoke(&[]).await;
        assert_eq!(report.reason, Reason::SmokePassed, "{report:?}");
        let counts = release.stage.test.app.figures.figures().counts;
        let seen = (counts.succeeded > 0, !counts.fraud_us.is_empty());
        assert_eq!(seen, (counted, counted), "{environment:?}: {counts:?}");
        assert_eq!(counts.failed, 0, "one that is declined on purpose is no failure");
        // The business' own figures leave tests out everywhere.
        let soon = chrono::Utc::now() + chrono::TimeDelta::minutes(2);
        rollup::roll_up(release.stage.pool(), soon).await.unwrap();
        assert_eq!(release.one::<i64>("select coalesce(sum(n_total), 0) from transaction_metrics").await, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_used_last_is_put_into_redis_without_a_token() {
    let release = Release::on(Stage::new("pm_card_visa").await).await;
    release.stage.accept("10.50", "USD").await;
    let arguments = ["warm-cache", "--owner", OWNER];
    let (code, report) = release.reported(&arguments).await;
    assert_eq!((code, report.outcome, report.reason), (Some(0), Outcome::Succeeded, Reason::CacheWarmed), "{report:?}");
    assert_eq!(report.message, "1 users and 1 payment methods are in the cache");
    let redis = Cache::new(Some(&redis_url().as_str().into())).unwrap();
    let payer: serde_json::Value = redis.get(&format!("purser:1:user:{}", release.stage.user)).await.unwrap();
    assert_eq!(payer["merchant_id"], json!(release.stage.merchant));
    let method: uuid::Uuid = release.one("select payment_method_id from transactions").await;
    let method = runtime::ids::PaymentMethodId::from_uuid(method);
    let stored: serde_json::Value = redis.get(&format!("purser:1:payment_method:{method}")).await.unwrap();
    assert!(!stored.to_string().contains("pm_card_visa"), "{stored}");

    let (code, report) = reported(&release.stage.test.database_url, "redis://127.0.0.1:1/0", &arguments).await;
    assert_eq!((code, report.outcome, report.reason), (Some(0), Outcome::Succeeded, Reason::CacheWarmed));
    assert!(report.message.starts_with("the cache is not warm: "), "{}", report.message);
}

/// A gateway in maintenance, which has no room at first.
async fn in_maintenance() -> String {
    let asked = Arc::new(AtomicUsize::new(0));
    let create = move || {
        let is_first = asked.fetch_add(1, Ordering::Relaxed) == 0;
        let code = if is_first { "overloaded" } else { "maintenance" };
        async move { (StatusCode::SERVICE_UNAVAILABLE, Json(json!({"code": code, "detail": "try again"}))) }
    };
    let router = Router::new()
        .route("/v1/openapi.json", get(async || Json(json!({"paths": {}}))))
        .route("/v1/users", get(async || Json(json!({"data": []}))).post(create));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    url
}

#[tokio::test(flavor = "multi_thread")]
async fn while_writes_are_refused_reads_alone_are_tried_and_the_report_says_so() {
    let (database, gateway) = (support::migrated_database().await, in_maintenance().await);
    let arguments = ["smoke", "--owner", OWNER, "--gateway", &gateway, "--release", RELEASE];
    let (code, report) = reported(&database, &redis_url(), &arguments).await;
    assert_eq!((code, report.outcome, report.reason), (Some(0), Outcome::Succeeded, Reason::SmokePassed), "{report:?}");
    assert!(report.message.contains("payments were not tried"), "{}", report.message);
}
