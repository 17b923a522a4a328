//! A gateway on a free port, and a merchant that calls it.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use reqwest::{Method, StatusCode};
use runtime::app::App;
use runtime::events::{self, Event, EventType};
use runtime::ids::{MerchantId, PaymentId, PaymentMethodId, UserId};
use runtime::merchants::{self, ApiKey, store::NewMerchant};
use runtime::payments;
use rust_decimal::Decimal;
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio::net::TcpListener;
use uuid::Uuid;

use super::TestApp;

/// A gateway that takes calls, with one merchant, one user and one card.
pub struct TestGateway {
    pub app: TestApp,
    pub url: String,
    pub merchant: MerchantId,
    pub key: String,
    pub user: UserId,
    pub card: PaymentMethodId,
}

/// An answer, read whole.
#[derive(Debug, PartialEq)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: http::HeaderMap,
    pub bytes: Vec<u8>,
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

impl TestGateway {
    pub async fn new() -> Self {
        Self::on(TestApp::new().await).await
    }

    pub async fn on(app: TestApp) -> Self {
        let (merchant, key) = merchant(app.pool()).await;
        let (user, card) = payer(app.pool(), merchant).await;
        let url = start(app.app.clone()).await;
        Self { app, url, merchant, key, user, card }
    }

    pub fn pool(&self) -> &PgPool {
        self.app.pool()
    }

    /// A request with the merchant's key.
    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        reqwest::Client::new().request(method, format!("{}{path}", self.url)).bearer_auth(&self.key)
    }

    pub async fn get(&self, path: &str) -> Reply {
        send(self.request(Method::GET, path)).await
    }

    /// A write with a new key.
    pub async fn post(&self, path: &str, body: &Value) -> Reply {
        self.post_with(path, body, &Uuid::now_v7().to_string()).await
    }

    pub async fn post_with(&self, path: &str, body: &Value, key: &str) -> Reply {
        send(self.request(Method::POST, path).header("Idempotency-Key", key).json(body)).await
    }

    /// A body that is accepted.
    pub fn payment(&self) -> Value {
        json!({"amount": "10.50", "currency": "USD", "payment_method_id": self.card})
    }

    /// Pays with a new key and does not wait.
    pub async fn pay(&self, body: &Value) -> Reply {
        self.pay_with(body, &Uuid::now_v7().to_string(), 0).await
    }

    pub async fn pay_with(&self, body: &Value, key: &str, wait_s: u32) -> Reply {
        let request = self.request(Method::POST, "/v1/payments").header("Idempotency-Key", key);
        send(request.header("Prefer", format!("wait={wait_s}")).json(body)).await
    }

    /// How many payments, keys and work items there are.
    pub async fn rows(&self) -> (i64, i64, i64) {
        let query = "select (select count(*) from transactions), (select count(*) from idempotency_keys), (select count(*) from work_items)";
        sqlx::query_as(query).fetch_one(self.pool()).await.unwrap()
    }
}

pub async fn send(request: reqwest::RequestBuilder) -> Reply {
    let response = request.send().await.unwrap();
    Reply {
        status: response.status(),
        headers: response.headers().clone(),
        bytes: response.bytes().await.unwrap().to_vec(),
    }
}

/// What a processor does at the end of a payment, in the smallest form: the payment and its event in one commit, and
/// the gateways told of it.
pub async fn settle(gateway: &TestGateway, id: PaymentId) {
    let mut transaction = gateway.pool().begin().await.unwrap();
    sqlx::query(
        "update transactions set status = 'SUCCESS', t_end = t_start + interval '250 ms', latency_ms = 250, fee = 0.30,
             sequence = 1
         where id = $1 and created_at = $2",
    )
    .bind(id)
    .bind(id.created_at())
    .execute(&mut *transaction)
    .await
    .unwrap();
    let payment = payments::store::load(&mut *transaction, id).await.unwrap().unwrap();
    let event = Event::of_payment(EventType::PaymentSucceeded, &payment, None, Utc::now()).unwrap();
    events::store::record(&mut transaction, &[event]).await.unwrap();
    transaction.commit().await.unwrap();
    sqlx::query("select pg_notify('purser_settled', $1)")
        .bind(id.as_uuid().to_string())
        .execute(gateway.pool())
        .await
        .unwrap();
}

/// Waits for the one payment there is to be accepted.
pub async fn accepted(gateway: &TestGateway) -> PaymentId {
    for _ in 0..500 {
        // No connection within three seconds, on a busy machine, is no answer yet.
        let found = sqlx::query_scalar("select id from transactions").fetch_optional(gateway.pool()).await;
        if let Ok(Some(id)) = found {
            return id;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("no payment was accepted");
}

/// Starts a gateway: its URL.
pub async fn start(app: Arc<App>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(runtime::gateway::serve_on(app, listener));
    url
}

/// A merchant and its key.
pub async fn merchant(pool: &PgPool) -> (MerchantId, String) {
    let key = ApiKey::generate(&mut rand::rng());
    let new =
        NewMerchant { name: "Shop".into(), email: "shop@example.com".into(), fee_percentage: Decimal::new(290, 2) };
    (merchants::store::create(pool, &new, &key, Utc::now()).await.unwrap(), key.expose().to_owned())
}

/// A user of the merchant and the user's card.
pub async fn payer(pool: &PgPool, merchant: MerchantId) -> (UserId, PaymentMethodId) {
    let now: DateTime<Utc> = Utc::now();
    let (user, card) = (UserId::at(now), PaymentMethodId::at(now));
    sqlx::query("insert into users (id, merchant_id, email) values ($1, $2, $3)")
        .bind(user)
        .bind(merchant)
        .bind(format!("{user}@example.com"))
        .execute(pool)
        .await
        .unwrap();
    sqlx::query(
        "insert into payment_methods (id, user_id, type, token, last_four, expiry_month, expiry_year)
         values ($1, $2, 'CREDIT_CARD', 'pm_card_visa', '4242', 12, 2090)",
    )
    .bind(card)
    .bind(user)
    .execute(pool)
    .await
    .unwrap();
    (user, card)
}
