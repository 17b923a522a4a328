//! What may go wrong between the platform and its provider: nothing is done twice, and nothing is guessed.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::json;

use crate::shop::Shop;
use crate::stage::until;

#[tokio::test]
async fn a_refund_whose_answer_was_lost_is_asked_about_and_made_once() {
    let shop = Shop::open().await;
    for fault in ["error_after_charging", "reset_after_charging", "truncate_after_charging", "garbage_after_charging"] {
        let payment = shop.pay("10.00", "AUTOMATIC").await;
        shop.provider.fault(fault, 1).await;
        let refund = shop.refund(json!({"payment_id": payment, "amount": "4.00"})).await;
        assert_eq!((refund.status, &refund.json()["status"]), (StatusCode::CREATED, &json!("SUCCEEDED")), "{fault}");
        assert_eq!(shop.moved(&payment, "refunds").await, [400], "{fault}");
        assert_eq!(shop.events(&payment).await, ["payment.succeeded", "payment.partially_refunded"], "{fault}");
        assert_eq!(shop.clearing(&payment).await.to_string(), "6", "{fault}");
    }
}

#[tokio::test]
async fn a_capture_and_a_void_whose_answers_were_lost_are_made_once() {
    let shop = Shop::open().await;
    for fault in ["error_before_charging", "reset_before_charging", "error_after_charging", "rate_limit"] {
        let payment = shop.pay("10.00", "MANUAL").await;
        shop.provider.fault(fault, 1).await;
        let capture = shop.capture(&payment, json!({"amount": "4.00"})).await;
        assert_eq!(capture.json()["status"], "SUCCEEDED", "{fault} {capture:?}");
        shop.provider.fault(fault, 1).await;
        let canceled = shop.cancel(&payment).await;
        assert_eq!(canceled.json()["status"], "SUCCESS", "{fault} {canceled:?}");
        assert_eq!(shop.moved(&payment, "captures").await, [400], "{fault}");
        assert_eq!(shop.events(&payment).await, ["payment.authorized", "payment.captured", "payment.succeeded"]);
    }
}

#[tokio::test]
async fn while_the_outcome_is_unknown_nothing_is_said() {
    let shop = Shop::open().await;
    let payment = shop.pay("10.00", "AUTOMATIC").await;
    shop.provider.fault("error_after_charging", 1).await;
    let reply = shop.post_with("/v1/refunds", &json!({"payment_id": payment}), "k", 0).await;
    assert_eq!((reply.status, &reply.json()["status"]), (StatusCode::ACCEPTED, &json!("PENDING")));
    until("the provider's answer was lost", async || {
        // Held back, so that it is not asked about before this test has looked.
        let hold = "update operation_items set run_at = now() + interval '1 hour' where last_error is not null";
        sqlx::query(hold).execute(shop.pool()).await.unwrap().rows_affected() == 1
    })
    .await;
    assert_eq!(shop.moved(&payment, "refunds").await, [1_000], "it was made");
    let shown = shop.shown(&payment).await;
    assert_eq!((&shown["status"], &shown["amount_refunded"]), (&json!("SUCCESS"), &json!("0.00")));
    assert_eq!(shop.events(&payment).await, ["payment.succeeded"]);
    assert_eq!(shop.get(reply.header("location").unwrap()).await.json()["status"], "PENDING");
    sqlx::query("update operation_items set run_at = now()").execute(shop.pool()).await.unwrap();
    shop.idle().await;
    assert_eq!(shop.shown(&payment).await["status"], "REFUNDED");
    assert_eq!(shop.moved(&payment, "refunds").await, [1_000]);
}

#[tokio::test]
async fn an_operation_whose_processor_died_during_the_call_is_finished_by_the_next_one() {
    let mut shop = Shop::open().await;
    let payment = shop.pay("10.00", "MANUAL").await;
    shop.slow(Duration::from_millis(700)).await;
    let path = format!("/v1/payments/{payment}/captures");
    let accepted = shop.post_with(&path, &json!({"amount": "4.00"}), "k", 0).await;
    assert_eq!(accepted.status, StatusCode::ACCEPTED);
    until("the provider is asked", async || {
        let sent = "select 1 from operations where sent_at is not null";
        sqlx::query(sent).fetch_optional(shop.pool()).await.unwrap().is_some()
    })
    .await;
    shop.kill_processor().await;
    shop.start_processor();
    shop.idle().await;
    let capture = shop.get(accepted.header("location").unwrap()).await.json();
    assert_eq!(capture["status"], "SUCCEEDED");
    assert_eq!(shop.moved(&payment, "captures").await, [400]);
    assert_eq!(shop.events(&payment).await, ["payment.authorized", "payment.captured"]);
    assert_eq!(shop.clearing(&payment).await.to_string(), "4");
}

#[tokio::test]
async fn an_operation_whose_key_the_provider_has_forgotten_waits_for_a_person() {
    let mut shop = Shop::open().await;
    let payment = shop.pay("10.00", "AUTOMATIC").await;
    shop.kill_processor().await;
    shop.post_with("/v1/refunds", &json!({"payment_id": payment}), "k", 0).await;
    // As if it had been sent long ago, by a processor that died at once.
    sqlx::query("update operations set sent_at = now() - interval '400 days'").execute(shop.pool()).await.unwrap();
    shop.start_processor();
    let parked = "select last_error from operation_items where parked_at is not null";
    let ended = "select error_code from operations where status <> 'PENDING'";
    until("it is parked, or the provider says that it never was", async || {
        sqlx::query(parked).fetch_optional(shop.pool()).await.unwrap().is_some()
            || sqlx::query(ended).fetch_optional(shop.pool()).await.unwrap().is_some()
    })
    .await;
    assert!(shop.charge(&payment).await["refunds"].as_array().unwrap().is_empty(), "it is not simply sent again");
}

#[tokio::test]
async fn an_operation_whose_end_cannot_be_written_waits_for_a_person() {
    let mut shop = Shop::open().await;
    let payment = shop.pay("10.00", "AUTOMATIC").await;
    shop.kill_processor().await;
    shop.post_with("/v1/refunds", &json!({"payment_id": payment, "amount": "4.00"}), "k", 0).await;
    // What no release does: the reserved amount is gone. And it was tried often.
    sqlx::query("update transactions set amount_refunding = 0").execute(shop.pool()).await.unwrap();
    sqlx::query("update operation_items set attempt = 20").execute(shop.pool()).await.unwrap();
    shop.start_processor();
    let parked = "select last_error from operation_items where parked_at is not null";
    until("it is set aside", async || sqlx::query(parked).fetch_optional(shop.pool()).await.unwrap().is_some()).await;
    assert_eq!(shop.moved(&payment, "refunds").await, [400], "it was made once");
}
