//! More payments than can be committed: new ones are turned away before anything is done, and the rest goes on.

// A helper that fails is a test that fails.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::HashSet;
use std::time::Duration;

use axum::body::Body;
use http::{HeaderMap, Request, StatusCode};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use runtime::ids::PaymentId;
use serde_json::{Value, json};
use support::gateway::{TestGateway, accepted, settle};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// Requests of one gateway that may be in work, and the share of them from which on new payments are turned away.
const TURNED_AWAY_FROM: usize = 1_400;
/// Payments that come at once: so many more than that.
const FLOOD: usize = TURNED_AWAY_FROM + 300;
/// Below what a gateway allows within one connection.
const STREAMS: usize = 100;

/// No payment is committed while the brake is on. What else is written is not held up.
const BRAKE: &str = "
    create table brake as select 1;
    create function brake() returns trigger language plpgsql as $$
    begin
        while exists (select from brake) loop
            perform pg_sleep(0.02);
        end loop;
        return null;
    end $$;
    create trigger brake before insert on work_items for each statement execute function brake();";

/// One answer: the key that was asked with, and what came back.
struct Answer {
    key: String,
    status: StatusCode,
    headers: HeaderMap,
    body: Value,
}

/// Sends payments over as many HTTP/2 connections as they need, each with a key of its own.
async fn flood(gateway: &TestGateway) -> JoinSet<Answer> {
    let address = gateway.url.strip_prefix("http://").unwrap();
    let mut answers = JoinSet::new();
    for first in (0..FLOOD).step_by(STREAMS) {
        let stream = TcpStream::connect(address).await.unwrap();
        let (requests, connection) =
            http2::handshake::<_, _, Body>(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        for number in first..FLOOD.min(first + STREAMS) {
            answers.spawn(pay(
                requests.clone(),
                format!("flood-{number}"),
                payment(gateway, &format!("flood-{number}")),
            ));
        }
    }
    answers
}

fn payment(gateway: &TestGateway, key: &str) -> Request<Body> {
    let request = Request::post(format!("{}/v1/payments", gateway.url)).header("prefer", "wait=30");
    let request = request.header("authorization", format!("Bearer {}", gateway.key)).header("idempotency-key", key);
    request.body(Body::from(gateway.payment().to_string())).unwrap()
}

async fn pay(mut requests: http2::SendRequest<Body>, key: String, request: Request<Body>) -> Answer {
    let (head, body) = requests.send_request(request).await.unwrap().into_parts();
    let body = axum::body::to_bytes(Body::new(body), 100_000).await.unwrap();
    Answer { key, status: head.status, headers: head.headers, body: serde_json::from_slice(&body).unwrap() }
}

/// Keys of the flood that are stored, and how many payments there are.
async fn written(gateway: &TestGateway) -> (HashSet<String>, i64) {
    let keys: Vec<String> = sqlx::query_scalar("select key from idempotency_keys where key like 'flood-%'")
        .fetch_all(gateway.pool())
        .await
        .unwrap();
    let payments = sqlx::query_scalar("select count(*) from transactions").fetch_one(gateway.pool()).await.unwrap();
    (keys.into_iter().collect(), payments)
}

fn assert_overloaded(status: StatusCode, headers: &HeaderMap, problem: &Value) {
    assert_eq!((status, &problem["code"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("overloaded")), "{problem}");
    assert_eq!(headers["content-type"], "application/problem+json");
    assert_eq!(headers["retry-after"], "1");
    assert_eq!((&problem["status"], &problem["retryable"]), (&json!(503), &json!(true)));
    assert_eq!(headers["x-request-id"], problem["request_id"].as_str().unwrap());
    assert_eq!((&problem["instance"], problem["detail"].is_string()), (&json!("/v1/payments"), true));
}

#[tokio::test(flavor = "multi_thread")]
async fn when_too_many_payments_wait_for_their_commit_new_ones_are_turned_away_and_reads_and_refunds_go_through() {
    let gateway = TestGateway::new().await;
    gateway.pay(&gateway.payment()).await;
    let id: PaymentId = accepted(&gateway).await;
    settle(&gateway, id).await;
    sqlx::raw_sql(BRAKE).execute(gateway.pool()).await.unwrap();

    let mut answers = flood(&gateway).await;
    let mut refused = HashSet::new();
    // All others wait for their commit by then: what is answered is what was turned away.
    while refused.len() < FLOOD - TURNED_AWAY_FROM {
        let waited = tokio::time::timeout(Duration::from_secs(30), answers.join_next()).await;
        let answer = waited.expect("the flood is turned away").unwrap().unwrap();
        assert_overloaded(answer.status, &answer.headers, &answer.body);
        refused.insert(answer.key);
    }
    let another = gateway.pay_with(&gateway.payment(), "flood-another", 0).await;
    assert_overloaded(another.status, &another.headers, &another.json());
    let read = gateway.get(&format!("/v1/payments/{id}")).await;
    assert_eq!((read.status, &read.json()["status"]), (StatusCode::OK, &json!("SUCCESS")));
    assert_eq!(gateway.get("/v1/payments").await.status, StatusCode::OK);
    let refund = json!({"payment_id": id, "amount": "1.00"});
    let request = gateway.request(reqwest::Method::POST, "/v1/refunds").header("Idempotency-Key", "back");
    let refund = support::gateway::send(request.header("Prefer", "wait=0").json(&refund)).await;
    assert_eq!((refund.status, &refund.json()["status"]), (StatusCode::ACCEPTED, &json!("PENDING")));
    assert_eq!(written(&gateway).await, (HashSet::new(), 1), "nothing of the flood is written yet");

    sqlx::raw_sql("delete from brake").execute(gateway.pool()).await.unwrap();
    let waited: HashSet<String> =
        (0..FLOOD).map(|number| format!("flood-{number}")).filter(|key| !refused.contains(key)).collect();
    until("what waited is committed", async || written(&gateway).await.0.len() >= waited.len()).await;
    let payments = i64::try_from(TURNED_AWAY_FROM).unwrap() + 1;
    let (keys, counted) = written(&gateway).await;
    assert!(keys == waited, "all that waited, and nothing of what was turned away: {}", keys.len());
    assert_eq!(counted, payments);

    // When those who wait have gone there is room again, and the same request is a new one: nothing of it is known.
    answers.shutdown().await;
    let key = refused.iter().next().unwrap();
    let again = async || gateway.pay_with(&gateway.payment(), key, 0).await;
    until("there is room", async || again().await.status == StatusCode::ACCEPTED).await;
    assert_eq!(written(&gateway).await.1, payments + 1);
    assert_eq!(again().await.header("idempotent-replayed"), Some("true"));
}

/// Waits until something is so.
async fn until(what: &str, so: impl AsyncFn() -> bool) {
    let waiting = async {
        while !so().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), waiting).await.unwrap_or_else(|_| panic!("not within 30 s: {what}"));
}
