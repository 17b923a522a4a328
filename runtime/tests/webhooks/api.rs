//! What merchants do with endpoints and events through the API.

use chrono::{TimeDelta, Utc};
use reqwest::{Method, StatusCode};
use runtime::events::{self, Event, EventType};
use runtime::ids::{EventId, PaymentId};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::ground::{dispatcher, hasty, until};
use crate::receiver::Receiver;
use crate::support::gateway::{self, Reply, TestGateway, send};
use crate::support::{self, TestApp};

const ENDPOINTS: &str = "/v1/webhook-endpoints";

async fn gateway(allow_private_addresses: bool) -> TestGateway {
    let mut config = support::config();
    config.webhooks.allow_private_addresses = allow_private_addresses;
    TestGateway::on(TestApp::on(&support::migrated_database().await, Some(&support::redis_url()), config)).await
}

async fn post(gateway: &TestGateway, path: &str, body: &Value) -> Reply {
    post_with(gateway, path, body, &Uuid::now_v7().to_string()).await
}

async fn post_with(gateway: &TestGateway, path: &str, body: &Value, key: &str) -> Reply {
    send(gateway.request(Method::POST, path).header("Idempotency-Key", key).json(body)).await
}

async fn patch(gateway: &TestGateway, path: &str, body: &Value) -> Reply {
    send(gateway.request(Method::PATCH, path).json(body)).await
}

fn path(endpoint: &Reply) -> String {
    format!("{ENDPOINTS}/{}", endpoint.json()["id"].as_str().unwrap())
}

/// Events of payments, as the processor records them.
async fn happen(gateway: &TestGateway, kind: EventType, count: usize) -> Vec<Event> {
    let event = |_| {
        let (id, payment) = (EventId::at(Utc::now()), PaymentId::at(Utc::now()));
        // Spaces and the order of fields are as they are: it is given out byte for byte.
        let payload = format!(
            r#"{{"type":"{}", "id":"{id}","data":{{"payment":{{"id":"{payment}"}}}},"sequence":1}}"#,
            kind.as_str()
        );
        Event {
            id,
            merchant_id: gateway.merchant,
            kind,
            payment_id: Some(payment),
            operation_id: None,
            sequence: 1,
            payload,
        }
    };
    let happened: Vec<Event> = (0..count).map(event).collect();
    let mut transaction = gateway.pool().begin().await.unwrap();
    events::store::record(&mut transaction, &happened).await.unwrap();
    transaction.commit().await.unwrap();
    happened
}

#[tokio::test]
async fn an_endpoints_secret_is_shown_when_it_is_made_and_never_again() {
    let gateway = gateway(false).await;
    let body =
        json!({"url": "https://shop.example/hooks", "description": "shop", "event_types": ["payment.succeeded"]});
    let made = post_with(&gateway, ENDPOINTS, &body, "make-1").await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.json());
    assert_eq!(made.header("location"), Some(path(&made).as_str()));
    assert!(made.json()["secret"].as_str().unwrap().starts_with("whsec_"));
    let again = post_with(&gateway, ENDPOINTS, &body, "make-1").await;
    assert_eq!((again.bytes == made.bytes, again.header("idempotent-replayed")), (true, Some("true")));
    let read = gateway.get(&path(&made)).await;
    let mut expected = made.json();
    expected.as_object_mut().unwrap().remove("secret");
    assert_eq!(read.json(), expected);
    let list = gateway.get(ENDPOINTS).await.json();
    assert_eq!((list["data"].as_array().unwrap().len(), list["data"][0].clone()), (1, expected));
    let other = patch(&gateway, &path(&made), &json!({"description": null})).await;
    assert_eq!((other.status, &other.json()["description"]), (StatusCode::OK, &Value::Null));
    for shown in [read.json(), list, other.json()] {
        assert!(!shown.to_string().contains("whsec_"));
    }
}

#[tokio::test]
async fn what_cannot_be_an_endpoint_is_refused_with_its_field() {
    let gateway = gateway(false).await;
    for (body, status, param) in [
        (json!({"url": "http://shop.example/"}), 422, "url"),
        (json!({"url": "https://127.0.0.1/"}), 422, "url"),
        (json!({"url": "https://[::ffff:10.0.0.1]/"}), 422, "url"),
        (json!({"url": "https://postgres:5432/"}), 422, "url"),
        (json!({"url": "https://shop.example/", "event_types": ["payment.exploded"]}), 422, "event_types"),
        (json!({"url": "https://shop.example/", "secret": "whsec_mine"}), 400, "secret"),
        (json!({}), 400, "url"),
    ] {
        let reply = post(&gateway, ENDPOINTS, &body).await;
        assert_eq!(reply.status.as_u16(), status, "{body}: {}", reply.json());
        assert_eq!(reply.json()["param"], param, "{body}: {}", reply.json());
    }
    let card = post(&gateway, ENDPOINTS, &json!({"url": "https://shop.example/4242424242424242"})).await;
    assert_eq!(card.json()["code"], "card_number_refused");
    let keyless = send(gateway.request(Method::POST, ENDPOINTS).json(&json!({"url": "https://shop.example/"}))).await;
    assert_eq!((keyless.status.as_u16(), keyless.json()["param"].as_str()), (400, Some("Idempotency-Key")));
}

