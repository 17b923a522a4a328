//! What the API accepts, and how often the same request counts.

// A helper that fails is a test that fails.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::HashSet;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use futures::future::join_all;
use reqwest::StatusCode;
use runtime::idempotency::{self, Answer, IdempotencyKey, KeyedRequest, RequestHash, Subject};
use runtime::ids::PaymentId;
use runtime::payments::{self, Status};
use serde_json::{Value, json};
use support::gateway::{TestGateway, accepted, settle, start};

#[tokio::test]
async fn what_is_accepted_is_committed_with_its_key_and_its_work() {
    let gateway = TestGateway::new().await;
    let mut body = gateway.payment();
    body["description"] = json!("order 4711");
    body["context"] = json!({"ip_address": "203.0.113.7", "device_fingerprint": "abc"});
    let reply = gateway.pay(&body).await;
    assert_eq!(reply.status, StatusCode::ACCEPTED);
    let shown = reply.json();
    assert_eq!(
        (&shown["status"], &shown["amount"], &shown["currency"]),
        (&json!("PENDING"), &json!("10.50"), &json!("USD"))
    );
    assert_eq!(shown["user_id"], json!(gateway.user));
    let id: PaymentId = shown["id"].as_str().unwrap().parse().unwrap();
    assert_eq!(reply.header("location"), Some(format!("/v1/payments/{id}").as_str()));
    assert_eq!(reply.header("preference-applied"), Some("wait=0"));

    assert_eq!(gateway.rows().await, (1, 1, 1));
    let (created_at, t_start, release): (DateTime<Utc>, DateTime<Utc>, String) =
        sqlx::query_as("select created_at, t_start, release from transactions")
            .fetch_one(gateway.pool())
            .await
            .unwrap();
    assert_eq!((created_at, t_start, release.as_str()), (id.created_at(), id.created_at(), support::RELEASE));
    let item: (uuid::Uuid, DateTime<Utc>, i32) =
        sqlx::query_as("select payment_id, payment_created_at, attempt from work_items")
            .fetch_one(gateway.pool())
            .await
            .unwrap();
    assert_eq!(item, (id.as_uuid(), created_at, 0));
    assert_eq!(gateway.get(&format!("/v1/payments/{id}")).await.json(), shown);
    let stored = payments::store::load(gateway.pool(), id).await.unwrap().unwrap();
    assert_eq!(
        (stored.status, stored.amount.minor(), stored.ip_address.as_deref()),
        (Status::Pending, 1050, Some("203.0.113.7"))
    );
}

#[tokio::test]
async fn a_payment_that_ends_in_time_is_answered_with_its_end() {
    let gateway = TestGateway::new().await;
    let body = gateway.payment();
    let begin = Instant::now();
    let (reply, ()) = tokio::join!(gateway.pay_with(&body, "k", 10), async {
        let id = accepted(&gateway).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        settle(&gateway, id).await;
    });
    assert!(begin.elapsed() < Duration::from_secs(5), "told, or rescued within a second");
    assert_eq!(reply.status, StatusCode::CREATED);
    let shown = reply.json();
    assert_eq!(
        (&shown["status"], &shown["fee"], &shown["latency_ms"]),
        (&json!("SUCCESS"), &json!("0.30"), &json!(250))
    );
    assert_eq!(reply.header("idempotent-replayed"), None);
}

#[tokio::test]
async fn those_who_wait_are_told_rather_than_left_to_look() {
    let gateway = TestGateway::new().await;
    let mut took = Vec::new();
    for n in 0..3 {
        let (body, key) = (gateway.payment(), format!("k{n}"));
        let told = async {
            let id = accepted(&gateway).await;
            tokio::time::sleep(Duration::from_millis(150)).await;
            let settled_at = Instant::now();
            settle(&gateway, id).await;
            settled_at
        };
        let (ended, settled_at) =
            tokio::join!(async { (gateway.pay_with(&body, &key, 10).await, Instant::now()) }, told);
        assert_eq!(ended.0.status, StatusCode::CREATED);
        took.push(ended.1 - settled_at);
        sqlx::raw_sql("truncate transactions, work_items, idempotency_keys").execute(gateway.pool()).await.unwrap();
    }
    // A look comes once a second, so three lucky looks in a row are out of the question.
    assert!(took.iter().all(|took| *took < Duration::from_millis(400)), "{took:?}");
}

