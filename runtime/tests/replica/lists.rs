//! What is read from the replica, and what never is.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::ground::{ANY_LAG_MS, Ground, gateway, primary_port, until};
use crate::support::gateway::send;
use crate::support::{migrated_database, url_on};

fn has(list: &Value, id: &str) -> bool {
    list["data"].as_array().unwrap().iter().any(|found| found["id"] == id)
}

#[tokio::test]
async fn lists_are_read_from_the_replica_which_may_be_late() {
    let ground = Ground::new(ANY_LAG_MS).await;
    let old = ground.pay().await;
    until("the replica shows it", async || has(&ground.by_replica("/v1/payments").await, &old)).await;
    ground.pause().await;
    let new = ground.pay().await;
    let payments = ground.by_replica("/v1/payments").await;
    assert!(has(&payments, &old) && !has(&payments, &new));
    let user = ground.gateway.user;
    let statistics = ground.by_replica(&format!("/v1/users/{user}/statistics")).await;
    assert_eq!(statistics["total_transaction_count"], json!(1));
    let users = ground.by_replica("/v1/users").await;
    assert_eq!(users["data"][0]["id"], json!(user));
    for path in ["/v1/refunds", &format!("/v1/payments/{new}/captures"), &format!("/v1/events?payment_id={new}")]
        .map(String::from)
    {
        assert_eq!(ground.by_replica(&path).await["data"], json!([]), "{path}");
    }
    ground.resume().await;
    until("the replica shows the new one", async || has(&ground.by_replica("/v1/payments").await, &new)).await;
}

#[tokio::test]
async fn whatever_must_not_be_late_is_never_read_from_the_replica() {
    let ground = Ground::new(ANY_LAG_MS).await;
    ground.pause().await;
    let counted = || (ground.answered_by("replica"), ground.answered_by("primary"));
    let before = counted();
    let payment = ground.pay().await;
    let read = ground.gateway.get(&format!("/v1/payments/{payment}")).await;
    assert_eq!((read.status, &read.json()["id"]), (StatusCode::OK, &json!(payment)));
    let body = ground.gateway.payment();
    let first = ground.gateway.pay_with(&body, "once", 0).await;
    let again = ground.gateway.pay_with(&body, "once", 0).await;
    assert_eq!(again.header("idempotent-replayed"), Some("true"), "{again:?}");
    assert_eq!(first.json()["id"], again.json()["id"]);
    let made = ground.gateway.post("/v1/users", &json!({ "email": "new@example.com" })).await;
    let path = format!("/v1/users/{}", made.json()["id"].as_str().unwrap());
    for path in [path.as_str(), "/v1/balance"] {
        assert_eq!(ground.gateway.get(path).await.status, StatusCode::OK, "{path}");
    }
    assert_eq!(counted(), before);
}

#[tokio::test]
async fn nobody_writes_through_the_connections_to_the_replica() {
    let ground = Ground::new(ANY_LAG_MS).await;
    until("the replica answers", async || {
        let asked = ground.gateway.app.app.reads.answer(|mut at| async move {
            sqlx::query_as::<_, (bool, String, String)>(
                "select pg_is_in_recovery(), current_setting('default_transaction_read_only'), current_setting('statement_timeout')",
            )
            .fetch_one(&mut *at)
            .await
        });
        let (is_in_recovery, read_only, timeout) = asked.await.unwrap();
        assert!(!is_in_recovery || (read_only == "on" && timeout == "10s"), "{read_only} {timeout}");
        is_in_recovery
    })
    .await;
}

#[tokio::test]
async fn a_url_that_is_none_or_leads_elsewhere_keeps_no_list_from_being_read() {
    let elsewhere = url_on(primary_port(), "postgres");
    for (read_url, words) in [
        (Some("not a URL"), "no PostgreSQL URL"),
        (Some("postgres://nobody@127.0.0.1:1/nowhere"), "does not answer"),
        (Some(elsewhere.as_str()), "another system identifier"),
        (None, "not in recovery"),
    ] {
        let url = migrated_database().await;
        let gateway = gateway(&url, read_url.unwrap_or(&url), ANY_LAG_MS).await;
        let reads = &gateway.app.app.reads;
        until(words, async || reads.state().is_err_and(|sentence| sentence.contains(words))).await;
        let reply = gateway.pay(&gateway.payment()).await;
        let listed = send(gateway.request(Method::GET, "/v1/payments")).await;
        assert_eq!(listed.status, StatusCode::OK, "{words}: {listed:?}");
        assert!(has(&listed.json(), reply.json()["id"].as_str().unwrap()), "{words}");
    }
}
