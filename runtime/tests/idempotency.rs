//! The same request again and again, at once, across gateways and their deaths: done once, answered with the same bytes.

// A helper that fails is a test that fails.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::HashSet;
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use futures::future::join_all;
use reqwest::{Method, StatusCode};
use runtime::idempotency::{IdempotencyKey, KeyedRequest, Known, RequestHash, Subject, store};
use runtime::ids::PaymentId;
use runtime::money::Money;
use runtime::payments::accept::{ClaimedAtOnce, Offered, accept};
use runtime::payments::{CaptureMethod, NewPayment};
use serde_json::{Value, json};
use support::gateway::{Reply, TestGateway, accepted, send, settle, start};
use support::process::{Running, purser, write_config};
use support::server::free_port;

/// Statuses and bytes, each once.
fn answers(replies: &[Reply]) -> HashSet<(u16, Vec<u8>)> {
    replies.iter().map(|reply| (reply.status.as_u16(), reply.bytes.clone())).collect()
}

async fn pay_at(url: &str, gateway: &TestGateway, key: &str, wait_s: u32) -> Reply {
    let request = reqwest::Client::new().post(format!("{url}/v1/payments")).bearer_auth(&gateway.key);
    let request = request.header("Idempotency-Key", key).header("Prefer", format!("wait={wait_s}"));
    send(request.json(&gateway.payment())).await
}

