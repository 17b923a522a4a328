//! Giving back what was taken.

use futures::future::join_all;
use reqwest::StatusCode;
use runtime::ledger::verify::verify;
use serde_json::json;

use crate::shop::{Shop, refused};
use crate::support::gateway::{merchant, send};

#[tokio::test]
async fn a_payment_is_refunded_in_parts_and_then_whole() {
    let shop = Shop::open().await;
    let payment = shop.pay("100.00", "AUTOMATIC").await;
    let reply = shop.refund(json!({"payment_id": payment, "amount": "30.00", "reason": "one shoe"})).await;
    assert_eq!(reply.status, StatusCode::CREATED, "{reply:?}");
    let refund = reply.json();
    assert_eq!((&refund["status"], &refund["reason"]), (&json!("SUCCEEDED"), &json!("one shoe")));
    let path = format!("/v1/refunds/{}", refund["id"].as_str().unwrap());
    assert_eq!(reply.header("location"), Some(path.as_str()));
    assert_eq!(shop.get(&path).await.json(), refund);
    assert_eq!(shop.shown(&payment).await["status"], "PARTIALLY_REFUNDED");

    let rest = shop.refund(json!({"payment_id": payment})).await.json();
    assert_eq!(rest["amount"], "70.00");
    let shown = shop.shown(&payment).await;
    assert_eq!(
        (&shown["status"], &shown["amount_refunded"], &shown["fee"]),
        (&json!("REFUNDED"), &json!("100.00"), &json!("2.90")),
        "the fee is kept"
    );
    assert_eq!(shop.events(&payment).await, ["payment.succeeded", "payment.partially_refunded", "payment.refunded"]);
    assert_eq!(shop.moved(&payment, "refunds").await, [3_000, 7_000]);
    assert_eq!(shop.clearing(&payment).await.to_string(), "0");
    assert_eq!(refused(&shop.refund(json!({"payment_id": payment})).await), (409, "payment_not_refundable".into()));
    let listed = shop.get(&format!("/v1/refunds?payment_id={payment}")).await.json();
    assert_eq!(listed["data"], json!([rest, refund]), "the newest first");
    assert_eq!(shop.get("/v1/refunds?payment_id=pay_1").await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn what_was_captured_goes_back_while_the_rest_is_held() {
    let shop = Shop::open().await;
    let payment = shop.pay("100.00", "MANUAL").await;
    assert_eq!(refused(&shop.refund(json!({"payment_id": payment})).await), (409, "payment_not_refundable".into()));
    let capture = shop.capture(&payment, json!({"amount": "40.00"})).await.json();
    let refund = shop.refund(json!({"payment_id": payment, "amount": "15.00"})).await.json();
    assert_eq!((&refund["status"], &refund["capture_id"]), (&json!("SUCCEEDED"), &capture["id"]));
    let shown = shop.shown(&payment).await;
    assert_eq!((&shown["status"], &shown["amount_refunded"]), (&json!("AUTHORIZED"), &json!("15.00")));
    let over = shop.refund(json!({"payment_id": payment, "amount": "25.01"})).await;
    assert_eq!(refused(&over), (422, "amount_exceeds_captured".into()));
    assert_eq!(shop.cancel(&payment).await.json()["status"], "PARTIALLY_REFUNDED", "what is left is free");
    assert_eq!(shop.charge(&payment).await["state"], "taken");
}

#[tokio::test]
async fn a_refund_of_nothing_of_ours_is_refused() {
    let shop = Shop::open().await;
    let payment = shop.pay("10.00", "AUTOMATIC").await;
    let unknown = runtime::ids::PaymentId::at(chrono::Utc::now());
    assert_eq!(refused(&shop.refund(json!({"payment_id": unknown})).await), (422, "payment_not_found".into()));
    let long = json!({"payment_id": payment, "reason": "x".repeat(501)});
    assert_eq!(refused(&shop.refund(long).await), (422, "invalid_field".into()));
    let refund = shop.refund(json!({"payment_id": payment, "amount": "1.00"})).await.json();

    // Another merchant sees none of it.
    let (_, key) = merchant_of_another_shop(&shop).await;
    let ours = |path: String| send(reqwest::Client::new().get(path).bearer_auth(&key));
    let id = refund["id"].as_str().unwrap();
    assert_eq!(ours(format!("{}/v1/refunds/{id}", shop.url())).await.status, StatusCode::NOT_FOUND);
    let listed = ours(format!("{}/v1/refunds?payment_id={payment}", shop.url())).await.json();
    assert_eq!(listed["data"], json!([]));
    let captures = ours(format!("{}/v1/payments/{payment}/captures", shop.url())).await;
    assert_eq!(captures.status, StatusCode::NOT_FOUND);
    let request = reqwest::Client::new().post(format!("{}/v1/payments/{payment}/cancel", shop.url()));
    let canceled = send(request.bearer_auth(&key).header("Idempotency-Key", "k")).await;
    assert_eq!(canceled.status, StatusCode::NOT_FOUND);
}

async fn merchant_of_another_shop(shop: &Shop) -> (runtime::ids::MerchantId, String) {
    sqlx::query("update merchants set email = 'first@example.com'").execute(shop.pool()).await.unwrap();
    merchant(shop.pool()).await
}

#[tokio::test]
async fn a_hundred_simultaneous_calls_with_one_key_make_one_refund_and_a_hundred_equal_answers() {
    let shop = Shop::open().await;
    let payment = shop.pay("100.00", "AUTOMATIC").await;
    let body = json!({"payment_id": payment, "amount": "1.00"});
    let calls = (0..100).map(|_| shop.post_with("/v1/refunds", &body, "one-key", 20));
    let replies = join_all(calls).await;
    for reply in &replies {
        assert_eq!((reply.status, &reply.bytes), (StatusCode::CREATED, &replies[0].bytes), "{reply:?}");
    }
    let first = replies.iter().filter(|reply| reply.header("idempotent-replayed").is_none()).count();
    assert_eq!(first, 1);
    assert_eq!(shop.moved(&payment, "refunds").await, [100]);
    assert_eq!(shop.shown(&payment).await["amount_refunded"], "1.00");
    let other = json!({"payment_id": payment, "amount": "2.00"});
    let reused = (422, "idempotency_key_reused".to_owned());
    assert_eq!(refused(&shop.post_with("/v1/refunds", &other, "one-key", 0).await), reused);
    let elsewhere = shop.post_with(&format!("/v1/payments/{payment}/cancel"), &json!({}), "one-key", 0).await;
    assert_eq!(refused(&elsewhere), reused, "the same key on another path is another request");
}

/// The release before this one wrote no sums and no journals.
#[tokio::test]
async fn a_payment_of_an_earlier_release_is_refunded_and_the_ledger_stays_right() {
    let shop = Shop::open().await;
    let payment = shop.pay("10.00", "AUTOMATIC").await;
    let mut connection = shop.pool().acquire().await.unwrap();
    sqlx::raw_sql(
        "set session_replication_role = replica; delete from ledger_entries;
         update transactions set amount_authorized = null, amount_captured = null; set session_replication_role = origin",
    )
    .execute(&mut *connection)
    .await
    .unwrap();
    for (amount, status) in [("4.00", "PARTIALLY_REFUNDED"), ("6.00", "REFUNDED")] {
        let refund = shop.refund(json!({"payment_id": payment, "amount": amount})).await;
        assert_eq!(refund.json()["status"], "SUCCEEDED", "{refund:?}");
        let shown = shop.shown(&payment).await;
        assert_eq!((&shown["status"], &shown["amount_captured"]), (&json!(status), &json!("10.00")));
        assert_eq!(verify(&mut connection).await.unwrap().findings, [], "{status}");
    }
    assert_eq!(shop.refund(json!({"payment_id": payment, "amount": "0.01"})).await.status.as_u16(), 422);
    assert_eq!(shop.moved(&payment, "refunds").await, [400, 600]);
}
