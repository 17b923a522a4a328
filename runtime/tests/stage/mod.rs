//! A stage for payments: a merchant, a user, a provider simulator, and processors that can be killed.

// Every test program compiles this module whole and uses a part of it.
#![allow(dead_code, unreachable_pub, unused_imports, missing_docs)]

mod simulator;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use runtime::fraud;
use runtime::ids::{MerchantId, PaymentId, PaymentMethodId, UserId};
use runtime::processor::{self, Options};
use runtime::settings_apply;
use runtime_contract::{CacheTtl, Environment, OnDeadline, ProviderName, ProviderSettings, RuntimeConfig, Settings};
use rust_decimal::Decimal;
use serde_json::Value;
use sqlx::{Connection, FromRow, PgPool};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub use self::simulator::Provider;
use crate::support::{self, OWNER, RELEASE, TestApp};

/// Longer than anything here may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub struct Stage {
    pub test: TestApp,
    pub merchant: MerchantId,
    pub user: UserId,
    method: PaymentMethodId,
    revision: i64,
}

/// A payment as it stands.
#[derive(Clone, Debug, FromRow)]
pub struct Stored {
    pub status: String,
    pub fee: Option<Decimal>,
    pub fraud_status: Option<String>,
    pub fraud_score: Option<Decimal>,
    pub error_code: Option<String>,
    pub error_message: Option<String>,
    pub provider_reference: Option<String>,
    pub t_start: DateTime<Utc>,
    pub t_end: Option<DateTime<Utc>>,
    pub latency_ms: Option<i32>,
}

impl Stage {
    /// With the fraud workload of this process, on the test process' Redis.
    pub async fn new(token: &str) -> Self {
        Self::with_cache(token, Some(&support::redis_url())).await
    }

    pub async fn with_cache(token: &str, cache_url: Option<&str>) -> Self {
        Self::on(token, cache_url, support::config()).await
    }

    /// The same in an environment.
    pub async fn of(token: &str, environment: Environment) -> Self {
        Self::on(token, Some(&support::redis_url()), RuntimeConfig { environment, ..support::config() }).await
    }

