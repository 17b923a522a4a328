//! A merchant that is suspended owes its customers what it took and what it holds.

use chrono::Utc;
use reqwest::StatusCode;
use runtime::administration::{Actor, merchants};
use runtime::ids::PaymentId;
use runtime::merchants::Status;
use serde_json::json;

use crate::shop::{Shop, refused};
use crate::stage::until;

/// As an administrator would, until every part of the platform knows.
async fn set_status(shop: &Shop, status: Status) {
    let id = sqlx::query_scalar("select merchant_id from transactions limit 1").fetch_one(shop.pool()).await.unwrap();
    let actor = Actor::new("Grace", Some("unpaid bills".to_owned())).unwrap();
    merchants::set_status(shop.pool(), &actor, id, status).await.unwrap();
    let nothing = format!("/v1/payments/{}/captures", PaymentId::at(Utc::now()));
    let is_known =
        async || (refused(&shop.post(&nothing, &json!({})).await) == not_active()) == (status != Status::Active);
    until("its status is known", is_known).await;
}

fn not_active() -> (u16, String) {
    (403, "merchant_not_active".to_owned())
}

#[tokio::test]
async fn a_suspended_merchant_takes_nothing_and_gives_back_what_it_has() {
    let shop = Shop::open().await;
    let (held, partly, taken) =
        (shop.pay("10.00", "MANUAL").await, shop.pay("10.00", "MANUAL").await, shop.pay("10.00", "AUTOMATIC").await);
    let captures = format!("/v1/payments/{partly}/captures");
    let captured = shop.post_with(&captures, &json!({"amount": "4.00"}), "shipped", 20).await;
    assert_eq!(captured.status, StatusCode::CREATED);
    let body = shop.payment("1.00", "AUTOMATIC");
    let paid = shop.post_with("/v1/payments", &body, "order-1", 20).await;
    set_status(&shop, Status::Suspended).await;

    let before: i64 = sqlx::query_scalar("select count(*) from transactions").fetch_one(shop.pool()).await.unwrap();
    assert_eq!(refused(&shop.post("/v1/payments", &body).await), not_active());
    assert_eq!(refused(&shop.capture(&held, json!({})).await), not_active());
    let after: i64 = sqlx::query_scalar("select count(*) from transactions").fetch_one(shop.pool()).await.unwrap();
    assert_eq!((before, after), (4, 4));
    assert_eq!(shop.moved(&held, "captures").await, [0; 0]);
    // What was accepted before is answered as it was.
    for (path, body, key, first) in
        [("/v1/payments", &body, "order-1", &paid), (&captures, &json!({"amount": "4.00"}), "shipped", &captured)]
    {
        let again = shop.post_with(path, body, key, 20).await;
        assert_eq!((again.status, &again.bytes), (first.status, &first.bytes));
        assert_eq!(again.header("idempotent-replayed"), Some("true"));
    }

    let refund = shop.refund(json!({"payment_id": taken, "amount": "3.00"})).await;
    assert_eq!((refund.status, &refund.json()["status"]), (StatusCode::CREATED, &json!("SUCCEEDED")), "{refund:?}");
    assert_eq!(shop.refund(json!({"payment_id": partly})).await.json()["amount"], "4.00");
    assert_eq!(shop.cancel(&held).await.json()["status"], "CANCELED");
    assert_eq!(shop.cancel(&partly).await.json()["status"], "REFUNDED");
    assert_eq!((shop.moved(&taken, "refunds").await, shop.moved(&partly, "refunds").await), (vec![300], vec![400]));
    assert_eq!(shop.shown(&taken).await["amount_refunded"], "3.00");
    for path in ["/v1/payments", "/v1/refunds", "/v1/events", "/v1/balance"] {
        assert_eq!(shop.get(path).await.status, StatusCode::OK, "{path}");
    }

    set_status(&shop, Status::Active).await;
    assert_eq!(shop.post("/v1/payments", &body).await.status, StatusCode::CREATED);
}

#[tokio::test]
async fn an_inactive_merchant_reads_and_does_nothing() {
    let shop = Shop::open().await;
    let (held, taken) = (shop.pay("10.00", "MANUAL").await, shop.pay("10.00", "AUTOMATIC").await);
    set_status(&shop, Status::Inactive).await;
    assert_eq!(refused(&shop.refund(json!({"payment_id": taken})).await), not_active());
    assert_eq!(refused(&shop.cancel(&held).await), not_active());
    assert_eq!(shop.shown(&taken).await["status"], "SUCCESS");
    assert_eq!(shop.events(&taken).await, ["payment.succeeded"]);
}