#[tokio::test]
async fn another_merchants_endpoint_does_not_exist() {
    let mut gateway = gateway(false).await;
    let made = post(&gateway, ENDPOINTS, &json!({"url": "https://shop.example/"})).await;
    let event = happen(&gateway, EventType::PaymentFailed, 1).await.remove(0);
    gateway.key = gateway::merchant(gateway.pool()).await.1;
    let path = path(&made);
    for reply in [
        gateway.get(&path).await,
        gateway.get(&format!("/v1/events/{}", event.id)).await,
        patch(&gateway, &path, &json!({"disabled": true})).await,
        send(gateway.request(Method::DELETE, &path)).await,
        post(&gateway, &format!("{path}/rotate-secret"), &json!({})).await,
        post(&gateway, &format!("{path}/enable"), &json!({})).await,
        post(&gateway, &format!("{path}/replay"), &json!({"from": "2026-01-01T00:00:00Z"})).await,
    ] {
        assert_eq!(reply.status, StatusCode::NOT_FOUND, "{}", reply.json());
    }
    assert!(gateway.get(ENDPOINTS).await.json()["data"].as_array().unwrap().is_empty());
    assert!(gateway.get("/v1/events").await.json()["data"].as_array().unwrap().is_empty());
}

#[tokio::test]
async fn an_endpoint_is_changed_only_as_it_was_seen() {
    let gateway = gateway(false).await;
    let path = path(&post(&gateway, ENDPOINTS, &json!({"url": "https://shop.example/"})).await);
    let seen = gateway.get(&path).await.header("etag").unwrap().to_owned();
    let change = json!({"url": "https://shop.example/new"});
    let request = || gateway.request(Method::PATCH, &path).header("If-Match", &seen).json(&change);
    assert_eq!(send(request()).await.json()["url"], "https://shop.example/new");
    assert_eq!(send(request()).await.status, StatusCode::PRECONDITION_FAILED);
    assert_eq!(patch(&gateway, &path, &json!({"url": "https://10.0.0.1/"})).await.json()["param"], "url");
    assert_eq!(patch(&gateway, &path, &json!({"disabled": false})).await.json()["param"], "disabled");
}

