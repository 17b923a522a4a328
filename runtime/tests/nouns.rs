//! Users, payment methods and payments as merchants read and change them.

// A helper that fails is a test that fails.
#![allow(clippy::unwrap_used)]

mod support;

use chrono::{TimeDelta, Utc};
use reqwest::{Method, StatusCode};
use runtime::ids::{MerchantId, PaymentId};
use serde_json::{Value, json};
use sqlx::postgres::PgListener;
use support::gateway::{Reply, TestGateway, merchant, payer, send};

/// Follows a list to its end: the ids it showed.
async fn walk(gateway: &TestGateway, path: &str, cursor: &str) -> Vec<String> {
    let (mut ids, mut next) = (Vec::new(), String::new());
    loop {
        let page = gateway.get(&format!("{path}{next}")).await;
        assert_eq!(page.status, 200, "{page:?}");
        let page = page.json();
        ids.extend(page["data"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()));
        if page["has_more"] == false {
            return ids;
        }
        next = format!("&{cursor}={}", page["next_cursor"].as_str().unwrap());
    }
}

async fn accept(gateway: &TestGateway, count: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for _ in 0..count {
        ids.push(gateway.pay(&gateway.payment()).await.json()["id"].as_str().unwrap().to_owned());
    }
    ids.sort();
    ids.reverse();
    ids
}

#[tokio::test]
async fn payments_are_walked_page_by_page_in_both_directions() {
    let gateway = TestGateway::new().await;
    let newest_first = accept(&gateway, 7).await;
    assert_eq!(walk(&gateway, "/v1/payments?limit=3", "starting_after").await, newest_first);
    let oldest = newest_first.last().unwrap();
    let page = gateway.get(&format!("/v1/payments?limit=3&ending_before={oldest}")).await.json();
    let shown: Vec<&str> = page["data"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap()).collect();
    assert_eq!(shown, newest_first[3..6], "the three that are next to it");
    assert_eq!((&page["has_more"], &page["next_cursor"]), (&json!(true), &json!(newest_first[3])));
}

