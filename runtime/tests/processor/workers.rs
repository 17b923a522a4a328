//! Workers that die, stand still, are slow or stop: their payments go on.

use std::time::Duration;

use runtime::processor::Options;

use crate::stage::{Provider, Stage, hasty, provider, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_worker_is_replaced_and_the_charge_stays_one() {
    let simulator = Provider::start().await;
    let mut stage = Stage::new("pm_card_visa").await;
    stage.providers(&[provider("stripe", simulator.address, 1)]).await;
    simulator.fault("timeout_after_charging", 1).await;
    let doomed = stage.processor(hasty());
    let id = stage.accept("10.50", "USD").await;
    until("the provider has charged", async || simulator.charges().await.len() == 1).await;
    doomed.abort();
    assert!(doomed.await.unwrap_err().is_cancelled());
    assert_eq!(stage.attempts(id).await, ["SENT"]);
    stage.processor(hasty());
    assert_eq!(stage.settled(id).await.status, "SUCCESS");
    assert_eq!(stage.attempts(id).await, ["APPROVED"]);
    assert_eq!(simulator.charges().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_lost_its_claim_changes_nothing() {
    let simulator = Provider::start().await;
    let mut stage = Stage::new("pm_card_visa").await;
    let mut slow = provider("stripe", simulator.address, 1);
    slow.max_latency_ms = 2_000;
    stage.providers(&[slow]).await;
    simulator.fault("timeout_after_charging", 2).await;
    // One place only, so that the zombie cannot claim the payment again itself.
    stage.processor(Options { concurrency: 1, ..hasty() });
    let id = stage.accept("10.50", "USD").await;
    until("the provider has charged", async || simulator.charges().await.len() == 1).await;
    tokio::time::sleep(Duration::from_millis(1_000)).await;
    // As if the worker had stood still for longer than its lease, and another had taken over and been slow as well.
    sqlx::query("update work_items set attempt = 2, leased_by = 'heir', leased_until = now() + interval '3 seconds'")
        .execute(stage.pool())
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_millis(1_800)).await;
    assert_eq!(stage.attempts(id).await, ["SENT"], "the late answer of the first worker was not recorded");
    let heir = "select count(*) from work_items where payment_id = $1 and attempt = 2 and leased_by = 'heir'";
    assert_eq!(stage.count(heir, id).await, 1, "nor was the item given back");
    assert_eq!(stage.settled(id).await.status, "SUCCESS");
    assert_eq!(simulator.charges().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_provider_does_not_cost_a_living_worker_its_claim() {
    let simulator = Provider::start_at(0, 4_600).await;
    let mut stage = Stage::new("pm_card_visa").await;
    stage.providers(&[provider("stripe", simulator.address, 1)]).await;
    stage.processor(Options { lease: Duration::from_millis(1_500), ..hasty() });
    stage.processor(Options { lease: Duration::from_millis(1_500), ..hasty() });
    let id = stage.accept("10.50", "USD").await;
    until("it was sent", async || stage.attempts(id).await == ["SENT"]).await;
    tokio::time::sleep(Duration::from_millis(3_200)).await;
    let claims = "select attempt::bigint from work_items where payment_id = $1";
    assert_eq!(stage.count(claims, id).await, 1, "twice its lease has passed");
    assert_eq!(stage.settled(id).await.status, "SUCCESS");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopping_worker_finishes_what_it_has() {
    let simulator = Provider::start_at(0, 500).await;
    let mut stage = Stage::new("pm_card_visa").await;
    stage.providers(&[provider("stripe", simulator.address, 1)]).await;
    let worker = stage.processor(hasty());
    let id = stage.accept("10.50", "USD").await;
    until("it was sent", async || stage.attempts(id).await == ["SENT"]).await;
    stage.test.app.shutdown.cancel();
    worker.await.unwrap();
    assert_eq!(stage.stored(id).await.status, "SUCCESS");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_finish_in_time_is_given_back_at_once() {
    let simulator = Provider::start().await;
    let mut stage = Stage::new("pm_card_visa").await;
    stage.providers(&[provider("stripe", simulator.address, 1)]).await;
    simulator.fault("timeout_after_charging", 1).await;
    let worker = stage.processor(Options { drain: Duration::from_millis(200), ..Options::default() });
    let id = stage.accept("10.50", "USD").await;
    until("the provider has charged", async || simulator.charges().await.len() == 1).await;
    stage.test.app.shutdown.cancel();
    worker.await.unwrap();
    let free = "select count(*) from work_items where payment_id = $1 and leased_by is null";
    assert_eq!((stage.count(free, id).await, stage.attempts(id).await), (1, vec!["SENT".to_owned()]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_that_no_worker_survives_or_understands_is_set_aside_and_the_others_go_on() {
    let simulator = Provider::start().await;
    let mut stage = Stage::new("pm_card_visa").await;
    stage.providers(&[provider("stripe", simulator.address, 1)]).await;
    let (deadly, strange) = (stage.accept("10.50", "USD").await, stage.accept("10.50", "USD").await);
    sqlx::query("update work_items set attempt = 50 where payment_id = $1")
        .bind(deadly)
        .execute(stage.pool())
        .await
        .unwrap();
    sqlx::query("update work_items set attempt = 9, last_error = 'as before' where payment_id = $1")
        .bind(strange)
        .execute(stage.pool())
        .await
        .unwrap();
    sqlx::query("update transactions set currency = 'XXX' where id = $1")
        .bind(strange)
        .execute(stage.pool())
        .await
        .unwrap();
    stage.processor(hasty());
    let fine = stage.accept("10.50", "USD").await;
    assert_eq!(stage.settled(fine).await.status, "SUCCESS");
    let parked = "select count(*) from work_items where payment_id = $1 and parked_at is not null and last_error ~ 'did not survive|does not know'";
    until("both wait for a person", async || {
        stage.count(parked, deadly).await == 1 && stage.count(parked, strange).await == 1
    })
    .await;
    assert_eq!(simulator.charges().await.len(), 1);
}