#[tokio::test]
async fn the_first_answer_is_given_again_byte_for_byte() {
    let gateway = TestGateway::new().await;
    let first = gateway.pay_with(&gateway.payment(), "k", 0).await;
    let id: PaymentId = first.json()["id"].as_str().unwrap().parse().unwrap();
    settle(&gateway, id).await;
    let mut reordered = json!({"payment_method_id": gateway.card, "currency": "USD"});
    reordered["amount"] = json!("10.5");
    let second = gateway.pay_with(&reordered, "k", 5).await;
    assert_eq!((second.status, &second.bytes), (first.status, &first.bytes));
    assert_eq!(second.header("location"), first.header("location"));
    assert_eq!(second.header("idempotent-replayed"), Some("true"));
    assert_eq!(gateway.rows().await.0, 1);
}

#[tokio::test]
async fn the_same_key_with_another_body_is_refused() {
    let gateway = TestGateway::new().await;
    gateway.pay_with(&gateway.payment(), "k", 0).await;
    let mut other = gateway.payment();
    other["amount"] = json!("10.51");
    let reply = gateway.pay_with(&other, "k", 0).await;
    assert_eq!((reply.status.as_u16(), &reply.json()["code"]), (422, &json!("idempotency_key_reused")));
    assert_eq!(gateway.rows().await, (1, 1, 1));
}

#[tokio::test]
async fn a_replay_comes_before_every_check_of_the_world() {
    let gateway = TestGateway::new().await;
    let first = gateway.pay_with(&gateway.payment(), "k", 0).await;
    sqlx::query("update users set status = 'BLOCKED'").execute(gateway.pool()).await.unwrap();
    let second = gateway.pay_with(&gateway.payment(), "k", 0).await;
    assert_eq!((second.status, &second.bytes), (first.status, &first.bytes));
}

#[tokio::test]
async fn fifty_calls_with_one_key_are_one_payment_and_one_answer() {
    let gateway = TestGateway::new().await;
    // Two gateways, so that no memory of one process decides.
    let other = start(gateway.app.app.clone()).await;
    let urls = [gateway.url.clone(), other];
    let body = gateway.payment();
    let calls = (0..50).map(|n| {
        let request = reqwest::Client::new().post(format!("{}/v1/payments", urls[n % 2])).bearer_auth(&gateway.key);
        support::gateway::send(request.header("Idempotency-Key", "k").header("Prefer", "wait=10").json(&body))
    });
    let (replies, ()) = tokio::join!(join_all(calls), async {
        let id = accepted(&gateway).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        settle(&gateway, id).await;
    });
    let answers: HashSet<(u16, Vec<u8>)> =
        replies.iter().map(|reply| (reply.status.as_u16(), reply.bytes.clone())).collect();
    assert_eq!(answers.len(), 1, "{:?}", replies.iter().map(|reply| reply.status).collect::<Vec<_>>());
    assert_eq!(replies[0].json()["status"], "SUCCESS");
    assert_eq!(
        replies.iter().filter(|reply| reply.header("idempotent-replayed").is_none()).count(),
        1,
        "one was the first"
    );
    assert_eq!(gateway.rows().await, (1, 1, 1));
}

