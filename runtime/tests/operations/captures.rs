//! Taking what is held.

use reqwest::StatusCode;
use serde_json::json;

use crate::shop::{Shop, refused};

#[tokio::test]
async fn a_held_payment_is_captured_in_parts_until_the_last_one_ends_it() {
    let shop = Shop::open().await;
    let payment = shop.pay("100.00", "MANUAL").await;
    let held = shop.shown(&payment).await;
    assert_eq!((&held["status"], &held["amount_captured"]), (&json!("AUTHORIZED"), &json!("0.00")));

    let reply = shop.capture(&payment, json!({"amount": "30.00"})).await;
    assert_eq!(reply.status, StatusCode::CREATED, "{reply:?}");
    let capture = reply.json();
    assert_eq!(
        (&capture["status"], &capture["kind"], &capture["amount"], &capture["final"]),
        (&json!("SUCCEEDED"), &json!("CAPTURE"), &json!("30.00"), &json!(false))
    );
    let path = format!("/v1/payments/{payment}/captures/{}", capture["id"].as_str().unwrap());
    assert_eq!(reply.header("location"), Some(path.as_str()));
    assert_eq!(shop.get(&path).await.json(), capture);
    let part = shop.shown(&payment).await;
    assert_eq!(
        (&part["status"], &part["amount_captured"], &part["fee"]),
        (&json!("AUTHORIZED"), &json!("30.00"), &json!("0.87"))
    );

    let reply = shop.capture(&payment, json!({"amount": "20.00", "final": true})).await;
    assert_eq!(reply.json()["status"], "SUCCEEDED");
    let ended = shop.shown(&payment).await;
    assert_eq!(
        (&ended["status"], &ended["amount_captured"], &ended["fee"], &ended["authorized_until"]),
        (&json!("SUCCESS"), &json!("50.00"), &json!("1.45"), &json!(null))
    );
    assert_eq!(shop.events(&payment).await, ["payment.authorized", "payment.captured", "payment.succeeded"]);
    assert_eq!(shop.moved(&payment, "captures").await, [3_000, 2_000]);
    assert_eq!(shop.charge(&payment).await["state"], "taken");
    assert_eq!(shop.clearing(&payment).await.to_string(), "50");
    let list = shop.get(&format!("/v1/payments/{payment}/captures?limit=1")).await.json();
    assert_eq!((&list["data"][0]["amount"], &list["has_more"]), (&json!("20.00"), &json!(true)));
}

#[tokio::test]
async fn a_capture_without_an_amount_takes_all_and_needs_no_body() {
    let shop = Shop::open().await;
    let payment = shop.pay("12.34", "MANUAL").await;
    let capture = shop.capture(&payment, json!({})).await.json();
    assert_eq!((&capture["amount"], &capture["final"]), (&json!("12.34"), &json!(true)));
    assert_eq!(shop.shown(&payment).await["status"], "SUCCESS");
}

#[tokio::test]
async fn what_cannot_be_captured_is_refused_with_the_reason_and_reserves_nothing() {
    let shop = Shop::open().await;
    let (held, taken) = (shop.pay("10.00", "MANUAL").await, shop.pay("10.00", "AUTOMATIC").await);
    for (payment, body, expected) in [
        (&held, json!({"amount": "10.01"}), (422, "amount_exceeds_authorized")),
        (&held, json!({"amount": "0"}), (422, "amount_not_positive")),
        (&held, json!({"amount": "1.001"}), (422, "amount_too_precise")),
        (&held, json!({"amount": "ten"}), (422, "amount_malformed")),
        (&held, json!({"amount": 5}), (400, "invalid_request")),
        (&held, json!({"amonut": "5"}), (400, "invalid_request")),
        (&taken, json!({}), (409, "payment_not_capturable")),
        (&"pay_1".to_owned(), json!({}), (404, "payment_not_found")),
    ] {
        let (status, code) = refused(&shop.capture(payment, body.clone()).await);
        assert_eq!((status, code.as_str()), expected, "{body}");
    }
    assert_eq!(shop.capture(&held, json!({"amount": "10.00"})).await.status, StatusCode::CREATED);
    let other = runtime::ids::PaymentId::at(chrono::Utc::now()).to_string();
    assert_eq!(refused(&shop.capture(&other, json!({})).await), (404, "payment_not_found".into()));
}

#[tokio::test]
async fn what_another_capture_may_still_take_is_refused_only_for_now() {
    let mut shop = Shop::open().await;
    let payment = shop.pay("10.00", "MANUAL").await;
    shop.kill_processor().await;
    let path = format!("/v1/payments/{payment}/captures");
    let first = shop.post_with(&path, &json!({"amount": "6.00"}), "first", 0).await;
    assert_eq!((first.status, first.json()["status"].as_str()), (StatusCode::ACCEPTED, Some("PENDING")));
    for (body, code) in [
        (json!({"amount": "4.01"}), "capture_in_progress"),
        (json!({"amount": "1.00", "final": true}), "capture_in_progress"),
        (json!({"amount": "10.01"}), "amount_exceeds_authorized"),
    ] {
        let reply = shop.post(&path, &body).await;
        let retryable = code == "capture_in_progress";
        assert_eq!((refused(&reply).1.as_str(), reply.json()["retryable"].as_bool()), (code, Some(retryable)));
        assert_eq!(reply.header("retry-after").is_some(), retryable);
    }
    assert_eq!(refused(&shop.cancel(&payment).await), (409, "capture_in_progress".into()));
    assert_eq!(shop.post_with(&path, &json!({"amount": "4.00"}), "second", 0).await.status, StatusCode::ACCEPTED);
    shop.start_processor();
    shop.idle().await;
    assert_eq!(shop.shown(&payment).await["status"], "SUCCESS");
    let again = shop.post_with(&path, &json!({"amount": "6.00"}), "first", 0).await;
    assert_eq!((again.status, &again.bytes), (StatusCode::ACCEPTED, &first.bytes), "the first answer is the answer");
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
}

#[tokio::test]
async fn a_capture_that_the_provider_refuses_leaves_the_payment_as_it_was() {
    let shop = Shop::open().await;
    let payment = shop.pay("10.00", "MANUAL").await;
    shop.expire_at_provider(&payment).await;
    let capture = shop.capture(&payment, json!({"amount": "4.00"})).await.json();
    assert_eq!(capture["status"], "FAILED", "{capture}");
    assert!(capture["error"]["code"].is_string());
    let shown = shop.shown(&payment).await;
    assert_eq!((&shown["status"], &shown["amount_captured"]), (&json!("AUTHORIZED"), &json!("0.00")));
    assert_eq!(shop.clearing(&payment).await.to_string(), "0");
    // What the provider has given free already is free.
    let canceled = shop.cancel(&payment).await;
    assert_eq!((canceled.status, &canceled.json()["status"]), (StatusCode::OK, &json!("CANCELED")));
    assert_eq!(shop.events(&payment).await, ["payment.authorized", "capture.failed", "payment.canceled"]);
}
