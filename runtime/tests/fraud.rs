//! The fraud workload over HTTP, with a real Redis and without one.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends by panicking")]

mod stage;
mod support;

use std::sync::atomic::Ordering;
use std::time::Duration;

use chrono::Utc;
use futures::future::join_all;
use runtime::fraud::{self, CheckRequest, FraudClient, Status, Verdict};
use runtime::ids::{MerchantId, PaymentId, UserId};
use runtime_contract::{FraudConfig, OnDeadline, RuntimeConfig};
use stage::{Stage, until};
use support::TestApp;
use tokio::net::TcpListener;

/// A workload of its own that takes its time, and how it is reached.
async fn workload(cache_url: Option<&str>) -> (TestApp, String) {
    workload_within(support::FRAUD_LIMITS, cache_url).await
}

async fn workload_within(limits: fraud::Limits, cache_url: Option<&str>) -> (TestApp, String) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let test = TestApp::on(&support::migrated_database().await, cache_url, support::config());
    tokio::spawn(fraud::serve_on(test.app.clone(), listener, limits));
    (test, url)
}

fn request(user: UserId, payment: PaymentId, amount_minor: i64) -> CheckRequest {
    CheckRequest {
        payment_id: payment,
        purchase: payment.to_string(),
        merchant_id: MerchantId::at(Utc::now()),
        user_id: user,
        amount_minor,
        currency: "USD".parse().unwrap(),
        t_start: Utc::now(),
        ip_address: Some("192.0.2.1".into()),
        device_fingerprint: None,
    }
}

fn client(url: &str, deadline_ms: u32) -> FraudClient {
    FraudClient::new(&FraudConfig { url: url.into(), deadline_ms, on_deadline: OnDeadline::Flag }).unwrap()
}

/// Long enough for a busy machine. A client reads the certificates of the system, so a test makes one, like a processor.
const PATIENT_MS: u32 = 20_000;

/// One that asks nothing before the workload is warm, as pods are not ready before: who asks earlier waits for the rules, for Redis and
/// for its script, and fifty of them would keep a test's one thread from reading the rules.
async fn warm_client(url: &str) -> FraudClient {
    let client = client(url, PATIENT_MS);
    assert!(client.warm_up(Duration::from_secs(20)).await);
    client
}

async fn check(client: &FraudClient, request: &CheckRequest) -> Verdict {
    client.check(request).await.verdict.expect("a verdict in time")
}

fn rules(verdict: &Verdict) -> Vec<&str> {
    verdict.rules.iter().map(|rule| rule.rule.as_str()).collect()
}

#[tokio::test]
async fn amounts_are_judged_by_the_rules_of_the_table() {
    let (_test, url) = workload(Some(&support::redis_url())).await;
    let client = warm_client(&url).await;
    for (amount_minor, status, score) in
        [(500_000, Status::Passed, 0), (500_001, Status::Flagged, 40), (5_000_001, Status::Blocked, 80)]
    {
        let verdict = check(&client, &request(UserId::at(Utc::now()), PaymentId::at(Utc::now()), amount_minor)).await;
        assert_eq!((verdict.status, verdict.score, verdict.degraded), (status, score, false), "{amount_minor}");
    }
}

#[tokio::test]
async fn the_payment_after_the_limit_of_a_minute_is_blocked_for_its_user_alone() {
    let (_test, url) = workload(Some(&support::redis_url())).await;
    let client = warm_client(&url).await;
    let (fast, slow) = (UserId::at(Utc::now()), UserId::at(Utc::now()));
    for number in 1..=20 {
        let verdict = check(&client, &request(fast, PaymentId::at(Utc::now()), 100)).await;
        assert_eq!(verdict.status, Status::Passed, "payment {number}");
    }
    let verdict = check(&client, &request(fast, PaymentId::at(Utc::now()), 100)).await;
    assert_eq!((verdict.status, rules(&verdict)), (Status::Blocked, vec!["velocity-user-minute"]));
    assert_eq!(check(&client, &request(slow, PaymentId::at(Utc::now()), 100)).await.status, Status::Passed);
}

#[tokio::test]
async fn the_same_payment_checked_again_counts_once_even_at_the_same_time() {
    let (_test, url) = workload(Some(&support::redis_url())).await;
    let client = warm_client(&url).await;
    let request = request(UserId::at(Utc::now()), PaymentId::at(Utc::now()), 100);
    let verdicts = join_all((0..50).map(|_| check(&client, &request))).await;
    assert!(verdicts.iter().all(|verdict| verdict.status == Status::Passed && !verdict.degraded));
}

#[tokio::test]
async fn without_redis_payments_are_counted_in_the_database_and_the_check_is_degraded() {
    let stage = Stage::with_cache("pm_card_visa", None).await;
    let url = stage.test.app.config.fraud.url.clone();
    let client = client(&url, PATIENT_MS);
    let mut latest = stage.accept("1.00", "USD").await;
    let verdict = check(&client, &request(stage.user, latest, 100)).await;
    assert_eq!((verdict.status, verdict.degraded), (Status::Passed, true));
    for _ in 0..20 {
        latest = stage.accept("1.00", "USD").await;
    }
    let verdict = check(&client, &request(stage.user, latest, 100)).await;
    assert_eq!((verdict.status, rules(&verdict)), (Status::Blocked, vec!["velocity-user-minute"]));
}

