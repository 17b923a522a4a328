//! What the API refuses: each with a problem that says what is wrong, and without writing anything.

mod support;

use reqwest::{Method, StatusCode};
use runtime::cache::Change;
use serde_json::{Value, json};
use support::gateway::{Reply, TestGateway, merchant, payer, send};

/// The problem is complete, and names what is meant.
fn assert_problem(reply: &Reply, status: u16, code: &str, param: Option<&str>) {
    assert_eq!(reply.status.as_u16(), status, "{}", String::from_utf8_lossy(&reply.bytes));
    assert_eq!(reply.header("content-type"), Some("application/problem+json"));
    let problem = reply.json();
    assert_eq!(problem["code"], code, "{problem}");
    assert_eq!(problem["status"], status);
    assert_eq!(problem["type"], format!("https://purser.dev/problems/{code}"));
    assert_eq!(problem.get("param").and_then(Value::as_str), param, "{problem}");
    assert_eq!(problem["request_id"].as_str(), reply.header("x-request-id"));
    for member in ["title", "detail", "instance"] {
        assert!(problem[member].as_str().is_some_and(|text| !text.is_empty()), "{member} is missing: {problem}");
    }
    assert_eq!(problem["retryable"], status >= 500);
}

async fn assert_nothing_written(gateway: &TestGateway) {
    assert_eq!(gateway.rows().await, (0, 0, 0));
}

#[tokio::test]
async fn amounts_and_currencies_that_cannot_be_paid_are_refused() {
    let gateway = TestGateway::new().await;
    for (amount, currency, code, param) in [
        ("0", "USD", "amount_not_positive", "amount"),
        ("0.00", "USD", "amount_not_positive", "amount"),
        ("-10.50", "USD", "amount_not_positive", "amount"),
        ("10.505", "USD", "amount_too_precise", "amount"),
        ("10.5", "JPY", "amount_too_precise", "amount"),
        ("100000000000000000000", "USD", "amount_too_large", "amount"),
        ("1e3", "USD", "amount_malformed", "amount"),
        ("ten", "USD", "amount_malformed", "amount"),
        ("10.50", "XYZ", "unknown_currency", "currency"),
        ("10.50", "usd", "unknown_currency", "currency"),
    ] {
        let mut body = gateway.payment();
        body["amount"] = json!(amount);
        body["currency"] = json!(currency);
        assert_problem(&gateway.pay(&body).await, 422, code, Some(param));
    }
    assert_nothing_written(&gateway).await;
}

#[tokio::test]
async fn a_character_that_the_database_cannot_keep_is_the_requests_fault() {
    let gateway = TestGateway::new().await;
    let method = |field: &str| {
        let mut body = json!({"user_id": gateway.user, "type": "CREDIT_CARD", "token": "pm_card_visa"});
        body[field] = json!("Ada\0Lovelace");
        body
    };
    for field in ["cardholder_name", "billing_address", "provider"] {
        let reply = gateway.post("/v1/payment-methods", &method(field)).await;
        assert_problem(&reply, 400, "invalid_request", None);
    }
    let user = json!({"email": "ada@example.com", "full_name": "Ada\0Lovelace"});
    assert_problem(&gateway.post("/v1/users", &user).await, 400, "invalid_request", None);
}

#[tokio::test]
async fn fields_that_are_unknown_missing_or_of_the_wrong_type_are_named() {
    let gateway = TestGateway::new().await;
    for (field, value, param) in [
        ("amuont", json!("1"), "amuont"),
        ("amount", json!(10.5), "amount"),
        ("payment_method_id", json!("usr_1"), "payment_method_id"),
        ("context", json!({"ip": "1.2.3.4"}), "context.ip"),
        ("context", json!({"ip_address": "1.2.3"}), "context.ip_address"),
    ] {
        let mut body = gateway.payment();
        body[field] = value;
        assert_problem(&gateway.pay(&body).await, 400, "invalid_request", Some(param));
    }
    let mut body = gateway.payment();
    body.as_object_mut().unwrap().remove("currency");
    assert_problem(&gateway.pay(&body).await, 400, "invalid_request", Some("currency"));
    assert_nothing_written(&gateway).await;
}

