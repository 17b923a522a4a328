//! Giving up what was not taken.

use std::time::Duration;

use chrono::Utc;
use reqwest::StatusCode;
use serde_json::json;

use crate::shop::{Shop, refused};
use crate::stage::until;

#[tokio::test]
async fn a_payment_that_nobody_was_asked_about_is_canceled_at_once_and_its_maker_is_told() {
    let mut shop = Shop::without_processor().await;
    let body = shop.payment("10.00", "AUTOMATIC");
    let (made, canceled) = tokio::join!(shop.post_with("/v1/payments", &body, "made", 20), async {
        let find = "select id from transactions";
        until("the payment is accepted", async || {
            sqlx::query(find).fetch_optional(shop.pool()).await.unwrap().is_some()
        })
        .await;
        let id: runtime::ids::PaymentId = sqlx::query_scalar(find).fetch_one(shop.pool()).await.unwrap();
        shop.post_with(&format!("/v1/payments/{id}/cancel"), &json!({"reason": "changed my mind"}), "canceled", 0).await
    });
    assert_eq!((canceled.status, &canceled.json()["status"]), (StatusCode::OK, &json!("CANCELED")));
    assert_eq!((made.status, made.json()), (StatusCode::CREATED, canceled.json()));
    let payment = made.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(shop.shown(&payment).await, made.json());
    assert_eq!(shop.events(&payment).await, ["payment.canceled"]);
    let path = format!("/v1/payments/{payment}/cancel");
    let again = shop.post_with(&path, &json!({"reason": "changed my mind"}), "canceled", 0).await;
    assert_eq!((again.status, again.bytes), (StatusCode::OK, canceled.bytes));
    assert_eq!(refused(&shop.cancel(&payment).await), (409, "payment_not_cancelable".into()));
    // Nothing is left that a processor could charge.
    shop.start_processor();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(shop.provider.charges().await.is_empty());
}

#[tokio::test]
async fn a_payment_whose_outcome_is_open_is_not_canceled() {
    let shop = Shop::open().await;
    shop.slow(Duration::from_millis(1500)).await;
    let (made, ()) = tokio::join!(shop.pay("10.00", "AUTOMATIC"), async {
        let sent = "select payment_id from payment_attempts";
        until("the provider is asked", async || sqlx::query(sent).fetch_optional(shop.pool()).await.unwrap().is_some())
            .await;
        let id: runtime::ids::PaymentId = sqlx::query_scalar(sent).fetch_one(shop.pool()).await.unwrap();
        let reply = shop.cancel(&id.to_string()).await;
        assert_eq!(
            (refused(&reply), reply.json()["retryable"].as_bool()),
            ((409, "payment_processing".into()), Some(true))
        );
    });
    assert_eq!(shop.shown(&made).await["status"], "SUCCESS");
}

#[tokio::test]
async fn a_held_amount_is_given_free_once() {
    let shop = Shop::open().await;
    let payment = shop.pay("10.00", "MANUAL").await;
    let path = format!("/v1/payments/{payment}/cancel");
    let canceled = shop.post_with(&path, &json!({}), "k", 20).await;
    assert_eq!((canceled.status, &canceled.json()["status"]), (StatusCode::OK, &json!("CANCELED")), "{canceled:?}");
    let again = shop.post_with(&path, &json!({}), "k", 20).await;
    assert_eq!((again.status, again.bytes), (StatusCode::OK, canceled.bytes));
    assert_eq!(shop.events(&payment).await, ["payment.authorized", "payment.canceled"]);
    assert_eq!(shop.charge(&payment).await["state"], "canceled");
    assert_eq!(refused(&shop.capture(&payment, json!({})).await), (409, "payment_not_capturable".into()));
}

#[tokio::test]
async fn while_a_payment_is_being_canceled_nothing_of_it_is_captured() {
    let mut shop = Shop::open().await;
    let payment = shop.pay("10.00", "MANUAL").await;
    shop.kill_processor().await;
    let path = format!("/v1/payments/{payment}/cancel");
    let canceling = shop.post_with(&path, &json!({}), "k", 0).await;
    assert_eq!((canceling.status, &canceling.json()["status"]), (StatusCode::ACCEPTED, &json!("AUTHORIZED")));
    assert_eq!(refused(&shop.capture(&payment, json!({})).await), (409, "cancel_in_progress".into()));
    assert_eq!(refused(&shop.cancel(&payment).await), (409, "cancel_in_progress".into()));
    shop.start_processor();
    shop.idle().await;
    assert_eq!(shop.shown(&payment).await["status"], "CANCELED");
}

#[tokio::test]
async fn an_authorization_whose_time_is_over_is_not_captured_and_is_given_up() {
    let mut shop = Shop::open().await;
    let (none, some) = (shop.pay("10.00", "MANUAL").await, shop.pay("10.00", "MANUAL").await);
    let kept = shop.pay("10.00", "MANUAL").await;
    shop.capture(&some, json!({"amount": "4.00"})).await;
    shop.kill_processor().await;
    for payment in [&none, &some] {
        let id: runtime::ids::PaymentId = payment.parse().unwrap();
        let query = "update transactions set authorized_until = $2 where id = $1";
        sqlx::query(query).bind(id).bind(Utc::now()).execute(shop.pool()).await.unwrap();
        assert_eq!(refused(&shop.capture(payment, json!({})).await), (409, "authorization_expired".into()));
    }
    shop.start_processor();
    for (payment, status) in [(&none, "CANCELED"), (&some, "SUCCESS")] {
        until("it is given up", async || shop.shown(payment).await["status"] == status).await;
    }
    assert_eq!(shop.shown(&kept).await["status"], "AUTHORIZED");
    assert_eq!(shop.events(&some).await, ["payment.authorized", "payment.captured", "payment.succeeded"]);
    let reasons: Vec<String> =
        sqlx::query_scalar("select reason from operations where kind = 'VOID'").fetch_all(shop.pool()).await.unwrap();
    assert_eq!(reasons, ["authorization expired"; 2]);
    assert_eq!(shop.charge(&none).await["state"], "canceled");
}