#[tokio::test]
async fn payments_are_found_by_what_they_are() {
    let gateway = TestGateway::new().await;
    let ids = accept(&gateway, 3).await;
    let (asked, failed): (PaymentId, PaymentId) = (ids[0].parse().unwrap(), ids[1].parse().unwrap());
    sqlx::query("insert into payment_providers (name, resource, api_endpoint, max_latency_ms, success_rate_threshold, priority) values ('STRIPE', 'stripe', 'http://x', 1, 1, 1)")
        .execute(gateway.pool())
        .await
        .unwrap();
    sqlx::query("insert into payment_attempts (id, payment_id, payment_created_at, number, payment_provider_id, release, t_start, route)
                 select $1, $1, $2, 1, id, 'test', now(), 'first by priority' from payment_providers")
        .bind(asked)
        .bind(asked.created_at())
        .execute(gateway.pool())
        .await
        .unwrap();
    sqlx::query("update transactions set status = 'FAILED', t_end = now() where id = $1")
        .bind(failed)
        .execute(gateway.pool())
        .await
        .unwrap();
    let day = TimeDelta::days(1);
    let (yesterday, tomorrow) = ((Utc::now() - day).to_rfc3339(), (Utc::now() + day).to_rfc3339());
    let (yesterday, tomorrow) = (yesterday.replace('+', "%2B"), tomorrow.replace('+', "%2B"));
    for (filter, found) in [
        ("status=PROCESSING".to_owned(), vec![0]),
        ("status=PENDING".to_owned(), vec![2]),
        ("status=FAILED".to_owned(), vec![1]),
        ("status=SUCCESS".to_owned(), vec![]),
        (format!("user_id={}", gateway.user), vec![0, 1, 2]),
        ("currency=USD&amount[gte]=10.5&amount[lte]=10.50".to_owned(), vec![0, 1, 2]),
        ("currency=USD&amount[gte]=10.51".to_owned(), vec![]),
        ("currency=EUR".to_owned(), vec![]),
        (format!("created[gte]={yesterday}&created[lt]={tomorrow}"), vec![0, 1, 2]),
        (format!("created[gte]={tomorrow}"), vec![]),
    ] {
        let expected: Vec<&String> = found.into_iter().map(|n: usize| &ids[n]).collect();
        let ids = walk(&gateway, &format!("/v1/payments?{filter}"), "starting_after").await;
        assert_eq!(ids.iter().collect::<Vec<_>>(), expected, "{filter}");
    }
    let attempts = gateway.get(&format!("/v1/payments/{asked}/attempts")).await.json();
    assert_eq!(
        (attempts["data"][0]["state"].as_str(), attempts["data"][0]["route"].as_str()),
        (Some("SENT"), Some("first by priority"))
    );
}

#[tokio::test]
async fn a_query_that_cannot_be_meant_is_refused_by_its_parameter() {
    let gateway = TestGateway::new().await;
    for (query, param) in [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=many", "limit"),
        ("status=PAID", "status"),
        ("user_id=pay_1", "user_id"),
        ("currency=XXX", "currency"),
        ("amount[gte]=10", "amount[gte]"),
        ("currency=USD&amount[lte]=1e9", "amount[lte]"),
        ("created[gte]=yesterday", "created[gte]"),
        ("starting_after=usr_1", "starting_after"),
        ("order=asc", "order"),
    ] {
        let refused = gateway.get(&format!("/v1/payments?{query}")).await;
        assert_eq!((refused.status.as_u16(), refused.json()["param"].as_str()), (400, Some(param)), "{query}");
    }
    for path in ["/v1/payments?user_id=4242424242424242", "/v1/payments/4242%204242%204242%204242"] {
        let refused = gateway.get(path).await;
        assert_eq!(refused.json()["code"], "card_number_refused", "{path}");
        assert!(!String::from_utf8(refused.bytes).unwrap().contains("4242"), "nothing of it is repeated");
    }
}

#[tokio::test]
async fn a_payment_that_did_not_change_is_not_sent_again() {
    let gateway = TestGateway::new().await;
    let id = accept(&gateway, 1).await.remove(0);
    let path = format!("/v1/payments/{id}");
    let first = gateway.get(&path).await;
    let tag = first.header("etag").unwrap().to_owned();
    let again = async || send(gateway.request(Method::GET, &path).header("If-None-Match", &tag)).await;
    let unchanged = again().await;
    assert_eq!((unchanged.status, unchanged.bytes.len()), (StatusCode::NOT_MODIFIED, 0));
    sqlx::query("update transactions set status = 'FAILED', sequence = 1, t_end = now()")
        .execute(gateway.pool())
        .await
        .unwrap();
    assert_eq!(again().await.status, 200);
}

/// Another merchant's key.
async fn stranger(gateway: &TestGateway) -> (MerchantId, String) {
    merchant(gateway.pool()).await
}

#[tokio::test]
async fn what_belongs_to_another_merchant_does_not_exist() {
    let gateway = TestGateway::new().await;
    let payment = accept(&gateway, 1).await.remove(0);
    let (_, key) = stranger(&gateway).await;
    for (method, path) in [
        (Method::GET, format!("/v1/payments/{payment}")),
        (Method::GET, format!("/v1/payments/{payment}/attempts")),
        (Method::GET, format!("/v1/users/{}", gateway.user)),
        (Method::GET, format!("/v1/users/{}/statistics", gateway.user)),
        (Method::PATCH, format!("/v1/users/{}", gateway.user)),
        (Method::GET, format!("/v1/payment-methods/{}", gateway.card)),
        (Method::PATCH, format!("/v1/payment-methods/{}", gateway.card)),
        (Method::DELETE, format!("/v1/payment-methods/{}", gateway.card)),
    ] {
        let body = if method == Method::PATCH { json!({}) } else { Value::Null };
        let request = gateway.request(method.clone(), &path);
        let request = reqwest::RequestBuilder::bearer_auth(request_without_key(request), &key);
        let request = if body.is_null() { request } else { request.json(&body) };
        assert_eq!(send(request).await.status, 404, "{method} {path}");
    }
    for path in
        ["/v1/payments".to_owned(), "/v1/users".to_owned(), format!("/v1/payment-methods?user_id={}", gateway.user)]
    {
        let url = format!("{}{path}", gateway.url);
        let list = send(reqwest::Client::new().get(url).bearer_auth(&key)).await.json();
        assert_eq!(list["data"], json!([]), "{path}");
    }
}

fn request_without_key(request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
    let (client, request) = request.build_split();
    let mut request = request.unwrap();
    request.headers_mut().remove("authorization");
    reqwest::RequestBuilder::from_parts(client, request)
}

async fn patch(gateway: &TestGateway, path: &str, change: Value) -> Reply {
    send(gateway.request(Method::PATCH, path).json(&change)).await
}

#[tokio::test]
async fn a_user_is_changed_field_by_field_and_every_process_is_told() {
    let gateway = TestGateway::new().await;
    let path = format!("/v1/users/{}", gateway.user);
    let mut listener = PgListener::connect_with(gateway.pool()).await.unwrap();
    listener.listen("purser_changed").await.unwrap();
    let changed =
        patch(&gateway, &path, json!({"full_name": "Ada", "phone": "112", "email_verified": true})).await.json();
    assert_eq!((&changed["full_name"], &changed["email_verified"]), (&json!("Ada"), &json!(true)));
    let told = tokio::time::timeout(std::time::Duration::from_secs(10), listener.recv()).await.unwrap().unwrap();
    assert_eq!(told.payload(), format!("user:{}", gateway.user.as_uuid()));
    let changed =
        patch(&gateway, &path, json!({"phone": null, "email": "Ada@example.com", "status": "SUSPENDED"})).await;
    let changed = changed.json();
    assert_eq!((&changed["full_name"], &changed["phone"]), (&json!("Ada"), &Value::Null));
    assert_eq!((&changed["email_verified"], &changed["status"]), (&json!(false), &json!("SUSPENDED")));
    assert_eq!(gateway.get(&path).await.json(), changed);
    assert_eq!(gateway.pay(&gateway.payment()).await.json()["code"], "user_suspended");
    let taken = gateway.post("/v1/users", &json!({"email": "grace@example.com"})).await.json();
    let refused = patch(&gateway, &path, json!({"email": "GRACE@example.com"})).await;
    assert_eq!((refused.status.as_u16(), &refused.json()["code"]), (409, &json!("email_taken")), "{taken}");
    for (change, param) in [
        (json!({"status": "GONE"}), "status"),
        (json!({"nickname": "A"}), "nickname"),
        (json!({"email": "nobody"}), "email"),
    ] {
        let refused = patch(&gateway, &path, change).await;
        assert_eq!(refused.json()["param"], param);
    }
}

#[tokio::test]
async fn one_who_did_not_see_the_latest_change_does_not_overwrite_it() {
    let gateway = TestGateway::new().await;
    for path in [format!("/v1/users/{}", gateway.user), format!("/v1/payment-methods/{}", gateway.card)] {
        let seen = gateway.get(&path).await.header("etag").unwrap().to_owned();
        let attempt = async |tag: &str| {
            send(gateway.request(Method::PATCH, &path).header("If-Match", tag).json(&json!({}))).await
        };
        let changed = attempt(&seen).await;
        assert_eq!(changed.status, 200);
        let late = attempt(&seen).await;
        assert_eq!((late.status.as_u16(), &late.json()["code"]), (412, &json!("changed_meanwhile")));
        assert_eq!(attempt(changed.header("etag").unwrap()).await.status, 200);
    }
}

#[tokio::test]
async fn a_users_payments_are_counted() {
    let gateway = TestGateway::new().await;
    let ids = accept(&gateway, 4).await;
    for (id, status) in ids.iter().zip(["SUCCESS", "REFUNDED", "FAILED"]) {
        let id: PaymentId = id.parse().unwrap();
        sqlx::query("update transactions set status = $2, t_end = now() where id = $1")
            .bind(id)
            .bind(status)
            .execute(gateway.pool())
            .await
            .unwrap();
    }
    let statistics = gateway.get(&format!("/v1/users/{}/statistics", gateway.user)).await.json();
    let expected = json!({"total_transaction_count": 4, "success_rate": "66.67", "default_payment_method_id": null});
    assert_eq!(statistics, expected);
}

#[tokio::test]
async fn users_are_found_by_their_address() {
    let gateway = TestGateway::new().await;
    for name in ["ada", "grace", "edsger"] {
        let made = gateway.post("/v1/users", &json!({"email": format!("{name}@example.com")})).await;
        assert_eq!(made.status, 201);
    }
    assert_eq!(walk(&gateway, "/v1/users?limit=2", "starting_after").await.len(), 4);
    assert_eq!(walk(&gateway, "/v1/users?email=ADA@example.com", "starting_after").await.len(), 1);
    assert_eq!(walk(&gateway, "/v1/users?risk_level=HIGH", "starting_after").await.len(), 0);
}

#[tokio::test]
async fn a_detached_payment_method_cannot_be_paid_with_and_stays_readable() {
    let gateway = TestGateway::new().await;
    let path = format!("/v1/payment-methods/{}", gateway.card);
    let detach = async || send(gateway.request(Method::DELETE, &path)).await.status;
    assert_eq!((detach().await, detach().await), (StatusCode::NO_CONTENT, StatusCode::NO_CONTENT));
    let read = gateway.get(&path).await.json();
    assert!(read["detached_at"].is_string() && read["is_default"] == false && read["token"].is_null(), "{read}");
    let listed = gateway.get(&format!("/v1/payment-methods?user_id={}", gateway.user)).await.json();
    assert_eq!(listed["data"], json!([]));
    assert_eq!(gateway.pay(&gateway.payment()).await.json()["code"], "payment_method_not_found");
    let refused = patch(&gateway, &path, json!({"is_default": true})).await;
    assert_eq!(refused.json()["code"], "payment_method_detached");
}

#[tokio::test]
async fn of_many_new_defaults_at_once_one_stays() {
    let gateway = TestGateway::new().await;
    let mut methods = vec![gateway.card.to_string()];
    for _ in 0..3 {
        let new = json!({"user_id": gateway.user, "type": "CREDIT_CARD", "token": "pm_card_visa", "last_four": "4242"});
        let made = gateway.post("/v1/payment-methods", &new).await.json();
        assert_eq!(made["masked"], "•••• 4242");
        methods.push(made["id"].as_str().unwrap().to_owned());
    }
    let paths: Vec<String> = methods.iter().map(|id| format!("/v1/payment-methods/{id}")).collect();
    let changes = paths.iter().map(|path| patch(&gateway, path, json!({"is_default": true})));
    for reply in futures::future::join_all(changes).await {
        assert_eq!(reply.status, 200);
    }
    let listed = gateway.get(&format!("/v1/payment-methods?user_id={}", gateway.user)).await.json();
    let defaults = listed["data"].as_array().unwrap().iter().filter(|method| method["is_default"] == true).count();
    assert_eq!((listed["data"].as_array().unwrap().len(), defaults), (4, 1));
}

#[tokio::test]
async fn a_merchant_that_is_suspended_may_read_its_users_and_their_cards_but_change_none() {
    let gateway = TestGateway::new().await;
    let (other, key) = stranger(&gateway).await;
    let (user, card) = payer(gateway.pool(), other).await;
    sqlx::query("update merchants set status = 'SUSPENDED' where id = $1")
        .bind(other)
        .execute(gateway.pool())
        .await
        .unwrap();
    let client = reqwest::Client::new();
    let url = |path: String| format!("{}{path}", gateway.url);
    let read = send(client.get(url(format!("/v1/users/{user}"))).bearer_auth(&key)).await;
    assert_eq!(read.status, 200);
    for (method, path) in
        [(Method::PATCH, format!("/v1/users/{user}")), (Method::DELETE, format!("/v1/payment-methods/{card}"))]
    {
        let refused = send(client.request(method, url(path)).bearer_auth(&key).json(&json!({}))).await;
        assert_eq!((refused.status.as_u16(), &refused.json()["code"]), (403, &json!("merchant_not_active")));
    }
}
