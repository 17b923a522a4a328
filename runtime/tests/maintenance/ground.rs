//! A platform of two gateways and two processors, of which one each never hears of new settings.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chrono::Utc;
use reqwest::Method;
use runtime::backup::MONEY_TABLES;
use runtime::ids::{AttemptId, MerchantId, PaymentId, PaymentMethodId, UserId};
use runtime::live_settings::LiveSettings;
use runtime::maintenance::{self, DrainError, Drained, State};
use runtime::processor;
use runtime::settings_apply;
use runtime_contract::settings::Maintenance;
use runtime_contract::{CacheTtl, ProviderSettings, Settings};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgConnection, PgPool};
use uuid::Uuid;

use crate::stage::{PATIENCE, Provider, Stage, hasty, provider, until};
use crate::support::gateway::{Reply, merchant, payer, send, start};
use crate::support::{self, OWNER, TestApp, connection};

/// What refusals say.
pub(crate) const RETRY_AFTER_S: u32 = 7;

pub(crate) struct Ground {
    pub(crate) stage: Stage,
    pub(crate) provider: Provider,
    /// Hears of new settings at once.
    pub(crate) url: String,
    /// Never does.
    pub(crate) stale_url: String,
    pub(crate) stale: TestApp,
    merchant: MerchantId,
    pub(crate) user: UserId,
    pub(crate) card: PaymentMethodId,
    key: String,
    client: reqwest::Client,
    revision: AtomicI64,
}

impl Ground {
    /// With processors that take everything to its end.
    pub(crate) async fn new() -> Self {
        let ground = Self::without_processors().await;
        ground.stage.processor(hasty());
        let stale = ground.stale.app.clone();
        tokio::spawn(async move { processor::run_with(stale, hasty()).await });
        ground
    }

    pub(crate) async fn without_processors() -> Self {
        let mut stage = Stage::new("pm_card_visa").await;
        // Hundreds of payments of one user within a minute are no fraud here.
        sqlx::query("update fraud_rules set enabled = false").execute(stage.pool()).await.unwrap();
        let provider = Provider::start().await;
        let providers = [self::provider("stripe", provider.address, 1)];
        stage.providers(&providers).await;
        let config = stage.test.app.config.clone();
        let mut stale = TestApp::on(&stage.test.database_url, Some(&support::redis_url()), config);
        stale.credential("stripe", "sk_test_stage");
        Arc::get_mut(&mut stale.app).unwrap().settings = LiveSettings::fixed(settings(1, &providers, None));
        let (merchant, key) = merchant(stage.pool()).await;
        let (user, card) = payer(stage.pool(), merchant).await;
        let (url, stale_url) = (start(stage.test.app.clone()).await, start(stale.app.clone()).await);
        let client = reqwest::Client::new();
        Self {
            stage,
            provider,
            url,
            stale_url,
            stale,
            merchant,
            user,
            card,
            key,
            client,
            revision: AtomicI64::new(100),
        }
    }

    pub(crate) fn pool(&self) -> &PgPool {
        self.stage.pool()
    }

    pub(crate) async fn session(&self) -> PgConnection {
        connection(&self.stage.test.database_url).await
    }

    /// Applies settings with maintenance or without.
    pub(crate) async fn maintenance(&self, on: bool) {
        let revision = self.revision.fetch_add(1, Ordering::Relaxed);
        let providers = [provider("stripe", self.provider.address, 1)];
        let settings = settings(revision, &providers, on.then_some(RETRY_AFTER_S));
        settings_apply::apply(&mut self.session().await, OWNER, &settings).await.unwrap();
    }

    /// Waits until the gateway that hears has heard.
    pub(crate) async fn heard(&self, on: bool) {
        until("the settings are heard of", async || self.stage.test.app.settings.current().maintenance.is_some() == on)
            .await;
    }

    pub(crate) async fn drain(&self, limit: Duration) -> Result<Drained, DrainError> {
        maintenance::drain(&mut self.session().await, OWNER, limit).await
    }

    pub(crate) async fn drained(&self) -> Drained {
        self.drain(PATIENCE).await.unwrap()
    }

