//! Payments that no provider can take now: they go elsewhere, or wait.

use runtime_contract::ProviderName;

use crate::stage::{Provider, Stage, free_address, hasty, provider, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_cannot_be_reached_is_passed_over() {
    let second = Provider::start().await;
    let mut stage = Stage::new("pm_card_visa").await;
    stage.providers(&[provider("away", free_address().await, 1), provider("second", second.address, 2)]).await;
    stage.processor(hasty());
    let id = stage.accept("10.50", "USD").await;
    assert_eq!(stage.settled(id).await.status, "SUCCESS");
    assert_eq!(stage.attempts(id).await, ["RETRYABLE", "APPROVED"]);
    assert_eq!(second.charges().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_waits_for_a_provider_that_is_down_and_goes_on_when_it_is_back() {
    let address = free_address().await;
    let mut stage = Stage::new("pm_card_visa").await;
    stage.providers(&[provider("stripe", address, 1)]).await;
    stage.processor(hasty());
    let id = stage.accept("10.50", "USD").await;
    until("an attempt found nobody", async || stage.attempts(id).await == ["RETRYABLE"]).await;
    let simulator = Provider::start_at(address.port(), 0).await;
    assert_eq!(stage.settled(id).await.status, "SUCCESS");
    assert_eq!(simulator.charges().await.len(), 1);
    let attempts = stage.attempts(id).await;
    assert_eq!((attempts.first().unwrap().as_str(), attempts.last().unwrap().as_str()), ("RETRYABLE", "APPROVED"));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_usable_provider_a_payment_waits_and_says_why() {
    let mut stage = Stage::new("pm_card_visa").await;
    let mut visa = provider("visa", free_address().await, 1);
    visa.name = ProviderName::Visa;
    let mut off = provider("off", free_address().await, 2);
    off.active = false;
    stage.providers(&[visa, off]).await;
    stage.processor(hasty());
    let id = stage.accept("10.50", "USD").await;
    let given_back = "select count(*) from work_items where payment_id = $1 and last_error is not null";
    until("it waits", async || stage.count(given_back, id).await == 1).await;
    let error: String = sqlx::query_scalar("select last_error from work_items").fetch_one(stage.pool()).await.unwrap();
    assert_eq!(error, "no provider can take it now: visa is VISA, for which there is no adapter; off is switched off");
    assert_eq!(stage.stored(id).await.status, "PENDING");
    let checks = "select count(*) from fraud_checks where transaction_id = $1";
    assert_eq!(stage.count(checks, id).await, 1, "the check is kept, and not made again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_credential_charges_nobody_and_heals_when_it_is_put_right() {
    let simulator = Provider::start().await;
    let mut stage = Stage::new("pm_card_visa").await;
    stage.providers(&[provider("stripe", simulator.address, 1)]).await;
    stage.test.credential("stripe", "not-a-key");
    stage.processor(hasty());
    let id = stage.accept("10.50", "USD").await;
    until("the key was refused", async || stage.attempts(id).await == ["RETRYABLE"]).await;
    stage.test.credential("stripe", "sk_test_right");
    assert_eq!(stage.settled(id).await.status, "SUCCESS");
    assert_eq!(simulator.charges().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_that_nobody_could_take_for_a_day_fails() {
    let mut stage = Stage::new("pm_card_visa").await;
    stage.providers(&[provider("stripe", free_address().await, 1)]).await;
    let id = stage.accept("10.50", "USD").await;
    sqlx::query("update transactions set t_start = now() - interval '25 hours'").execute(stage.pool()).await.unwrap();
    stage.processor(hasty());
    let payment = stage.settled(id).await;
    assert_eq!((payment.status.as_str(), payment.error_code.as_deref()), ("FAILED", Some("no_provider_available")));
    assert_eq!(stage.attempts(id).await, ["RETRYABLE"]);
}
