//! Payments whose outcome nobody knows: asked about where they were sent, never charged twice, never guessed.

use runtime::payments::{self, Status};

use crate::stage::{Provider, Stage, hasty, provider, until};

#[tokio::test(flavor = "multi_thread")]
async fn every_lost_answer_ends_in_one_charge_at_the_same_provider() {
    let (first, second) = (Provider::start().await, Provider::start().await);
    let mut stage = Stage::new("pm_card_visa").await;
    let mut impatient = provider("first", first.address, 1);
    impatient.max_latency_ms = 300;
    stage.providers(&[impatient, provider("second", second.address, 2)]).await;
    stage.processor(hasty());
    let mut charged = 0;
    for fault in [
        "timeout_after_charging",
        "timeout_before_charging",
        "error_after_charging",
        "error_before_charging",
        "reset_after_charging",
        "reset_before_charging",
        "truncate_after_charging",
        "garbage_after_charging",
    ] {
        first.fault(fault, 1).await;
        let id = stage.accept("10.50", "USD").await;
        assert_eq!(stage.settled(id).await.status, "SUCCESS", "{fault}");
        charged += 1;
        assert_eq!(first.charges().await.len(), charged, "{fault}: charged once");
        assert_eq!(stage.attempts(id).await, ["APPROVED"], "{fault}: one attempt, asked twice");
    }
    assert!(second.charges().await.is_empty(), "nobody else was asked");
}

/// Another address may be another ledger, which does not know the attempt's key and would charge again.
#[tokio::test(flavor = "multi_thread")]
async fn an_open_attempt_is_asked_about_where_it_was_sent_though_its_provider_moved_and_was_switched_off() {
    let (before, after) = (Provider::start().await, Provider::start().await);
    let mut stage = Stage::new("pm_card_visa").await;
    stage.providers(&[provider("stripe", before.address, 1)]).await;
    stage.processor(hasty());
    before.fault("error_after_charging", 2).await;
    let id = stage.accept("10.50", "USD").await;
    until("the attempt is unknown", async || stage.attempts(id).await == ["UNKNOWN"]).await;
    stage
        .providers(&[runtime_contract::ProviderSettings { active: false, ..provider("stripe", after.address, 1) }])
        .await;
    assert_eq!(stage.settled(id).await.status, "SUCCESS");
    assert_eq!((before.charges().await.len(), after.charges().await.len()), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_outcome_is_unknown_nothing_final_is_said() {
    let simulator = Provider::start().await;
    let mut stage = Stage::new("pm_card_visa").await;
    stage.providers(&[provider("stripe", simulator.address, 1)]).await;
    stage.processor(hasty());
    simulator.fault("error_after_charging", 2).await;
    let id = stage.accept("10.50", "USD").await;
    until("the attempt is unknown", async || stage.attempts(id).await == ["UNKNOWN"]).await;
    let open = stage.stored(id).await;
    assert_eq!((open.status.as_str(), open.t_end, open.error_code), ("PENDING", None, None));
    let shown = payments::store::load(stage.pool(), id).await.unwrap().unwrap();
    assert_eq!(shown.status, Status::Processing, "as it is shown, though not written");
    assert!(stage.events(id).await.is_empty());
    assert_eq!(stage.settled(id).await.status, "SUCCESS");
    assert_eq!(simulator.charges().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_attempt_is_not_failed_when_its_provider_goes_down() {
    let first = Provider::start().await;
    let address = first.address;
    let second = Provider::start().await;
    let mut stage = Stage::new("pm_card_visa").await;
    stage.providers(&[provider("first", address, 1), provider("second", second.address, 2)]).await;
    first.fault("error_before_charging", 1).await;
    stage.processor(hasty());
    let id = stage.accept("10.50", "USD").await;
    until("the attempt is unknown", async || stage.attempts(id).await == ["UNKNOWN"]).await;
    first.stop().await;
    let claims = "select attempt::bigint from work_items where payment_id = $1";
    until("it was asked about in vain", async || stage.count(claims, id).await >= 3).await;
    assert_eq!(stage.attempts(id).await, ["UNKNOWN"]);
    let first = Provider::start_at(address.port(), 0).await;
    assert_eq!(stage.settled(id).await.status, "SUCCESS");
    assert_eq!((first.charges().await.len(), second.charges().await.len()), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_whose_key_the_provider_may_have_forgotten_is_looked_up_and_never_sent_again() {
    let simulator = Provider::start().await;
    let mut stage = Stage::new("pm_card_visa").await;
    stage.providers(&[provider("stripe", simulator.address, 1)]).await;
    simulator.fault("error_after_charging", 1).await;
    stage.processor(hasty());
    let id = stage.accept("10.50", "USD").await;
    until("the attempt is unknown", async || stage.attempts(id).await == ["UNKNOWN"]).await;
    sqlx::query("update payment_attempts set t_start = now() - interval '24 hours'")
        .execute(stage.pool())
        .await
        .unwrap();
    let claims = "select coalesce((select attempt from work_items where payment_id = $1), 99)::bigint";
    until("it was asked about", async || stage.count(claims, id).await >= 3).await;
    assert_ne!(stage.stored(id).await.status, "FAILED");
    assert_eq!(simulator.charges().await.len(), 1);
}