#[tokio::test]
async fn a_key_is_free_again_when_its_time_is_over() {
    let gateway = TestGateway::new().await;
    let first = gateway.pay_with(&gateway.payment(), "k", 0).await;
    sqlx::query("update idempotency_keys set expires_at = now() - interval '1 s'")
        .execute(gateway.pool())
        .await
        .unwrap();
    let second = gateway.pay_with(&gateway.payment(), "k", 0).await;
    assert_ne!(first.json()["id"], second.json()["id"]);
    assert_eq!(gateway.rows().await, (2, 1, 2));
    sqlx::query("update idempotency_keys set expires_at = now() - interval '1 s'")
        .execute(gateway.pool())
        .await
        .unwrap();
    assert_eq!(idempotency::store::forget_expired(gateway.pool(), Utc::now()).await.unwrap(), 1);
    assert_eq!(gateway.rows().await, (2, 0, 2));
}

/// A day-old request that was never answered is repeated at the very moment its key runs out.
#[tokio::test]
async fn an_answer_that_comes_too_late_for_its_key_does_not_become_another_payments_answer() {
    let gateway = TestGateway::new().await;
    let late = Answer { status: 201, location: "/v1/payments/old".into(), body: b"old".to_vec() };
    let key = IdempotencyKey::parse(b"k").unwrap();
    let hash = RequestHash::of("POST /v1/payments", &"anything").unwrap();
    let request = KeyedRequest { merchant_id: gateway.merchant, key, hash };
    let old = Subject::Payment(PaymentId::at(Utc::now()));
    let keep = async || idempotency::store::keep(gateway.pool(), &request, Some(old), &late).await;
    assert_eq!(keep().await.unwrap(), late, "the key was forgotten");
    let body = gateway.payment();
    let new = gateway.pay_with(&body, "k", 0).await;
    sqlx::query("update idempotency_keys set response_status = null, response_headers = null, response_body = null")
        .execute(gateway.pool())
        .await
        .unwrap();
    assert_eq!(keep().await.unwrap(), late, "the key stands for another payment");
    assert_eq!(gateway.pay_with(&body, "k", 0).await.json()["id"], new.json()["id"]);
}

#[tokio::test]
async fn a_gateway_that_is_told_to_stop_answers_those_who_wait() {
    let gateway = TestGateway::new().await;
    let body = gateway.payment();
    let begin = Instant::now();
    let (reply, ()) = tokio::join!(gateway.pay_with(&body, "k", 30), async {
        accepted(&gateway).await;
        gateway.app.app.shutdown.cancel();
    });
    assert_eq!((reply.status, &reply.json()["status"]), (StatusCode::ACCEPTED, &json!("PENDING")));
    assert!(begin.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn those_who_wait_at_a_gateway_that_leaves_get_the_end_of_their_payment() {
    let gateway = TestGateway::new().await;
    let body = gateway.payment();
    let (reply, ()) = tokio::join!(gateway.pay_with(&body, "k", 30), async {
        let id = accepted(&gateway).await;
        gateway.app.app.leaving.cancel();
        tokio::time::sleep(Duration::from_millis(200)).await;
        settle(&gateway, id).await;
    });
    assert_eq!((reply.status, reply.header("connection")), (StatusCode::CREATED, Some("close")));
    assert_eq!(gateway.pay(&body).await.status, StatusCode::ACCEPTED, "it goes on taking payments");
}

#[tokio::test]
async fn a_new_default_takes_the_place_of_the_old_one() {
    let gateway = TestGateway::new().await;
    let method = json!({"user_id": gateway.user, "type": "DEBIT_CARD", "token": "pm_card_visa", "last_four": "4242", "is_default": true});
    let ids: Vec<Value> =
        [gateway.post("/v1/payment-methods", &method).await, gateway.post("/v1/payment-methods", &method).await]
            .iter()
            .map(|reply| reply.json()["id"].clone())
            .collect();
    let defaults: Vec<runtime::ids::PaymentMethodId> =
        sqlx::query_scalar("select id from payment_methods where is_default").fetch_all(gateway.pool()).await.unwrap();
    assert_eq!(json!(defaults), json!([ids[1]]));
}
