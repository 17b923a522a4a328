//! Payments that come to their end: with what, and who is told.

use rust_decimal::Decimal;
use sqlx::postgres::PgListener;

use crate::stage::{PATIENCE, Provider, Stage, free_address, hasty, provider, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_succeeds_with_fee_times_and_one_charge() {
    let simulator = Provider::start().await;
    let mut stage = Stage::new("pm_card_visa").await;
    stage.providers(&[provider("stripe", simulator.address, 1)]).await;
    stage.processor(hasty());
    let id = stage.accept("10.50", "USD").await;
    let payment = stage.settled(id).await;
    assert_eq!((payment.status.as_str(), payment.error_code), ("SUCCESS", None));
    // 2.9 % of 10.50 are 0.3045.
    assert_eq!(payment.fee, Some(Decimal::new(30, 2)));
    assert_eq!(payment.fraud_status.as_deref(), Some("PASSED"));
    let latency = payment.t_end.unwrap() - payment.t_start;
    assert_eq!(i64::from(payment.latency_ms.unwrap()), latency.num_milliseconds());
    let charges = simulator.charges().await;
    assert_eq!((charges.len(), &charges[0]["amount"], &charges[0]["currency"]), (1, &1050.into(), &"usd".into()));
    assert_eq!(charges[0]["metadata"]["purser_payment_id"], id.to_string());
    assert_eq!(payment.provider_reference.as_deref(), charges[0]["payment_intent"].as_str());
    assert_eq!(stage.attempts(id).await, ["APPROVED"]);
    assert_eq!(stage.count("select count(*) from fraud_checks where transaction_id = $1", id).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_declined_card_fails_the_payment_with_the_providers_reason() {
    let simulator = Provider::start().await;
    let mut stage = Stage::new("pm_card_visa_chargeDeclinedInsufficientFunds").await;
    stage.providers(&[provider("stripe", simulator.address, 1)]).await;
    stage.processor(hasty());
    let id = stage.accept("10.50", "USD").await;
    let payment = stage.settled(id).await;
    assert_eq!((payment.status.as_str(), payment.error_code.as_deref()), ("FAILED", Some("insufficient_funds")));
    assert_eq!(payment.error_message.as_deref(), Some("Your card has insufficient funds."));
    assert_eq!(payment.fee, None);
    assert_eq!(stage.attempts(id).await, ["DECLINED"]);
    assert!(simulator.charges().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_amount_that_no_provider_takes_fails_at_once() {
    let mut stage = Stage::new("pm_card_visa").await;
    stage.providers(&[provider("stripe", free_address().await, 1)]).await;
    stage.processor(hasty());
    let id = stage.accept("5.124", "KWD").await;
    let payment = stage.settled(id).await;
    assert_eq!((payment.status.as_str(), payment.error_code.as_deref()), ("FAILED", Some("amount_not_supported")));
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_for_a_payment_is_told_of_its_end() {
    let simulator = Provider::start().await;
    let mut stage = Stage::new("pm_card_visa").await;
    stage.providers(&[provider("stripe", simulator.address, 1)]).await;
    let mut listener = PgListener::connect_with(stage.pool()).await.unwrap();
    listener.listen("purser_settled").await.unwrap();
    stage.processor(hasty());
    let id = stage.accept("10.50", "USD").await;
    let told = tokio::time::timeout(PATIENCE, listener.recv()).await.unwrap().unwrap();
    assert_eq!(told.payload(), id.as_uuid().to_string());
    assert_eq!(stage.stored(id).await.status, "SUCCESS", "told after the commit");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_payments_on_two_workers_are_each_charged_once() {
    let simulator = Provider::start().await;
    let mut stage = Stage::new("pm_card_visa").await;
    sqlx::query("update fraud_rules set enabled = false where kind = 'VELOCITY'").execute(stage.pool()).await.unwrap();
    stage.providers(&[provider("stripe", simulator.address, 1)]).await;
    simulator.fault("error_after_charging", 10).await;
    stage.processor(hasty());
    stage.processor(hasty());
    for _ in 0..100 {
        stage.accept("10.50", "USD").await;
    }
    let open = "select count(*) from work_items where $1::uuid is not null";
    let any = runtime::ids::PaymentId::at(chrono::Utc::now());
    until("all are settled", async || stage.count(open, any).await == 0).await;
    let success = "select count(*) from transactions where status = 'SUCCESS' and $1::uuid is not null";
    assert_eq!(stage.count(success, any).await, 100);
    assert_eq!(simulator.charges().await.len(), 100);
}