    pub(crate) async fn state(&self) -> Option<State> {
        maintenance::state(self.pool()).await.unwrap()
    }

    pub(crate) fn both(&self) -> [&str; 2] {
        [&self.url, &self.stale_url]
    }

    pub(crate) async fn get(&self, url: &str, path: &str) -> Reply {
        send(self.client.get(format!("{url}{path}")).bearer_auth(&self.key)).await
    }

    pub(crate) async fn write(&self, method: Method, url: &str, path: &str, body: &Value, key: &str) -> Reply {
        let request = self.client.request(method, format!("{url}{path}")).bearer_auth(&self.key);
        send(request.header("Idempotency-Key", key).header("Prefer", "wait=20").json(body)).await
    }

    pub(crate) async fn post(&self, url: &str, path: &str, body: &Value) -> Reply {
        self.write(Method::POST, url, path, body, &Uuid::now_v7().to_string()).await
    }

    pub(crate) fn payment(&self) -> Value {
        json!({"amount": "10.50", "currency": "USD", "payment_method_id": self.card})
    }

    /// What stands in the tables of money.
    pub(crate) async fn money(&self) -> Vec<(i64, String)> {
        let mut all = Vec::new();
        for table in MONEY_TABLES {
            let sum = format!(
                "select count(*), coalesce(sum(hashtextextended(t::text, 0)::numeric), 0)::text from {table} t"
            );
            all.push(sqlx::query_as(AssertSqlSafe(sum)).fetch_one(self.pool()).await.unwrap());
        }
        all
    }

    /// A payment that was sent to the provider by a worker that died, and that nobody looks at within the hour.
    pub(crate) async fn waiting(&self) -> PaymentId {
        let (id, attempt) = (PaymentId::at(Utc::now()), AttemptId::at(Utc::now()));
        sqlx::query(
            "with payment as (
                 insert into transactions (id, amount, currency, t_start, user_id, merchant_id, payment_method_id, release, created_at)
                 values ($1, 10.50, 'USD', $2, $3, $4, $5, '0.1.0', $2)
             ), sent as (
                 insert into payment_attempts (id, payment_id, payment_created_at, number, payment_provider_id, release, t_start, api_endpoint, route)
                 select $6, $1, $2, 1, id, '0.1.0', now(), api_endpoint, 'the only one' from payment_providers where resource = 'stripe'
             )
             insert into work_items (payment_id, payment_created_at, merchant_id, release, attempt, run_at)
             values ($1, $2, $4, '0.1.0', 1, now() + interval '1 hour')",
        )
        .bind(id)
        .bind(id.created_at())
        .bind(self.user)
        .bind(self.merchant)
        .bind(self.card)
        .bind(attempt)
        .execute(self.pool())
        .await
        .unwrap();
        id
    }

    /// Makes a payment due.
    pub(crate) async fn due(&self, id: PaymentId) {
        let due = "update work_items set run_at = now() where payment_id = $1";
        assert_eq!(sqlx::query(due).bind(id).execute(self.pool()).await.unwrap().rows_affected(), 1);
    }
}

/// Asserts that a write was refused as maintenance refuses.
pub(crate) fn assert_refused(reply: &Reply) {
    assert_eq!(reply.status, 503, "{reply:?}");
    let problem = reply.json();
    assert_eq!(
        (problem["code"].as_str(), problem["retryable"].as_bool()),
        (Some("maintenance"), Some(true)),
        "{problem}"
    );
    assert_eq!(reply.header("retry-after"), Some(RETRY_AFTER_S.to_string().as_str()), "{reply:?}");
    assert_eq!(reply.header("content-type"), Some("application/problem+json"));
}

fn settings(revision: i64, providers: &[ProviderSettings], retry_after_s: Option<u32>) -> Settings {
    let cache_ttl = CacheTtl { user_s: 300, payment_method_s: 600, fraud_rules_s: 3600, metrics_s: 60 };
    let maintenance = retry_after_s.map(|retry_after_s| Maintenance { retry_after_s });
    Settings { revision, cache_ttl, providers: providers.to_vec(), limits: support::unlimited(), maintenance }
}
