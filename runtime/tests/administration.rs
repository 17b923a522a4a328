//! What those who run the platform do: by command, and over HTTP with the admin token.

// A helper that fails is a test that fails.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;

use reqwest::{Method, StatusCode};
use runtime::ids::{AttemptId, PaymentId};
use runtime::ledger::verify;
use serde_json::{Value, json};
use support::gateway::{Reply, TestGateway, send};
use support::process::{purser, run};

const TOKEN: &str = "admin-token-of-tests";

async fn gateway() -> TestGateway {
    let gateway = TestGateway::new().await;
    std::fs::write(gateway.app.secrets.path().join("admin-token"), format!("{TOKEN}\n")).unwrap();
    gateway
}

async fn admin(gateway: &TestGateway, method: Method, path: &str, body: Option<Value>) -> Reply {
    let request = reqwest::Client::new().request(method, format!("{}/v1/admin/{path}", gateway.url)).bearer_auth(TOKEN);
    let request = request.header("x-admin-actor", "Ada");
    send(match body {
        Some(body) => request.json(&body),
        None => request,
    })
    .await
}

/// Runs `purser` with `--json`: exit code and what it printed.
fn command(gateway: &TestGateway, arguments: &[&str]) -> (Option<i32>, Value) {
    let mut command = purser(arguments);
    let output =
        run(command.arg("--json").env("PURSER_DATABASE_URL", &gateway.app.database_url).env("PURSER_ACTOR", "Grace"));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() || text.is_empty(), "{text}");
    let said = if text.is_empty() {
        json!(String::from_utf8(output.stderr).unwrap())
    } else {
        serde_json::from_str(&text).unwrap()
    };
    (output.status.code(), said)
}

/// The status that a merchant's key gets.
async fn knock(gateway: &TestGateway, key: &str) -> u16 {
    send(reqwest::Client::new().get(format!("{}/v1/balance", gateway.url)).bearer_auth(key)).await.status.as_u16()
}

async fn actions(gateway: &TestGateway) -> Vec<(String, String)> {
    sqlx::query_as("select actor::text, action::text from admin_actions order by id")
        .fetch_all(gateway.pool())
        .await
        .unwrap()
}

#[tokio::test]
async fn without_a_token_there_is_no_admin_api_and_with_a_wrong_one_it_is_shut() {
    let gateway = TestGateway::new().await;
    assert_eq!(admin(&gateway, Method::GET, "merchants", None).await.status, 404);
    std::fs::write(gateway.app.secrets.path().join("admin-token"), "another").unwrap();
    assert_eq!(admin(&gateway, Method::GET, "merchants", None).await.status, 401);
    let merchants_key = send(gateway.request(Method::GET, "/v1/admin/merchants")).await;
    assert_eq!(merchants_key.status, 401, "a merchant is no administrator");
}

#[tokio::test]
async fn a_merchant_is_made_suspended_and_charged_and_each_of_it_is_kept() {
    let gateway = gateway().await;
    let new = json!({"name": "Shop", "email": "shop@example.com", "fee_percentage": "1.5"});
    let made = admin(&gateway, Method::POST, "merchants", Some(new)).await;
    assert_eq!(made.status, 201);
    let made = made.json();
    let (id, key) = (made["id"].as_str().unwrap(), made["api_key"].as_str().unwrap());
    assert_eq!(knock(&gateway, key).await, 200);
    let path = format!("merchants/{id}");
    let changed = admin(&gateway, Method::PATCH, &path, Some(json!({"fee_percentage": "2.25"}))).await.json();
    assert_eq!((&changed["fee_percentage"], &changed["status"]), (&json!("2.25"), &json!("ACTIVE")));
    let refused = admin(&gateway, Method::PATCH, &path, Some(json!({"fee_percentage": "2.255"}))).await;
    assert_eq!(refused.json()["param"], "fee_percentage");
    let (code, suspended) = command(&gateway, &["merchant", "suspend", id, "--reason", "unpaid bills"]);
    assert_eq!((code, &suspended["status"]), (Some(0), &json!("SUSPENDED")));
    let (_, shown) = command(&gateway, &["merchant", "show", id]);
    assert_eq!(shown, admin(&gateway, Method::GET, &path, None).await.json());
    assert_eq!(command(&gateway, &["merchant", "activate", id]).0, Some(0));
    assert_eq!(admin(&gateway, Method::PATCH, &path, Some(json!({"status": "INACTIVE"}))).await.status, 200);
    let (code, said) = command(&gateway, &["merchant", "activate", id]);
    assert!(code == Some(1) && said.as_str().unwrap().contains("for good"), "{said}");
    let (_, listed) = command(&gateway, &["merchant", "list"]);
    assert_eq!(listed.as_array().unwrap().len(), 2);
    let kept = actions(&gateway).await;
    let kept: Vec<(&str, &str)> = kept.iter().map(|(actor, action)| (actor.as_str(), action.as_str())).collect();
    assert_eq!(
        kept,
        [
            ("Ada", "merchant.created"),
            ("Ada", "merchant.fee"),
            ("Grace", "merchant.status"),
            ("Grace", "merchant.status"),
            ("Ada", "merchant.status")
        ]
    );
}