#[tokio::test]
async fn bodies_that_cannot_be_read_are_refused() {
    let gateway = TestGateway::new().await;
    let post =
        |body: Vec<u8>| send(gateway.request(Method::POST, "/v1/payments").header("Idempotency-Key", "k").body(body));
    assert_problem(&post(b"{\"amount\": ".to_vec()).await, 400, "invalid_json", None);
    assert_problem(&post(Vec::new()).await, 400, "invalid_json", None);
    assert_problem(&post(b"[\"10.50\", \"USD\"]".to_vec()).await, 400, "invalid_request", None);
    let context =
        format!(r#"{{"amount":"10.50","currency":"USD","payment_method_id":"{}","context":[]}}"#, gateway.card);
    assert_problem(&post(context.into_bytes()).await, 400, "invalid_request", Some("context"));
    assert_problem(&post(b"{\"amount\": \"\xff\"}".to_vec()).await, 400, "invalid_utf8", None);
    assert_problem(&post(vec![b' '; 1024 * 1024]).await, 413, "body_too_large", None);
    let form = gateway.request(Method::POST, "/v1/payments").form(&[("amount", "1")]);
    assert_problem(&send(form).await, 415, "unsupported_media_type", Some("Content-Type"));
    assert_nothing_written(&gateway).await;
}

#[tokio::test]
async fn a_call_without_a_known_key_is_refused() {
    let gateway = TestGateway::new().await;
    let client = reqwest::Client::new();
    let url = format!("{}/v1/payments", gateway.url);
    let wrong = format!("psk_{}", "a".repeat(43));
    for request in [
        client.post(&url),
        client.post(&url).bearer_auth("guess"),
        client.post(&url).bearer_auth(&wrong),
        client.post(&url).basic_auth(&gateway.key, None::<&str>),
    ] {
        let reply = send(request.json(&gateway.payment())).await;
        assert_problem(&reply, 401, "unauthorized", Some("Authorization"));
        assert!(reply.header("www-authenticate").is_some());
        assert!(!String::from_utf8_lossy(&reply.bytes).contains(&wrong));
    }
    assert_nothing_written(&gateway).await;
}

#[tokio::test]
async fn a_payment_without_a_usable_idempotency_key_is_refused() {
    let gateway = TestGateway::new().await;
    for path in ["/v1/payments", "/v1/users", "/v1/payment-methods"] {
        let body = match path {
            "/v1/users" => json!({"email": "ada@example.com"}),
            "/v1/payments" => gateway.payment(),
            _ => json!({"user_id": gateway.user, "type": "CREDIT_CARD", "token": "pm_card_visa"}),
        };
        let reply = send(gateway.request(Method::POST, path).json(&body)).await;
        assert_problem(&reply, 400, "idempotency_key_missing", Some("Idempotency-Key"));
    }
    for key in ["a b", "", &"k".repeat(256)] {
        let reply = gateway.pay_with(&gateway.payment(), key, 0).await;
        assert_problem(&reply, 400, "idempotency_key_invalid", Some("Idempotency-Key"));
    }
    let reply = gateway.pay_with(&gateway.payment(), "4242424242424242", 0).await;
    assert_problem(&reply, 400, "card_number_refused", Some("Idempotency-Key"));
    let endless =
        gateway.request(Method::POST, "/v1/payments").header("Idempotency-Key", "k").header("Prefer", "wait=3600");
    assert_problem(&send(endless.json(&gateway.payment())).await, 400, "invalid_prefer", Some("Prefer"));
    assert_nothing_written(&gateway).await;
}

#[tokio::test]
async fn a_payment_method_that_may_not_be_used_is_refused() {
    let gateway = TestGateway::new().await;
    let (stranger, _) = merchant(gateway.pool()).await;
    let (_, strange_card) = payer(gateway.pool(), stranger).await;
    let (other_user, _) = payer(gateway.pool(), gateway.merchant).await;

    let mut body = gateway.payment();
    body["payment_method_id"] = json!(strange_card);
    assert_problem(&gateway.pay(&body).await, 422, "payment_method_not_found", Some("payment_method_id"));

    let mut body = gateway.payment();
    body["user_id"] = json!(other_user);
    assert_problem(&gateway.pay(&body).await, 422, "user_mismatch", Some("user_id"));

    for (status, code) in [("SUSPENDED", "user_suspended"), ("BLOCKED", "user_blocked")] {
        sqlx::query("update users set status = $2 where id = $1")
            .bind(gateway.user)
            .bind(status)
            .execute(gateway.pool())
            .await
            .unwrap();
        // Every process hears of it a moment later.
        gateway.app.app.copies.forget(Change::User(gateway.user)).await;
        assert_problem(&gateway.pay(&gateway.payment()).await, 422, code, Some("user_id"));
    }
    sqlx::query("update users set status = 'ACTIVE'").execute(gateway.pool()).await.unwrap();

    sqlx::query("update payment_methods set expiry_year = 2020").execute(gateway.pool()).await.unwrap();
    gateway.app.app.copies.forget(Change::User(gateway.user)).await;
    gateway.app.app.copies.forget(Change::PaymentMethod(gateway.card)).await;
    assert_problem(&gateway.pay(&gateway.payment()).await, 422, "payment_method_expired", Some("payment_method_id"));
    assert_nothing_written(&gateway).await;
}

#[tokio::test]
async fn a_merchant_that_is_suspended_reads_but_takes_no_payments() {
    let gateway = TestGateway::new().await;
    let id = gateway.pay(&gateway.payment()).await.json()["id"].as_str().unwrap().to_owned();
    sqlx::query("update merchants set status = 'SUSPENDED'").execute(gateway.pool()).await.unwrap();
    gateway.app.app.copies.forget(Change::Merchant(gateway.merchant)).await;
    let url = support::gateway::start(gateway.app.app.clone()).await;
    let client = reqwest::Client::new();
    let post = client
        .post(format!("{url}/v1/payments"))
        .bearer_auth(&gateway.key)
        .header("Idempotency-Key", "k")
        .json(&gateway.payment());
    assert_problem(&send(post).await, 403, "merchant_not_active", None);
    let get = client.get(format!("{url}/v1/payments/{id}")).bearer_auth(&gateway.key);
    assert_eq!(send(get).await.status, StatusCode::OK);
    assert_eq!(gateway.rows().await.0, 1);
}

#[tokio::test]
async fn another_merchants_payment_looks_like_none() {
    let gateway = TestGateway::new().await;
    let id = gateway.pay(&gateway.payment()).await.json()["id"].as_str().unwrap().to_owned();
    let (_, strange_key) = merchant(gateway.pool()).await;
    let get =
        |key: &str| send(reqwest::Client::new().get(format!("{}/v1/payments/{id}", gateway.url)).bearer_auth(key));
    assert_eq!(get(&gateway.key).await.status, StatusCode::OK);
    assert_problem(&get(&strange_key).await, 404, "payment_not_found", None);
    assert_problem(&gateway.get("/v1/payments/pay_1").await, 404, "payment_not_found", None);
}

#[tokio::test]
async fn paths_and_methods_that_do_not_exist_are_problems_too() {
    let gateway = TestGateway::new().await;
    assert_problem(&gateway.get("/v1/nothing").await, 404, "no_such_path", None);
    let reply = send(gateway.request(Method::DELETE, "/v1/payments")).await;
    assert_problem(&reply, 405, "method_not_allowed", None);
    assert!(reply.header("allow").is_some_and(|allowed| allowed.contains("POST")));
}

#[tokio::test]
async fn a_card_number_is_refused_wherever_it_stands() {
    let gateway = TestGateway::new().await;
    let mut body = gateway.payment();
    body["description"] = json!("card 4242-4242-4242-4242");
    let user = json!({"email": "a@example.com", "full_name": "5555555555554444"});
    let dotted = json!({"email": "a@example.com", "full_name": "5555.5555.5555.4444"});
    let method = json!({"user_id": gateway.user, "type": "CREDIT_CARD", "token": "3782\t822463\t10005"});
    let replies = [
        gateway.pay(&body).await,
        gateway.post("/v1/users", &user).await,
        gateway.post("/v1/users", &dotted).await,
        gateway.post("/v1/payment-methods", &method).await,
    ];
    for reply in replies {
        assert_problem(&reply, 400, "card_number_refused", None);
        assert!(!String::from_utf8_lossy(&reply.bytes).contains("4242"));
    }
    assert_nothing_written(&gateway).await;
}

#[tokio::test]
async fn users_and_payment_methods_are_checked() {
    let gateway = TestGateway::new().await;
    // A telephone number whose digits would pass for those of a card.
    let user = json!({"email": "ada@example.com", "phone": "+55 11 91234-5676"});
    assert_eq!(gateway.post("/v1/users", &user).await.status, StatusCode::CREATED);
    assert_problem(
        &gateway.post("/v1/users", &json!({"email": "ADA@example.com"})).await,
        409,
        "email_taken",
        Some("email"),
    );
    assert_problem(&gateway.post("/v1/users", &json!({"email": "ada"})).await, 422, "invalid_field", Some("email"));

    let (stranger, _) = merchant(gateway.pool()).await;
    let (strange_user, _) = payer(gateway.pool(), stranger).await;
    let method = |user| json!({"user_id": user, "type": "CREDIT_CARD", "token": "pm_card_visa", "last_four": "4242"});
    assert_problem(
        &gateway.post("/v1/payment-methods", &method(strange_user)).await,
        422,
        "user_not_found",
        Some("user_id"),
    );
    let mut expired = method(gateway.user);
    expired["expiry_month"] = json!(1);
    expired["expiry_year"] = json!(2020);
    assert_problem(
        &gateway.post("/v1/payment-methods", &expired).await,
        422,
        "payment_method_expired",
        Some("expiry_month"),
    );
}

#[tokio::test]
async fn without_a_database_the_client_is_told_to_come_back() {
    let mut postgres = support::server::postgres();
    let url = support::url_on(postgres.port(), "postgres");
    let now = chrono::Utc::now();
    runtime::migrate::run(&secrecy::SecretString::from(url.as_str()), support::OWNER, support::PATIENCE, now)
        .await
        .unwrap();
    let gateway = TestGateway::on(support::TestApp::on(&url, None, support::config())).await;
    assert_eq!(gateway.pay(&gateway.payment()).await.status, StatusCode::ACCEPTED);

    postgres.stop();
    let reply = gateway.pay_with(&gateway.payment(), "during-the-outage", 0).await;
    assert_problem(&reply, 503, "database_unavailable", None);
    assert_eq!(reply.header("retry-after"), Some("1"));

    postgres.start();
    let again = gateway.pay_with(&gateway.payment(), "during-the-outage", 0).await;
    assert_eq!(again.status, StatusCode::ACCEPTED, "{}", again.json());
    assert_eq!(gateway.rows().await, (2, 2, 2));
}
