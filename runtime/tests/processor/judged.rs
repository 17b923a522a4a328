//! Payments that the fraud check decides, in time or not.

use std::time::Duration;

use runtime::processor::Options;
use runtime_contract::OnDeadline;
use rust_decimal::Decimal;

use crate::stage::{Provider, Stage, hasty, provider};
use crate::support;

#[tokio::test(flavor = "multi_thread")]
async fn a_missed_fraud_deadline_is_decided_by_policy() {
    let simulator = Provider::start().await;
    for (policy, status, fraud_status) in [
        (OnDeadline::Flag, "SUCCESS", "FLAGGED"),
        (OnDeadline::Pass, "SUCCESS", "PASSED"),
        (OnDeadline::Block, "FAILED", "BLOCKED"),
    ] {
        let before = simulator.charges().await.len();
        let mut stage = Stage::without_fraud("pm_card_visa", policy).await;
        stage.providers(&[provider("stripe", simulator.address, 1)]).await;
        stage.processor(hasty());
        let id = stage.accept("10.50", "USD").await;
        let payment = stage.settled(id).await;
        assert_eq!(
            (payment.status.as_str(), payment.fraud_status.as_deref()),
            (status, Some(fraud_status)),
            "{policy:?}"
        );
        assert_eq!(payment.fraud_score, None);
        let missed = "select count(*) from fraud_checks where transaction_id = $1 and deadline_missed and check_duration_ms between 50 and 1000";
        assert_eq!(stage.count(missed, id).await, 1, "{policy:?}");
        let charged = simulator.charges().await.len() - before;
        assert_eq!(charged, usize::from(status == "SUCCESS"), "{policy:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_that_fraud_blocks_reaches_no_provider() {
    let simulator = Provider::start().await;
    let mut stage = Stage::new("pm_card_visa").await;
    stage.providers(&[provider("stripe", simulator.address, 1)]).await;
    stage.processor(hasty());
    let id = stage.accept("60000.00", "USD").await;
    let payment = stage.settled(id).await;
    assert_eq!((payment.status.as_str(), payment.error_code.as_deref()), ("FAILED", Some("fraud_blocked")));
    assert_eq!(payment.fraud_score, Some(Decimal::from(80)));
    let rules: serde_json::Value =
        sqlx::query_scalar("select rules_triggered from fraud_checks where transaction_id = $1")
            .bind(id)
            .fetch_one(stage.pool())
            .await
            .unwrap();
    let names: Vec<&str> = rules.as_array().unwrap().iter().map(|rule| rule["rule"].as_str().unwrap()).collect();
    assert_eq!(names, ["amount-extreme", "amount-high"]);
    assert!(stage.attempts(id).await.is_empty() && simulator.charges().await.is_empty());
}

/// Pods of one release start together, the processor often first.
#[tokio::test]
async fn a_payment_is_not_claimed_before_the_fraud_workload_is_up() {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let mut stage = Stage::without_fraud_yet("pm_card_visa", listener.local_addr().unwrap()).await;
    let simulator = Provider::start().await;
    stage.providers(&[provider("stripe", simulator.address, 1)]).await;
    let id = stage.accept("10.50", "USD").await;
    stage.processor(Options::default());
    tokio::time::sleep(Duration::from_millis(500)).await;
    tokio::spawn(runtime::fraud::serve_on(stage.test.app.clone(), listener, support::FRAUD_LIMITS));
    let stored = stage.settled(id).await;
    assert_eq!((stored.fraud_status.as_deref(), stored.fraud_score), (Some("PASSED"), Some(Decimal::ZERO)));
}