#[tokio::test]
async fn keys_overlap_when_they_are_replaced_and_end_when_they_are_revoked() {
    let gateway = gateway().await;
    let id = gateway.merchant.to_string();
    let (_, further) = command(&gateway, &["key", "create", &id, "--expires-in-days", "30"]);
    let (_, rotated) = command(&gateway, &["key", "rotate", &id, "--overlap-hours", "1"]);
    let (further, rotated) = (further["api_key"].as_str().unwrap(), rotated["api_key"].as_str().unwrap());
    for key in [gateway.key.as_str(), further, rotated] {
        assert_eq!(knock(&gateway, key).await, 200);
    }
    assert_eq!(command(&gateway, &["key", "list", &id]).1.as_array().unwrap().len(), 3);
    for key in [gateway.key.as_str(), further, rotated] {
        let revoked = admin(&gateway, Method::DELETE, &format!("merchants/{id}/keys/{}", &key[..10]), None).await;
        assert_eq!(revoked.status, 204, "{revoked:?}");
    }
    assert_eq!(command(&gateway, &["key", "list", &id]).1, json!([]));
    // What a gateway remembers of a key it forgets within seconds.
    support::gateway::start(gateway.app.app.clone()).await;
    tokio::time::sleep(Duration::from_secs(6)).await;
    for key in [gateway.key.as_str(), further, rotated] {
        assert_eq!(knock(&gateway, key).await, 401);
    }
    let (code, _) = command(&gateway, &["key", "revoke", &id, "psk_nobody"]);
    assert_eq!(code, Some(1));
    let expired = admin(&gateway, Method::POST, &format!("merchants/{id}/keys"), Some(json!({"expires_in_days": 1})))
        .await
        .json();
    sqlx::query("update api_keys set expires_at = now()").execute(gateway.pool()).await.unwrap();
    assert_eq!(knock(&gateway, expired["api_key"].as_str().unwrap()).await, 401);
}