async fn flush_redis() {
    let client = redis::Client::open(support::redis_url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    redis::cmd("FLUSHALL").query_async::<()>(&mut connection).await.unwrap();
}

#[tokio::test]
async fn a_hundred_calls_at_two_gateways_are_one_payment_though_redis_forgets_everything() {
    let gateway = TestGateway::new().await;
    let urls = [gateway.url.clone(), start(gateway.app.app.clone()).await];
    // A hundred calls at once are met with open connections: on a busy machine, opening them all takes seconds.
    join_all((0..12).map(|_| sqlx::query("select pg_sleep(0.2)").execute(gateway.pool()))).await;
    let calls = (0..100).map(|n| pay_at(&urls[n % 2], &gateway, "k", 20));
    let (replies, ()) = tokio::join!(join_all(calls), async {
        let id = accepted(&gateway).await;
        flush_redis().await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        settle(&gateway, id).await;
    });
    assert_eq!(answers(&replies).len(), 1, "{:?}", replies.iter().map(|reply| reply.status).collect::<Vec<_>>());
    assert_eq!(replies[0].json()["status"], "SUCCESS");
    let first = replies.iter().filter(|reply| reply.header("idempotent-replayed").is_none()).count();
    assert_eq!(first, 1, "one was the first");
    assert_eq!(gateway.rows().await, (1, 1, 1));
    let late = pay_at(&urls[1], &gateway, "k", 0).await;
    assert_eq!(answers(&[late]), answers(&replies), "and so it stays");
}

/// Some give up early and are told so; then that is everyone's answer.
#[tokio::test]
async fn whoever_is_answered_first_decides_for_all() {
    let gateway = TestGateway::new().await;
    let other = start(gateway.app.app.clone()).await;
    let waits = [0, 20, 20, 0, 20, 1];
    let calls = waits.iter().map(|wait| pay_at(&other, &gateway, "k", *wait));
    let (replies, ()) = tokio::join!(join_all(calls), async {
        let id = accepted(&gateway).await;
        tokio::time::sleep(Duration::from_millis(1500)).await;
        settle(&gateway, id).await;
    });
    let all = answers(&replies);
    assert_eq!(all.len(), 1, "{all:?}");
    assert_eq!((replies[1].status, &replies[1].json()["status"]), (StatusCode::ACCEPTED, &json!("PENDING")));
}

/// Ends and 202s that meet in the same moment: every caller of a key hears the same.
#[tokio::test]
async fn an_end_and_the_end_of_patience_at_the_same_moment_are_one_answer() {
    let gateway = TestGateway::new().await;
    let other = start(gateway.app.app.clone()).await;
    for n in 0..12 {
        let key = format!("k{n}");
        let both = async { tokio::join!(pay_at(&gateway.url, &gateway, &key, 1), pay_at(&other, &gateway, &key, 1)) };
        let ((one, two), ()) = tokio::join!(both, async {
            let id = accepted(&gateway).await;
            tokio::time::sleep(Duration::from_millis(920 + 12 * n)).await;
            settle(&gateway, id).await;
        });
        assert_eq!((one.status, &one.bytes), (two.status, &two.bytes));
        let third = pay_at(&other, &gateway, &key, 0).await;
        assert_eq!((one.status, &one.bytes), (third.status, &third.bytes));
        sqlx::raw_sql("truncate transactions, work_items, idempotency_keys").execute(gateway.pool()).await.unwrap();
    }
}

#[tokio::test]
async fn a_key_of_one_path_is_refused_on_another() {
    let gateway = TestGateway::new().await;
    let user = json!({"email": "ada@example.com"});
    assert_eq!(gateway.post_with("/v1/users", &user, "k").await.status, StatusCode::CREATED);
    let reply = gateway.pay_with(&gateway.payment(), "k", 0).await;
    assert_eq!((reply.status.as_u16(), &reply.json()["code"]), (422, &json!("idempotency_key_reused")));
    gateway.pay_with(&gateway.payment(), "p", 0).await;
    let reply = gateway.post_with("/v1/users", &user, "p").await;
    assert_eq!((reply.status.as_u16(), &reply.json()["code"]), (422, &json!("idempotency_key_reused")));
}

#[tokio::test]
async fn a_thing_is_made_once_however_often_it_is_asked_for() {
    let gateway = TestGateway::new().await;
    let user = json!({"email": "ada@example.com", "full_name": "Ada"});
    let replies = join_all((0..30).map(|_| gateway.post_with("/v1/users", &user, "k"))).await;
    assert_eq!(answers(&replies).len(), 1, "{replies:?}");
    assert_eq!(replies[0].status, StatusCode::CREATED);
    assert_eq!(replies.iter().filter(|reply| reply.header("idempotent-replayed").is_none()).count(), 1);
    let method = json!({"user_id": gateway.user, "type": "CREDIT_CARD", "token": "pm_card_visa"});
    let replies = join_all((0..30).map(|_| gateway.post_with("/v1/payment-methods", &method, "m"))).await;
    assert_eq!(answers(&replies).len(), 1, "{replies:?}");
    let made: (i64, i64) = sqlx::query_as(
        "select (select count(*) from users where email = 'ada@example.com'), (select count(*) from payment_methods)",
    )
    .fetch_one(gateway.pool())
    .await
    .unwrap();
    assert_eq!(made, (1, 2));
}

#[tokio::test]
async fn a_request_that_was_refused_leaves_its_key_free() {
    let gateway = TestGateway::new().await;
    let user = json!({"email": "ada@example.com"});
    gateway.post_with("/v1/users", &user, "first").await;
    assert_eq!(gateway.post_with("/v1/users", &user, "k").await.json()["code"], "email_taken");
    let other = json!({"email": "bob@example.com"});
    assert_eq!(gateway.post_with("/v1/users", &other, "k").await.status, StatusCode::CREATED);
}

#[tokio::test]
async fn one_payment_that_the_database_refuses_does_not_take_the_others_of_its_commit_along() {
    let gateway = TestGateway::new().await;
    sqlx::raw_sql("alter table transactions add constraint poison check (description <> 'poison')")
        .execute(gateway.pool())
        .await
        .unwrap();
    let gateway = &gateway;
    let calls = (0..60).map(|n| {
        let mut body = gateway.payment();
        body["description"] = if n % 20 == 7 { json!("poison") } else { json!("order") };
        async move { (gateway.pay(&body).await.status.as_u16(), body["description"] == "poison") }
    });
    for (status, poisoned) in join_all(calls).await {
        assert_eq!(status, if poisoned { 500 } else { 202 });
    }
    assert_eq!(gateway.rows().await, (57, 57, 57));
}

/// A gateway as a process of its own, on the database and Redis of another.
async fn process(gateway: &TestGateway) -> (Running, String, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("purser.yaml");
    write_config(&config, 1);
    let (port, admin) = (free_port(), free_port());
    let mut command = purser(&["gateway", "--address", "127.0.0.1", "--config", config.to_str().unwrap()]);
    command.args(["--gateway-port", &port.to_string(), "--admin-port", &admin.to_string()]);
    command.env("PURSER_DATABASE_URL", &gateway.app.database_url).env("PURSER_CACHE_URL", support::redis_url());
    let running = Running::start(command, admin);
    for _ in 0..500 {
        if reqwest::get(format!("{}/readyz", running.admin)).await.is_ok_and(|response| response.status() == 200) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    (running, format!("http://127.0.0.1:{port}"), folder)
}

#[tokio::test]
async fn a_killed_gateways_callers_get_their_one_payment_from_another_and_after_a_restart() {
    let gateway = TestGateway::new().await;
    let (running, url, _folder) = process(&gateway).await;
    let call = || {
        let request = reqwest::Client::new().post(format!("{url}/v1/payments")).bearer_auth(&gateway.key);
        request.header("Idempotency-Key", "k").header("Prefer", "wait=20").json(&gateway.payment()).send()
    };
    let (cut_off, id): (Vec<_>, PaymentId) = tokio::join!(join_all((0..20).map(|_| call())), async {
        let id = accepted(&gateway).await;
        drop(running);
        id
    });
    assert!(cut_off.iter().all(Result::is_err), "nobody was answered");
    let (other, other_url, _other_folder) = process(&gateway).await;
    let calls = (0..40).map(|n| pay_at(if n % 2 == 0 { &other_url } else { &gateway.url }, &gateway, "k", 20));
    let (replies, ()) = tokio::join!(join_all(calls), async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        settle(&gateway, id).await;
    });
    let all = answers(&replies);
    assert_eq!(all.len(), 1, "{:?}", replies.iter().map(|reply| reply.status).collect::<Vec<_>>());
    assert_eq!((replies[0].status, &replies[0].json()["status"]), (StatusCode::CREATED, &json!("SUCCESS")));
    assert!(replies.iter().all(|reply| reply.header("idempotent-replayed") == Some("true")));
    drop(other);
    let (_again, again_url, _again_folder) = process(&gateway).await;
    assert_eq!(answers(&[pay_at(&again_url, &gateway, "k", 0).await]), all);
    assert_eq!(gateway.rows().await, (1, 1, 1));
}

/// The answer is what the event says, to the byte, whatever happened to the payment since.
#[tokio::test]
async fn a_replay_is_the_answer_of_then_and_not_the_payment_of_now() {
    let gateway = TestGateway::new().await;
    let body = gateway.payment();
    let (first, id) = tokio::join!(gateway.pay_with(&body, "k", 20), async {
        let id = accepted(&gateway).await;
        settle(&gateway, id).await;
        id
    });
    sqlx::query("update transactions set status = 'REFUNDED', sequence = 2").execute(gateway.pool()).await.unwrap();
    let again = gateway.pay_with(&gateway.payment(), "k", 0).await;
    assert_eq!((again.status, &again.bytes), (first.status, &first.bytes));
    let payload: String =
        sqlx::query_scalar("select (payload #> '{data,payment}')::text from events where payment_id = $1")
            .bind(id)
            .fetch_one(gateway.pool())
            .await
            .unwrap();
    assert_eq!(payload.as_bytes(), first.bytes);
    let now: Value = gateway.get(&format!("/v1/payments/{id}")).await.json();
    assert_eq!(now["status"], "REFUNDED");
    let etag = gateway.get(&format!("/v1/payments/{id}")).await.header("etag").unwrap().to_owned();
    let unchanged = gateway.request(Method::GET, &format!("/v1/payments/{id}")).header("If-None-Match", &etag);
    assert_eq!(send(unchanged).await.status, StatusCode::NOT_MODIFIED);
}

/// A gateway whose clock is a day off, either way, is no reason to pay twice.
#[tokio::test]
async fn a_clock_that_was_set_wrong_does_not_end_a_key() {
    let gateway = TestGateway::new().await;
    let pool = gateway.pool();
    let (now, days) = (Utc::now(), TimeDelta::days(2));
    for (key, made_at, asked_at) in [("ahead", now, now + days), ("behind", now - days, now)] {
        let payment = |at| NewPayment {
            id: PaymentId::at(at),
            request: KeyedRequest {
                merchant_id: gateway.merchant,
                key: IdempotencyKey::parse(key.as_bytes()).unwrap(),
                hash: RequestHash::of("POST /v1/payments", &key).unwrap(),
            },
            user_id: gateway.user,
            payment_method_id: gateway.card,
            amount: Money::parse("1.00", "USD".parse().unwrap()).unwrap(),
            capture_method: CaptureMethod::Automatic,
            description: None,
            ip_address: None,
            device_fingerprint: None,
            is_test: false,
        };
        let (first, second) = (payment(made_at), payment(asked_at));
        let claim = ClaimedAtOnce { worker: "nobody".into(), lease: Duration::ZERO, token: 0 };
        let [first_alone, second_alone] = [&first, &second].map(|new| [Offered { new, begun: None }]);
        assert_eq!(accept(pool, &first_alone, "test", &claim).await.unwrap().len(), 1);
        assert!(accept(pool, &second_alone, "test", &claim).await.unwrap().is_empty(), "{key}");
        let known = store::find(pool, &second.request, asked_at).await.unwrap();
        assert_eq!(known, Known::InFlight(Subject::Payment(first.id)), "{key}");
        assert_eq!(store::forget_expired(pool, asked_at).await.unwrap(), 0);
        let mut connection = pool.acquire().await.unwrap();
        assert!(!store::claim(&mut connection, &second.request, None, asked_at).await.unwrap(), "{key}");
    }
}