#[tokio::test]
async fn a_redis_that_dies_slows_no_check_beyond_its_limit() {
    let mut redis = support::server::redis();
    let cache_url = format!("redis://127.0.0.1:{}/0", redis.port());
    let (_test, url) = workload_within(fraud::Limits::default(), Some(&cache_url)).await;
    let client = warm_client(&url).await;
    let user = UserId::at(Utc::now());
    let uses_redis = async || !check(&client, &request(user, PaymentId::at(Utc::now()), 100)).await.degraded;
    until("Redis is used", &uses_redis).await;
    redis.stop();
    for _ in 0..5 {
        let verdict = check(&client, &request(user, PaymentId::at(Utc::now()), 100)).await;
        assert_eq!((verdict.status, verdict.degraded), (Status::Passed, true));
    }
    redis.start();
    until("Redis is used again", &uses_redis).await;
}

#[tokio::test]
async fn a_silent_workload_costs_the_deadline_and_no_more() {
    // Takes connections and never answers.
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let request = request(UserId::at(Utc::now()), PaymentId::at(Utc::now()), 100);
    let check = client(&url, 50).check(&request).await;
    assert_eq!((check.verdict, check.status), (None, Status::Flagged));
    assert!(check.duration >= Duration::from_millis(50), "{:?}", check.duration);
    assert!(check.duration < Duration::from_secs(5), "{:?}", check.duration);
}

#[tokio::test]
async fn a_workload_that_comes_up_within_the_deadline_is_found() {
    let address = stage::free_address().await;
    let url = format!("http://{address}");
    let request = request(UserId::at(Utc::now()), PaymentId::at(Utc::now()), 100);
    let client = client(&url, PATIENT_MS);
    let checking = client.check(&request);
    let starting = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let test = TestApp::on(&support::migrated_database().await, None, support::config());
        let listener = TcpListener::bind(address).await.unwrap();
        tokio::spawn(fraud::serve_on(test.app.clone(), listener, support::FRAUD_LIMITS));
        test
    };
    let (check, _test) = tokio::join!(checking, starting);
    assert_eq!(check.verdict.map(|verdict| verdict.status), Some(Status::Passed));
}

#[tokio::test]
async fn a_changed_rule_is_in_force_at_once_and_a_broken_one_is_left_out() {
    let stage = Stage::new("pm_card_visa").await;
    let RuntimeConfig { fraud, .. } = &stage.test.app.config;
    let url = fraud.url.clone();
    let client = client(&url, PATIENT_MS);
    let judge = async || check(&client, &request(UserId::at(Utc::now()), PaymentId::at(Utc::now()), 10_001)).await;
    assert_eq!(judge().await.status, Status::Passed);
    sqlx::query("update fraud_rules set parameters = '{\"limits\": {\"USD\": \"100.00\"}}' where name = 'amount-high'")
        .execute(stage.pool())
        .await
        .unwrap();
    sqlx::query("update fraud_rules set parameters = '{\"limit\": 1}' where name = 'amount-extreme'")
        .execute(stage.pool())
        .await
        .unwrap();
    // Kept for an hour otherwise.
    until("the changed rule counts", async || judge().await.status == Status::Flagged).await;
}

#[tokio::test]
async fn a_wrong_request_is_refused_with_the_reason() {
    let (_test, url) = workload(None).await;
    let body = r#"{"payment_id":"pay_nonsense"}"#;
    let response = reqwest::Client::new()
        .post(format!("{url}/v1/check"))
        .header("content-type", "application/json")
        .body(body)
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 422);
    assert!(response.text().await.unwrap().contains("payment_id"));
}

#[tokio::test]
async fn a_workload_says_that_it_is_warm_once_rules_are_read_and_redis_is_connected() {
    let (test, url) = workload(Some(&support::redis_url())).await;
    let client = warm_client(&url).await;
    assert!(test.app.fraud_warm.load(Ordering::Relaxed));
    // Nothing of it counts for anybody.
    let verdict = check(&client, &request(UserId::at(Utc::now()), PaymentId::at(Utc::now()), 100)).await;
    assert_eq!((verdict.status, verdict.degraded), (Status::Passed, false));
}

#[tokio::test]
async fn a_workload_without_its_rules_is_not_warm() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let test = TestApp::on("postgres://purser@127.0.0.1:1/purser", None, support::config());
    tokio::spawn(fraud::serve_on(test.app.clone(), listener, support::FRAUD_LIMITS));
    assert!(!client(&url, 50).warm_up(Duration::from_secs(1)).await);
    assert!(!test.app.fraud_warm.load(Ordering::Relaxed));
}
