//! A merchant with endpoints, events that happen, and dispatchers that can be killed.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use runtime::events::{self, Event, EventType};
use runtime::ids::{EventId, MerchantId, PaymentId, WebhookEndpointId};
use runtime::webhooks::dispatch::{self, Options};
use runtime::webhooks::secret::WebhookSecret;
use runtime::webhooks::{NewEndpoint, WebhookEndpoint, store};
use runtime_contract::RuntimeConfig;
use serde_json::json;
use sqlx::PgPool;
use tokio::task::JoinHandle;

use crate::support::{self, TestApp};

/// Longer than anything here may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub struct Ground {
    pub test: TestApp,
    pub merchant: MerchantId,
}

impl Ground {
    pub async fn new() -> Self {
        Self::with(true).await
    }

    pub async fn with(allow_private_addresses: bool) -> Self {
        let test = TestApp::on(&support::migrated_database().await, None, config(allow_private_addresses));
        let (merchant, _) = support::gateway::merchant(test.pool()).await;
        Self { test, merchant }
    }

    /// Another process on the same database.
    pub fn neighbour(&self) -> TestApp {
        TestApp::on(&self.test.database_url, None, config(true))
    }

    pub fn pool(&self) -> &PgPool {
        self.test.pool()
    }

    /// An endpoint for all events, and its secret. The URL is stored as it is.
    pub async fn endpoint(&self, url: &str) -> (WebhookEndpointId, String) {
        let secret = WebhookSecret::generate(&mut rand::rng());
        let new = NewEndpoint { url: url.to_owned(), description: None, event_types: None };
        let mut connection = self.pool().acquire().await.unwrap();
        let made = store::create(&mut connection, self.merchant, &new, &secret, Utc::now()).await.unwrap();
        (made.id, secret.expose().to_owned())
    }

    /// The endpoint as it stands.
    pub async fn stored(&self, id: WebhookEndpointId) -> WebhookEndpoint {
        store::find(self.pool(), id, self.merchant).await.unwrap().unwrap()
    }

    /// These events of a payment, in one commit.
    pub async fn happen(&self, payment: PaymentId, sequences: std::ops::RangeInclusive<i32>) {
        let happened: Vec<Event> = sequences.map(|sequence| self.event(payment, sequence)).collect();
        let mut transaction = self.pool().begin().await.unwrap();
        events::store::record(&mut transaction, &happened).await.unwrap();
        transaction.commit().await.unwrap();
        self.test.app.deliveries.ring([self.merchant]);
    }

    /// One event each of so many payments.
    pub async fn payments(&self, count: usize) -> Vec<PaymentId> {
        let payments: Vec<PaymentId> = (0..count).map(|_| PaymentId::at(Utc::now())).collect();
        let happened: Vec<Event> = payments.iter().map(|payment| self.event(*payment, 1)).collect();
        for chunk in happened.chunks(64) {
            let mut transaction = self.pool().begin().await.unwrap();
            events::store::record(&mut transaction, chunk).await.unwrap();
            transaction.commit().await.unwrap();
        }
        self.test.app.deliveries.ring([self.merchant]);
        payments
    }

    fn event(&self, payment: PaymentId, sequence: i32) -> Event {
        let (id, kind) = (EventId::at(Utc::now()), EventType::PaymentSucceeded);
        let data = json!({"payment": {"id": payment, "amount": "10.50"}});
        let payload =
            json!({"id": id, "type": kind.as_str(), "created_at": Utc::now(), "sequence": sequence, "data": data});
        Event {
            id,
            merchant_id: self.merchant,
            kind,
            payment_id: Some(payment),
            operation_id: None,
            sequence,
            payload: payload.to_string(),
        }
    }

    /// How many deliveries are still to be made.
    pub async fn open(&self) -> i64 {
        sqlx::query_scalar("select count(*) from webhook_deliveries").fetch_one(self.pool()).await.unwrap()
    }

    pub async fn owner(&self, id: WebhookEndpointId) -> Option<(String, DateTime<Utc>)> {
        let row: (Option<String>, Option<DateTime<Utc>>) =
            sqlx::query_as("select leased_by, leased_until from webhook_endpoints where id = $1")
                .bind(id)
                .fetch_one(self.pool())
                .await
                .unwrap();
        row.0.zip(row.1)
    }

    pub fn dispatcher(&self) -> JoinHandle<()> {
        dispatcher(&self.test, hasty())
    }

    /// Waits until everything is delivered.
    pub async fn all_delivered(&self) {
        until("everything is delivered", async || self.open().await == 0).await;
    }
}

/// A dispatcher, which works until it is aborted or its app shuts down.
pub fn dispatcher(test: &TestApp, options: Options) -> JoinHandle<()> {
    let app = test.app.clone();
    tokio::spawn(async move { dispatch::run_with(app, options).await.unwrap() })
}

/// Options under which things happen soon.
pub fn hasty() -> Options {
    Options {
        post_limit: Duration::from_millis(800),
        lease: Duration::from_millis(2_500),
        poll: Duration::from_millis(100),
        wait_factor: 0.05,
        ..Options::default()
    }
}

fn config(allow_private_addresses: bool) -> RuntimeConfig {
    let mut config = support::config();
    config.webhooks.allow_private_addresses = allow_private_addresses;
    config
}

/// Waits until something is so.
pub async fn until(what: &str, so: impl AsyncFn() -> bool) {
    let begin = Instant::now();
    while !so().await {
        assert!(begin.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