    async fn on(token: &str, cache_url: Option<&str>, mut config: RuntimeConfig) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        // Debug builds on a busy machine; the deadline itself has its own tests.
        config.fraud.deadline_ms = 5_000;
        config.fraud.url = format!("http://{}", listener.local_addr().unwrap());
        let test = TestApp::on(&support::migrated_database().await, cache_url, config);
        tokio::spawn(fraud::serve_on(test.app.clone(), listener, support::FRAUD_LIMITS));
        Self::furnish(test, token).await
    }

    /// With nothing where the fraud workload should be.
    pub async fn without_fraud(token: &str, on_deadline: OnDeadline) -> Self {
        let mut config = support::config();
        config.fraud.on_deadline = on_deadline;
        Self::furnish(TestApp::on(&support::migrated_database().await, None, config), token).await
    }

    /// With a fraud workload at this address, once somebody serves it.
    pub async fn without_fraud_yet(token: &str, address: SocketAddr) -> Self {
        let mut config = support::config();
        config.fraud.url = format!("http://{address}");
        let test = TestApp::on(&support::migrated_database().await, Some(&support::redis_url()), config);
        Self::furnish(test, token).await
    }

    async fn furnish(test: TestApp, token: &str) -> Self {
        let now = Utc::now();
        let merchant = MerchantId::at(now);
        let pool = test.pool();
        let hash = format!("{:0>64}", merchant.as_uuid().simple().to_string());
        sqlx::query("insert into merchants (id, name, email, api_key, api_key_prefix) values ($1, 'Shop', 'shop@shop.test', $2, 'psk_test')")
            .bind(merchant)
            .bind(hash)
            .execute(pool)
            .await
            .unwrap();
        let (user, method) = payer(pool, merchant, token).await;
        Self { test, merchant, user, method, revision: 0 }
    }

    pub fn pool(&self) -> &PgPool {
        self.test.pool()
    }

    /// Puts these providers into force, each with a credential, and waits until the app knows.
    pub async fn providers(&mut self, providers: &[ProviderSettings]) {
        self.revision += 1;
        for provider in providers {
            self.test.credential(&provider.resource, "sk_test_stage");
        }
        let cache_ttl = CacheTtl { user_s: 300, payment_method_s: 600, fraud_rules_s: 3600, metrics_s: 60 };
        let settings = Settings {
            revision: self.revision,
            cache_ttl,
            providers: providers.to_vec(),
            limits: support::unlimited(),
            maintenance: None,
        };
        let mut connection = support::connection(&self.test.database_url).await;
        settings_apply::apply(&mut connection, OWNER, &settings).await.unwrap();
        connection.close().await.unwrap();
        until("the settings are known", async || self.test.app.settings.current().revision == self.revision).await;
    }

    /// Accepts a payment as the gateway does: one commit, then a hint.
    pub async fn accept(&self, amount: &str, currency: &str) -> PaymentId {
        self.accept_for(RELEASE, amount, currency).await
    }

    pub async fn accept_for(&self, release: &str, amount: &str, currency: &str) -> PaymentId {
        let id = PaymentId::at(Utc::now());
        let mut transaction = self.pool().begin().await.unwrap();
        sqlx::query(
            "insert into transactions (id, amount, currency, t_start, user_id, merchant_id, payment_method_id, release, created_at)
             values ($1, $2::numeric, $3, $4, $5, $6, $7, $8, $4)",
        )
        .bind(id)
        .bind(amount.parse::<Decimal>().unwrap())
        .bind(currency)
        .bind(id.created_at())
        .bind(self.user)
        .bind(self.merchant)
        .bind(self.method)
        .bind(release)
        .execute(&mut *transaction)
        .await
        .unwrap();
        sqlx::query(
            "insert into work_items (payment_id, payment_created_at, merchant_id, release) values ($1, $2, $3, $4)",
        )
        .bind(id)
        .bind(id.created_at())
        .bind(self.merchant)
        .bind(release)
        .execute(&mut *transaction)
        .await
        .unwrap();
        transaction.commit().await.unwrap();
        sqlx::query("select pg_notify('purser_work', '')").execute(self.pool()).await.unwrap();
        id
    }

    pub async fn stored(&self, id: PaymentId) -> Stored {
        sqlx::query_as("select * from transactions where id = $1 and created_at = $2")
            .bind(id)
            .bind(id.created_at())
            .fetch_one(self.pool())
            .await
            .unwrap()
    }

    /// Waits for the payment's end, and that nothing is left to do for it.
    pub async fn settled(&self, id: PaymentId) -> Stored {
        until("the payment is settled", async || self.stored(id).await.t_end.is_some()).await;
        assert_eq!(
            self.count("select count(*) from work_items where payment_id = $1", id).await,
            0,
            "its work item is gone"
        );
        self.stored(id).await
    }

    /// States of the payment's attempts, in order.
    pub async fn attempts(&self, id: PaymentId) -> Vec<String> {
        sqlx::query_scalar("select state from payment_attempts where payment_id = $1 order by number")
            .bind(id)
            .fetch_all(self.pool())
            .await
            .unwrap()
    }

    /// What the merchant is told of the payment, in order.
    pub async fn events(&self, id: PaymentId) -> Vec<Value> {
        let payloads: Vec<String> =
            sqlx::query_scalar("select payload::text from events where payment_id = $1 order by sequence")
                .bind(id)
                .fetch_all(self.pool())
                .await
                .unwrap();
        payloads.iter().map(|payload| serde_json::from_str(payload).unwrap()).collect()
    }

    pub async fn count(&self, query: &'static str, id: PaymentId) -> i64 {
        sqlx::query_scalar(query).bind(id).fetch_one(self.pool()).await.unwrap()
    }

    /// A processor of its own, which works until it is aborted or the app shuts down.
    pub fn processor(&self, options: Options) -> JoinHandle<()> {
        let app = self.test.app.clone();
        tokio::spawn(async move { processor::run_with(app, options).await.unwrap() })
    }
}

/// Options under which a dead worker is noticed soon.
pub fn hasty() -> Options {
    let (lease, poll) = (Duration::from_secs(2), Duration::from_millis(100));
    Options { lease, poll, warm_up: Duration::from_secs(2), ..Options::default() }
}

pub fn provider(resource: &str, address: SocketAddr, priority: i32) -> ProviderSettings {
    ProviderSettings {
        resource: resource.into(),
        name: ProviderName::Stripe,
        api_endpoint: format!("http://{address}"),
        priority,
        active: true,
        max_latency_ms: 5_000,
        success_rate_threshold: "95.0".into(),
    }
}

/// A port of the loopback on which nothing listens.
pub async fn free_address() -> SocketAddr {
    TcpListener::bind(("127.0.0.1", 0)).await.unwrap().local_addr().unwrap()
}

/// One who pays a merchant, and what with.
pub async fn payer(pool: &PgPool, merchant: MerchantId, token: &str) -> (UserId, PaymentMethodId) {
    let now = Utc::now();
    let (user, method) = (UserId::at(now), PaymentMethodId::at(now));
    sqlx::query("insert into users (id, merchant_id, email) values ($1, $2, $1::text || '@shop.test')")
        .bind(user)
        .bind(merchant)
        .execute(pool)
        .await
        .unwrap();
    sqlx::query("insert into payment_methods (id, user_id, type, token) values ($1, $2, 'CREDIT_CARD', $3)")
        .bind(method)
        .bind(user)
        .bind(token)
        .execute(pool)
        .await
        .unwrap();
    (user, method)
}

/// Waits until something is so.
pub async fn until(what: &str, so: impl AsyncFn() -> bool) {
    let begin = Instant::now();
    while !so().await {
        assert!(begin.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