#[tokio::test]
async fn what_is_no_fraud_rule_is_not_written() {
    let gateway = gateway().await;
    let set = |parameters: &'static str, kind: &'static str| {
        command(&gateway, &["fraud-rule", "set", "night", "--kind", kind, "--points", "30", "--parameters", parameters])
    };
    for (parameters, kind) in [
        (r#"{"limits": {"USD": "10.001"}}"#, "AMOUNT"),
        (r#"{"subject": "CARD", "window": "1h", "payments_max": 1}"#, "VELOCITY"),
        ("{}", "MOON"),
    ] {
        assert_eq!(set(parameters, kind).0, Some(1), "{parameters}");
    }
    let (code, rule) = set(r#"{"limits": {"USD": "10.00"}}"#, "AMOUNT");
    assert_eq!((code, &rule["enabled"]), (Some(0), &json!(true)), "{rule}");
    let off = admin(&gateway, Method::PATCH, "fraud-rules/night", Some(json!({"enabled": false}))).await.json();
    assert_eq!(off["enabled"], false);
    let changed = json!({"kind": "AMOUNT", "points": 50, "parameters": {"limits": {"USD": "20.00"}}});
    let changed = admin(&gateway, Method::PUT, "fraud-rules/night", Some(changed)).await.json();
    assert_eq!((&changed["points"], &changed["enabled"]), (&json!("50.00"), &json!(false)), "it stays switched off");
    assert_eq!(admin(&gateway, Method::DELETE, "fraud-rules/night", None).await.status, 204);
    assert_eq!(admin(&gateway, Method::DELETE, "fraud-rules/night", None).await.status, 404);
    // What the database cannot even compare with names nothing.
    let nothing = admin(&gateway, Method::PATCH, "fraud-rules/%00", Some(json!({"enabled": false}))).await;
    assert_eq!(nothing.status, StatusCode::NOT_FOUND);
}

/// An accepted payment whose attempt was sent, and of which nobody knows what became.
async fn unknown(gateway: &TestGateway) -> (PaymentId, AttemptId) {
    let accepted = gateway.pay(&gateway.payment()).await.json();
    let payment: PaymentId = accepted["id"].as_str().unwrap().parse().unwrap();
    sqlx::query(
        "insert into payment_providers (name, resource, api_endpoint, max_latency_ms, success_rate_threshold, priority)
            values ('STRIPE', 'stripe', 'http://x', 1, 1, 1) on conflict do nothing",
    )
    .execute(gateway.pool())
    .await
    .unwrap();
    // A worker had it.
    sqlx::query("update work_items set attempt = 1").execute(gateway.pool()).await.unwrap();
    let attempt = AttemptId::at(chrono::Utc::now());
    sqlx::query("insert into payment_attempts (id, payment_id, payment_created_at, number, payment_provider_id, state, release, t_start, api_endpoint)
            select $1, $2, $3, 1, id, 'UNKNOWN', 'test', now() - interval '2 hours', 'http://x' from payment_providers")
        .bind(attempt)
        .bind(payment)
        .bind(payment.created_at())
        .execute(gateway.pool())
        .await
        .unwrap();
    (payment, attempt)
}

#[tokio::test]
async fn a_person_who_asked_at_the_provider_ends_what_nobody_knew() {
    let gateway = gateway().await;
    let ((taken, approved), (lost, declined)) = (unknown(&gateway).await, unknown(&gateway).await);
    let (_, listed) = command(&gateway, &["attempts", "list", "--older-than", "1h"]);
    assert_eq!(listed.as_array().unwrap().len(), 2);
    assert_eq!((&listed[0]["kind"], &listed[0]["provider"]), (&json!("CHARGE"), &json!("stripe")));
    assert_eq!(command(&gateway, &["attempts", "list", "--older-than", "3h"]).1, json!([]));
    let approved = approved.to_string();
    let resolve =
        ["attempts", "resolve", &approved, "--as", "approved", "--reference", "pi_1", "--reason", "seen at Stripe"];
    let (code, said) = command(&gateway, &resolve);
    assert_eq!((code, &said["status"]), (Some(0), &json!("SUCCESS")), "{said}");
    let (code, said) = command(&gateway, &resolve);
    assert!(code == Some(1) && said.as_str().unwrap().contains("open"), "only once: {said}");
    let body = json!({"outcome": "DECLINED", "code": "card_declined", "reason": "seen at Stripe"});
    let reply = admin(&gateway, Method::POST, &format!("attempts/{declined}/resolve"), Some(body)).await;
    assert_eq!((reply.status, &reply.json()["status"]), (StatusCode::OK, &json!("FAILED")));
    let payment = async |id: PaymentId| gateway.get(&format!("/v1/payments/{id}")).await.json();
    assert_eq!(
        (&payment(taken).await["amount_captured"], &payment(taken).await["fee"]),
        (&json!("10.50"), &json!("0.30"))
    );
    assert_eq!(payment(lost).await["error"]["code"], "card_declined");
    let said: String = sqlx::query_scalar("select error_message from payment_attempts where state = 'APPROVED'")
        .fetch_one(gateway.pool())
        .await
        .unwrap();
    assert_eq!(said, "said by Grace: seen at Stripe");
    let mut connection = support::connection(&gateway.app.database_url).await;
    let verification = verify::verify(&mut connection).await.unwrap();
    assert!(verification.sound && verification.journals == 1, "{verification:?}");
    assert_eq!(gateway.rows().await.2, 0, "nothing is left to do");
}

#[tokio::test]
async fn what_was_parked_is_tried_again_once_a_person_says_so() {
    let gateway = gateway().await;
    let id = gateway.pay(&gateway.payment()).await.json()["id"].as_str().unwrap().to_owned();
    let (code, _) = command(&gateway, &["attempts", "retry", &id]);
    assert_eq!(code, Some(1), "it does not wait for a person");
    sqlx::query("update work_items set parked_at = now(), last_error = 'past all patience'")
        .execute(gateway.pool())
        .await
        .unwrap();
    let (_, listed) = command(&gateway, &["attempts", "list"]);
    assert_eq!(
        (&listed[0]["id"], &listed[0]["parked"], &listed[0]["reason"]),
        (&json!(id), &json!(true), &json!("past all patience"))
    );
    assert_eq!(admin(&gateway, Method::POST, &format!("parked/{id}/retry"), None).await.status, 204);
    let parked: i64 = sqlx::query_scalar("select count(*) from work_items where parked_at is not null")
        .fetch_one(gateway.pool())
        .await
        .unwrap();
    assert_eq!(parked, 0);
}

#[tokio::test]
async fn providers_are_listed_with_how_they_did_lately() {
    let gateway = gateway().await;
    let (payment, _) = unknown(&gateway).await;
    for (number, state) in [(2, "APPROVED"), (3, "RETRYABLE"), (4, "DECLINED")] {
        sqlx::query("insert into payment_attempts (id, payment_id, payment_created_at, number, payment_provider_id, state, release, t_start, latency_ms)
                select gen_random_uuid(), $1, $2, $3, id, $4, 'test', now(), 100 from payment_providers")
            .bind(payment)
            .bind(payment.created_at())
            .bind(number)
            .bind(state)
            .execute(gateway.pool())
            .await
            .unwrap();
    }
    let listed = admin(&gateway, Method::GET, "providers?minutes=10", None).await.json();
    let provider = &listed["data"][0];
    assert_eq!((&provider["attempts"], &provider["success_rate"]), (&json!(3), &json!("66.67")));
    assert_eq!(provider["average_latency_ms"], 100);
    let (_, printed) = command(&gateway, &["provider", "list", "--minutes", "600"]);
    assert_eq!((&printed[0]["attempts"], &printed[0]["open"]), (&json!(4), &json!(1)));
}