#[tokio::test]
async fn a_merchant_has_at_most_sixteen_endpoints_however_they_are_made() {
    let gateway = gateway(false).await;
    let made =
        (0..20).map(async |n| post(&gateway, ENDPOINTS, &json!({"url": format!("https://shop.example/{n}")})).await);
    let replies = futures::future::join_all(made).await;
    let refused: Vec<&Reply> = replies.iter().filter(|reply| reply.status != StatusCode::CREATED).collect();
    assert_eq!(refused.len(), 4);
    assert!(refused.iter().all(|reply| reply.json()["code"] == "too_many_webhook_endpoints"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotated_secret_is_shown_once_and_both_sign_meanwhile() {
    let (gateway, receiver) = (gateway(true).await, Receiver::good().await);
    let made = post(&gateway, ENDPOINTS, &json!({"url": receiver.url()})).await;
    let rotate = format!("{}/rotate-secret", path(&made));
    assert_eq!(post(&gateway, &rotate, &json!({"overlap_hours": 73})).await.json()["param"], "overlap_hours");
    let rotated = post_with(&gateway, &rotate, &json!({"overlap_hours": 1}), "rotate-1").await;
    assert_eq!(rotated.status, StatusCode::OK, "{}", rotated.json());
    assert_eq!(post_with(&gateway, &rotate, &json!({"overlap_hours": 1}), "rotate-1").await.bytes, rotated.bytes);
    dispatcher(&gateway.app, hasty());
    happen(&gateway, EventType::PaymentSucceeded, 1).await;
    until("it arrived", async || receiver.count() == 1).await;
    let event = receiver.received().remove(0);
    let secret = |reply: &Reply| reply.json()["secret"].as_str().unwrap().to_owned();
    assert!(event.verifies(&secret(&made)) && event.verifies(&secret(&rotated)));
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_a_span_are_sent_once_more() {
    let (gateway, receiver) = (gateway(true).await, Receiver::good().await);
    let before = happen(&gateway, EventType::PaymentSucceeded, 2).await;
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    let from = Utc::now();
    let within = happen(&gateway, EventType::PaymentSucceeded, 3).await;
    let failed = happen(&gateway, EventType::PaymentFailed, 1).await;
    // It was made when all was over: it was told of nothing.
    let made = post(&gateway, ENDPOINTS, &json!({"url": receiver.url()})).await;
    let replay = format!("{}/replay", path(&made));
    dispatcher(&gateway.app, hasty());
    let body = json!({"from": from, "types": ["payment.succeeded"]});
    let reply = post_with(&gateway, &replay, &body, "replay-1").await;
    assert_eq!((reply.status.as_u16(), reply.json()), (202, json!({"events": 3, "has_more": false})));
    assert_eq!(post_with(&gateway, &replay, &body, "replay-1").await.bytes, reply.bytes);
    until("they arrived", async || receiver.count() == 3).await;
    let ids = |events: &[Event]| events.iter().map(|event| event.id.to_string()).collect::<Vec<_>>();
    let mut told: Vec<String> = receiver.received().iter().map(|event| event.id()).collect();
    told.sort_unstable();
    let mut expected = ids(&within);
    expected.sort_unstable();
    assert_eq!(told, expected, "and not {:?} or {:?}", ids(&before), ids(&failed));
    for (body, param) in [
        (json!({"from": Utc::now() + TimeDelta::hours(1)}), "from"),
        (json!({"from": from, "to": from}), "from"),
        (json!({"from": from, "types": []}), "types"),
    ] {
        assert_eq!(post(&gateway, &replay, &body).await.json()["param"], param, "{body}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_endpoint_is_told_of_nothing_until_it_is_enabled() {
    let (gateway, receiver) = (gateway(true).await, Receiver::good().await);
    let made = post(&gateway, ENDPOINTS, &json!({"url": receiver.url()})).await;
    let path = path(&made);
    dispatcher(&gateway.app, hasty());
    assert_eq!(patch(&gateway, &path, &json!({"disabled": true})).await.json()["status"], "DISABLED");
    happen(&gateway, EventType::PaymentFailed, 2).await;
    let replay = json!({"from": Utc::now() - TimeDelta::hours(1)});
    let refused = post(&gateway, &format!("{path}/replay"), &replay).await;
    assert_eq!((refused.status.as_u16(), refused.json()["code"].as_str()), (409, Some("webhook_endpoint_disabled")));
    let enabled = post(&gateway, &format!("{path}/enable"), &json!({})).await;
    assert_eq!(enabled.json()["status"], "ENABLED", "{}", enabled.json());
    happen(&gateway, EventType::PaymentSucceeded, 1).await;
    until("the new event arrived", async || receiver.count() == 1).await;
    assert_eq!(post(&gateway, &format!("{path}/replay"), &replay).await.json()["events"], 3);
    until("what was missed arrived", async || receiver.count() == 4).await;
    let gone = send(gateway.request(Method::DELETE, &path)).await;
    assert_eq!((gone.status, gateway.get(&path).await.status), (StatusCode::NO_CONTENT, StatusCode::NOT_FOUND));
}

#[tokio::test]
async fn events_are_listed_newest_first_and_given_out_as_they_were_sent() {
    let gateway = gateway(false).await;
    let mut events = happen(&gateway, EventType::PaymentSucceeded, 3).await;
    events.extend(happen(&gateway, EventType::PaymentFailed, 2).await);
    events.sort_by_key(|event| std::cmp::Reverse(event.id));
    let ids = |list: &Value| {
        list["data"].as_array().unwrap().iter().map(|e| e["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let expected: Vec<String> = events.iter().map(|event| event.id.to_string()).collect();
    let first = gateway.get("/v1/events?limit=3").await.json();
    assert_eq!((ids(&first), &first["has_more"]), (expected[..3].to_vec(), &json!(true)));
    let next = first["next_cursor"].as_str().unwrap();
    let rest = gateway.get(&format!("/v1/events?limit=3&starting_after={next}")).await.json();
    assert_eq!((ids(&rest), &rest["has_more"], rest.get("next_cursor")), (expected[3..].to_vec(), &json!(false), None));
    assert_eq!(ids(&gateway.get("/v1/events?type=payment.failed").await.json()).len(), 2);
    let payment = events[1].payment_id.unwrap();
    assert_eq!(ids(&gateway.get(&format!("/v1/events?payment_id={payment}")).await.json()), [events[1].id.to_string()]);
    let later = (Utc::now() + TimeDelta::hours(1)).to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
    assert!(ids(&gateway.get(&format!("/v1/events?created[gte]={later}")).await.json()).is_empty());
    assert_eq!(gateway.get("/v1/events?type=payment.exploded").await.json()["param"], "type");
    let one = gateway.get(&format!("/v1/events/{}", events[0].id)).await;
    assert_eq!(
        (one.bytes.as_slice(), one.header("content-type")),
        (events[0].payload.as_bytes(), Some("application/json"))
    );
    let unknown = gateway.get(&format!("/v1/events/{}", EventId::at(Utc::now()))).await;
    assert_eq!(unknown.json()["code"], "event_not_found");
}
