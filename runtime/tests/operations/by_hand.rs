//! What a person says of captures, refunds and voids that nobody else knows the outcome of.

use reqwest::StatusCode;
use runtime::administration::attempts::{self, ResolvedJson, Subject};
use runtime::administration::{Actor, AdminError};
use runtime::payments::Status;
use runtime::processor::resolve::Finding;
use serde_json::json;

use crate::shop::{Shop, refused};

const PARK: &str = "update operation_items set parked_at = now(), last_error = 'past all patience'";

async fn resolve(shop: &Shop, id: &str, finding: Finding) -> Result<ResolvedJson, AdminError> {
    let actor = Actor::new("Grace", Some("seen at Stripe".to_owned())).unwrap();
    attempts::resolve(shop.pool(), &actor, id.parse::<Subject>()?, &finding, "test").await
}

fn approved() -> Finding {
    Finding::Approved { reference: "re_seen".to_owned(), authorized_until: None }
}

fn declined() -> Finding {
    Finding::Declined { code: "not_done".to_owned(), message: "of a payment".to_owned() }
}

/// Something accepted that waits for a person: its id.
async fn parked(shop: &Shop, path: &str, body: serde_json::Value) -> String {
    let reply = shop.post_with(path, &body, "k", 0).await;
    assert_eq!(reply.status, StatusCode::ACCEPTED, "{reply:?}");
    sqlx::query(PARK).execute(shop.pool()).await.unwrap();
    reply.json()["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_refund_that_was_seen_at_the_provider_is_ended_with_all_that_follows_from_it() {
    let mut shop = Shop::open().await;
    let payment = shop.pay("10.00", "AUTOMATIC").await;
    shop.kill_processor().await;
    let refund = parked(&shop, "/v1/refunds", json!({"payment_id": payment, "amount": "4.00"})).await;
    let resolved = resolve(&shop, &refund, approved()).await.unwrap();
    assert_eq!(resolved.status, Status::PartiallyRefunded);
    assert_eq!(shop.shown(&payment).await["amount_refunded"], "4.00");
    assert_eq!(shop.events(&payment).await, ["payment.succeeded", "payment.partially_refunded"]);
    assert_eq!(shop.clearing(&payment).await.to_string(), "6");
    let shown = shop.get(&format!("/v1/refunds/{refund}")).await.json();
    assert_eq!(shown["status"], "SUCCEEDED");
    let done: (String, String, Option<String>) =
        sqlx::query_as("select actor, action, reason from admin_actions").fetch_one(shop.pool()).await.unwrap();
    assert_eq!(done, ("Grace".to_owned(), "operation.resolved".to_owned(), Some("seen at Stripe".to_owned())));
    shop.idle().await;
    let again = resolve(&shop, &refund, declined()).await.unwrap_err();
    assert!(matches!(again, AdminError::Conflict(_)), "only once: {again}");
}

#[tokio::test]
async fn a_capture_that_the_provider_never_made_gives_back_what_it_reserved() {
    let mut shop = Shop::open().await;
    let payment = shop.pay("10.00", "MANUAL").await;
    shop.kill_processor().await;
    let path = format!("/v1/payments/{payment}/captures");
    let capture = parked(&shop, &path, json!({"amount": "4.00"})).await;
    resolve(&shop, &capture, declined()).await.unwrap();
    let shown = shop.get(&format!("{path}/{capture}")).await.json();
    assert_eq!((&shown["status"], &shown["error"]["code"]), (&json!("FAILED"), &json!("not_done")));
    assert_eq!(shop.events(&payment).await, ["payment.authorized", "capture.failed"]);
    shop.start_processor();
    assert_eq!(shop.capture(&payment, json!({})).await.json()["amount"], "10.00");
}

#[tokio::test]
async fn what_a_processor_has_in_work_or_has_yet_to_begin_is_not_resolved() {
    let mut shop = Shop::open().await;
    let payment = shop.pay("10.00", "AUTOMATIC").await;
    shop.kill_processor().await;
    let reply = shop.post_with("/v1/refunds", &json!({"payment_id": payment}), "k", 0).await;
    let refund = reply.json()["id"].as_str().unwrap().to_owned();
    let error = resolve(&shop, &refund, approved()).await.unwrap_err();
    assert!(matches!(&error, AdminError::Conflict(why) if why.contains("open")), "{error}");
    sqlx::query("update operations set sent_at = now()").execute(shop.pool()).await.unwrap();
    sqlx::query("update operation_items set leased_by = 'w', leased_until = now() + interval '1 minute'")
        .execute(shop.pool())
        .await
        .unwrap();
    let error = resolve(&shop, &refund, approved()).await.unwrap_err();
    assert!(matches!(&error, AdminError::Conflict(why) if why.contains("right now")), "{error}");
    assert_eq!(shop.events(&payment).await, ["payment.succeeded"]);
}

#[tokio::test]
async fn an_amount_that_means_the_same_is_the_same_request() {
    let shop = Shop::open().await;
    let payment = shop.pay("10.00", "MANUAL").await;
    let path = format!("/v1/payments/{payment}/captures");
    let first = shop.post_with(&path, &json!({"amount": "4.50"}), "c", 20).await;
    let again = shop.post_with(&path, &json!({"amount": "4.5"}), "c", 20).await;
    assert_eq!((again.status, again.header("idempotent-replayed")), (first.status, Some("true")), "{again:?}");
    let other = shop.post_with(&path, &json!({"amount": "45"}), "c", 20).await;
    assert_eq!(refused(&other), (422, "idempotency_key_reused".to_owned()));
    let refund = |amount: &str| json!({"payment_id": payment, "amount": amount});
    let first = shop.post_with("/v1/refunds", &refund("1.00"), "r", 20).await;
    let again = shop.post_with("/v1/refunds", &refund("1"), "r", 20).await;
    assert_eq!((again.status, &again.bytes), (first.status, &first.bytes));
}
