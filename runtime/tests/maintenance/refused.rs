//! What merchants meet.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use chrono::Utc;
use futures::future::join_all;
use reqwest::{Method, StatusCode};
use runtime::ids::PaymentId;
use serde_json::json;
use uuid::Uuid;

use crate::ground::{Ground, assert_refused};
use crate::stage::until;
use crate::support::gateway::Reply;

/// What a writer saw: the answers, with the key of each.
async fn write_until_refused(
    ground: &Ground,
    url: &str,
    accepted: &AtomicUsize,
    stop: &AtomicBool,
) -> Vec<(String, Reply)> {
    let mut replies = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let key = Uuid::now_v7().to_string();
        let reply = ground.write(Method::POST, url, "/v1/payments", &ground.payment(), &key).await;
        let is_refused = !reply.status.is_success();
        accepted.fetch_add(usize::from(!is_refused), Ordering::Relaxed);
        replies.push((key, reply));
        if is_refused {
            break;
        }
    }
    replies
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_is_there_and_everything_else_was_refused_and_nothing_changes_any_more() {
    let ground = Ground::new().await;
    let waiting = ground.waiting().await;
    let (accepted, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    let writers = (0..100).map(|number| write_until_refused(&ground, ground.both()[number % 2], &accepted, &stop));
    let turning_on = async {
        until("some were accepted", async || accepted.load(Ordering::Relaxed) >= 50).await;
        ground.maintenance(true).await;
        let drained = ground.drained().await;
        stop.store(true, Ordering::Relaxed);
        drained
    };
    let (replies, drained) = tokio::join!(join_all(writers), turning_on);
    let before = ground.money().await;
    let replies: Vec<(String, Reply)> = replies.into_iter().flatten().collect();
    let (done, refused): (Vec<_>, Vec<_>) = replies.into_iter().partition(|(_, reply)| reply.status.is_success());
    assert!(done.len() >= 50 && refused.len() >= 90, "{} and {}", done.len(), refused.len());
    refused.iter().for_each(|(_, reply)| assert_refused(reply));
    let stored: Vec<PaymentId> =
        sqlx::query_scalar("select id from transactions").fetch_all(ground.pool()).await.unwrap();
    let stored: HashSet<String> = stored.iter().map(ToString::to_string).collect();
    for (_, reply) in &done {
        let id = reply.json()["id"].as_str().unwrap().to_owned();
        assert!(stored.contains(&id), "{id} was acknowledged and is not there");
    }
    assert_eq!((drained.work.in_work, drained.work.due, drained.work.later), (0, 0, 1), "{drained:?}");

    // Who has not heard of it goes on trying.
    ground.due(waiting).await;
    go_on_trying(&ground, &done[0]).await;
    assert_eq!(ground.money().await, before);
    assert_eq!(ground.stage.attempts(waiting).await, ["SENT"]);

    ground.maintenance(false).await;
    assert_eq!(ground.state().await, None);
    assert_eq!(ground.stage.settled(waiting).await.status, "SUCCESS");
    ground.heard(false).await;
    for url in ground.both() {
        let reply = ground.post(url, "/v1/payments", &ground.payment()).await;
        assert_eq!(reply.status, StatusCode::CREATED, "{reply:?}");
    }
}

async fn go_on_trying(ground: &Ground, (key, first): &(String, Reply)) {
    let payment = first.json()["id"].as_str().unwrap().to_owned();
    ground.heard(true).await;
    for url in ground.both() {
        assert_refused(&ground.post(url, "/v1/payments", &ground.payment()).await);
        assert_refused(&ground.post(url, "/v1/refunds", &json!({"payment_id": payment})).await);
        assert_refused(&ground.post(url, &format!("/v1/payments/{payment}/cancel"), &json!({})).await);
        let again = ground.write(Method::POST, url, "/v1/payments", &ground.payment(), key).await;
        assert_eq!((again.status, &again.bytes), (first.status, &first.bytes), "what was answered is answered again");
        assert_eq!(again.header("idempotent-replayed"), Some("true"));
        assert_eq!(ground.get(url, &format!("/v1/payments/{payment}")).await.status, StatusCode::OK);
        assert_eq!(ground.get(url, "/v1/payments").await.status, StatusCode::OK);
    }
    let swept = runtime::operations::expiry::sweep(ground.pool(), "0.1.0", 10, Utc::now()).await;
    assert!(swept.is_ok(), "there is nothing to sweep: {swept:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_write_is_refused_by_who_has_heard_and_by_who_has_not() {
    let ground = Ground::new().await;
    let endpoint = json!({"url": "https://shop.example/hooks"});
    let made = ground.post(&ground.url, "/v1/webhook-endpoints", &endpoint).await;
    assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
    let endpoint_path = format!("/v1/webhook-endpoints/{}", made.json()["id"].as_str().unwrap());
    let held = ground.write(Method::POST, &ground.url, "/v1/payments", &ground.payment(), "the-payment").await;
    assert!(held.status.is_success(), "{held:?}");
    let payment = held.json()["id"].as_str().unwrap().to_owned();
    ground.maintenance(true).await;
    ground.heard(true).await;

    let (user, card) = (ground.user, ground.card);
    let writes = [
        (Method::POST, "/v1/payments".to_owned(), ground.payment()),
        (Method::POST, format!("/v1/payments/{payment}/captures"), json!({})),
        (Method::POST, format!("/v1/payments/{payment}/cancel"), json!({})),
        (Method::POST, "/v1/refunds".to_owned(), json!({"payment_id": payment})),
        (Method::POST, "/v1/users".to_owned(), json!({"email": "new@example.com"})),
        (Method::PATCH, format!("/v1/users/{user}"), json!({"full_name": "Ada"})),
        (
            Method::POST,
            "/v1/payment-methods".to_owned(),
            json!({"user_id": user, "type": "CREDIT_CARD", "token": "pm_card_visa"}),
        ),
        (Method::PATCH, format!("/v1/payment-methods/{card}"), json!({"is_default": true})),
        (Method::DELETE, format!("/v1/payment-methods/{card}"), json!({})),
        (Method::POST, "/v1/webhook-endpoints".to_owned(), endpoint),
        (Method::PATCH, endpoint_path.clone(), json!({"description": "ours"})),
        (Method::POST, format!("{endpoint_path}/rotate-secret"), json!({})),
        (Method::DELETE, endpoint_path.clone(), json!({})),
    ];
    for url in ground.both() {
        for (method, path, body) in &writes {
            let reply = ground.write(method.clone(), url, path, body, &Uuid::now_v7().to_string()).await;
            assert_eq!(reply.status, 503, "{method} {path}: {reply:?}");
            assert_refused(&reply);
        }
    }
    // Who has not heard takes a provider's message: it only says when to look. Who has, leaves it for later.
    assert_refused(&ground.post(&ground.url, "/v1/provider-webhooks/stripe", &json!({})).await);
    assert_refused(&ground.post(&ground.url, "/v1/admin/merchants", &json!({})).await);
    assert_eq!(ground.get(&ground.url, "/v1/balance").await.status, StatusCode::OK);

    // A key that was used for something else is told so, as ever.
    let other = json!({"amount": "1.00", "currency": "USD", "payment_method_id": card});
    let reply = ground.write(Method::POST, &ground.url, "/v1/payments", &other, "the-payment").await;
    assert_eq!(reply.status, StatusCode::UNPROCESSABLE_ENTITY, "{reply:?}");

    ground.maintenance(false).await;
    ground.heard(false).await;
    for (method, path, body) in &writes[5..6] {
        let reply = ground.write(method.clone(), &ground.url, path, body, "later").await;
        assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pods_stay_ready_and_say_in_their_metrics_how_far_it_is() {
    let ground = Ground::without_processors().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let admin = format!("http://{}", listener.local_addr().unwrap());
    let checks = vec![runtime::admin::Readiness::database(), runtime::admin::Readiness::settings()];
    tokio::spawn(runtime::admin::serve_on(ground.stage.test.app.clone(), checks, listener));
    let shown = async || {
        let text = reqwest::get(format!("{admin}/metrics")).await.unwrap().text().await.unwrap();
        let line = text.lines().find(|line| line.starts_with("purser_maintenance{")).unwrap().to_owned();
        line.rsplit(' ').next().unwrap().to_owned()
    };
    assert_eq!(shown().await, "0");
    ground.maintenance(true).await;
    ground.heard(true).await;
    assert_eq!(shown().await, "1");
    ground.drained().await;
    assert_eq!(shown().await, "2");
    assert_eq!(reqwest::get(format!("{admin}/readyz")).await.unwrap().status(), StatusCode::OK);
}
