//! Payments on their way through a real database, a real Redis and a provider that counts its own charges.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends by panicking")]

mod stage;
mod support;

use std::time::Duration;

use runtime::payments::{self, Status};
use runtime::processor::Options;
use runtime_contract::{OnDeadline, ProviderName};
use rust_decimal::Decimal;
use sqlx::postgres::PgListener;
use stage::{Provider, Stage, free_address, hasty, provider, until};

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

#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_for_a_payment_is_told_of_its_end() {
    let simulator = Provider::start().await;
    let mut stage = Stage::new("pm_card_visa").await;
    stage.providers(&[provider("stripe", simulator.address, 1)]).await;
    let mut listener = PgListener::connect_with(stage.pool()).await.unwrap();
    listener.listen("purser_settled").await.unwrap();
    stage.processor(hasty());
    let id = stage.accept("10.50", "USD").await;
    let told = tokio::time::timeout(stage::PATIENCE, listener.recv()).await.unwrap().unwrap();
    assert_eq!(told.payload(), id.as_uuid().to_string());
    assert_eq!(stage.stored(id).await.status, "SUCCESS", "told after the commit");
}

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
async fn an_amount_that_no_provider_takes_fails_at_once() {
    let mut stage = Stage::new("pm_card_visa").await;
    stage.providers(&[provider("stripe", free_address().await, 1)]).await;
    stage.processor(hasty());
    let id = stage.accept("5.124", "KWD").await;
    let payment = stage.settled(id).await;
    assert_eq!((payment.status.as_str(), payment.error_code.as_deref()), ("FAILED", Some("amount_not_supported")));
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

/// Pods of one release start together, the processor often first.
#[tokio::test]
async fn a_payment_is_not_claimed_before_the_fraud_workload_is_up() {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let mut stage = Stage::without_fraud_yet("pm_card_visa", listener.local_addr().unwrap()).await;
    let provider = Provider::start().await;
    stage.providers(&[stage::provider("stripe", provider.address, 1)]).await;
    let id = stage.accept("10.50", "USD").await;
    stage.processor(Options::default());
    tokio::time::sleep(Duration::from_millis(500)).await;
    tokio::spawn(runtime::fraud::serve_on(stage.test.app.clone(), listener));
    let stored = stage.settled(id).await;
    assert_eq!((stored.fraud_status.as_deref(), stored.fraud_score), (Some("PASSED"), Some(Decimal::ZERO)));
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
