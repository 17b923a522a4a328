//! A merchant with a gateway, a processor and a provider, all of them real.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use runtime_contract::OnDeadline;
use rust_decimal::Decimal;
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::stage::{Provider, Stage, hasty, provider, until};
use crate::support::gateway::{Reply, merchant, payer, send, start};

/// A merchant with a gateway, a processor and a provider.
pub(crate) struct Shop {
    pub(crate) stage: Stage,
    pub(crate) provider: Provider,
    pub(crate) processor: Option<JoinHandle<()>>,
    url: String,
    key: String,
    card: runtime::ids::PaymentMethodId,
    client: reqwest::Client,
}

impl Shop {
    /// With everything running.
    pub(crate) async fn open() -> Self {
        let mut shop = Self::on(Stage::new("pm_card_visa").await).await;
        shop.start_processor();
        shop
    }

    /// Payments and operations are accepted, and nobody brings them forward: the gateway takes none while there is no fraud
    /// check.
    pub(crate) async fn without_processor() -> Self {
        Self::on(Stage::without_fraud("pm_card_visa", OnDeadline::Pass).await).await
    }

    async fn on(mut stage: Stage) -> Self {
        // Hundreds of payments of one user within a minute are no fraud here.
        sqlx::query("update fraud_rules set enabled = false").execute(stage.pool()).await.unwrap();
        let provider = Provider::start().await;
        stage.providers(&[self::provider("stripe", provider.address, 1)]).await;
        let (merchant, key) = merchant(stage.pool()).await;
        let (_, card) = payer(stage.pool(), merchant).await;
        let url = start(stage.test.app.clone()).await;
        Self { stage, provider, processor: None, url, key, card, client: reqwest::Client::new() }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn pool(&self) -> &PgPool {
        self.stage.pool()
    }

    pub(crate) fn start_processor(&mut self) {
        self.processor = Some(self.stage.processor(hasty()));
    }

    /// Ends the processor as a crash would.
    pub(crate) async fn kill_processor(&mut self) {
        let processor = self.processor.take().unwrap();
        processor.abort();
        let _ = processor.await;
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        send(self.client.get(format!("{}{path}", self.url)).bearer_auth(&self.key)).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Reply {
        self.post_with(path, body, &Uuid::now_v7().to_string(), 20).await
    }

    pub(crate) async fn post_with(&self, path: &str, body: &Value, key: &str, wait_s: u32) -> Reply {
        let request = self.client.request(Method::POST, format!("{}{path}", self.url)).bearer_auth(&self.key);
        let request = request.header("Idempotency-Key", key).header("Prefer", format!("wait={wait_s}"));
        send(request.json(body)).await
    }

    /// A payment at its end: held if `method` is MANUAL, taken if it is AUTOMATIC. Its id.
    pub(crate) async fn pay(&self, amount: &str, method: &str) -> String {
        let reply = self.post("/v1/payments", &self.payment(amount, method)).await;
        assert_eq!(reply.status, StatusCode::CREATED, "{reply:?}");
        reply.json()["id"].as_str().unwrap().to_owned()
    }

    pub(crate) fn payment(&self, amount: &str, method: &str) -> Value {
        json!({"amount": amount, "currency": "USD", "payment_method_id": self.card, "capture_method": method})
    }

    pub(crate) async fn capture(&self, payment: &str, body: Value) -> Reply {
        self.post(&format!("/v1/payments/{payment}/captures"), &body).await
    }

    pub(crate) async fn refund(&self, body: Value) -> Reply {
        self.post("/v1/refunds", &body).await
    }

    pub(crate) async fn cancel(&self, payment: &str) -> Reply {
        self.post(&format!("/v1/payments/{payment}/cancel"), &json!({})).await
    }

    /// The payment as the API shows it.
    pub(crate) async fn shown(&self, payment: &str) -> Value {
        self.get(&format!("/v1/payments/{payment}")).await.json()
    }

    /// Types of the payment's events, in order. Their sequence has no gap.
    pub(crate) async fn events(&self, payment: &str) -> Vec<String> {
        let id: runtime::ids::PaymentId = payment.parse().unwrap();
        let events: Vec<(String, i32)> =
            sqlx::query_as("select type, sequence from events where payment_id = $1 order by sequence")
                .bind(id)
                .fetch_all(self.pool())
                .await
                .unwrap();
        for (place, (_, sequence)) in (1..).zip(&events) {
            assert_eq!(*sequence, place, "{events:?}");
        }
        events.into_iter().map(|(kind, _)| kind).collect()
    }

    /// The provider's own account of the payment.
    pub(crate) async fn charge(&self, payment: &str) -> Value {
        let url = format!("http://{}/simulator/ledger", self.provider.address);
        let ledger: Value = reqwest::get(url).await.unwrap().json().await.unwrap();
        let charges = ledger["charges"].as_array().unwrap();
        let mut of_payment = charges.iter().filter(|charge| charge["metadata"]["purser_payment_id"] == payment);
        let charge = of_payment.next().unwrap_or_else(|| panic!("{payment} is not in {ledger}")).clone();
        assert!(of_payment.next().is_none(), "charged once");
        charge
    }

    /// The amounts of what the provider did for a payment, in cents.
    pub(crate) async fn moved(&self, payment: &str, what: &str) -> Vec<i64> {
        let charge = self.charge(payment).await;
        charge[what].as_array().unwrap().iter().map(|movement| movement["amount"].as_i64().unwrap()).collect()
    }

    /// What the ledger says was taken for a payment and not given back: what its provider holds for us.
    pub(crate) async fn clearing(&self, payment: &str) -> Decimal {
        let id: runtime::ids::PaymentId = payment.parse().unwrap();
        let query =
            "select coalesce(sum(amount), 0), coalesce(sum(amount) filter (where account = 'PROVIDER_CLEARING'), 0)
                     from ledger_entries where payment_id = $1";
        let (all, clearing): (Decimal, Decimal) = sqlx::query_as(query).bind(id).fetch_one(self.pool()).await.unwrap();
        assert_eq!(all, Decimal::ZERO, "every journal sums to zero");
        clearing.normalize()
    }

    /// Waits until no operation is on its way.
    pub(crate) async fn idle(&self) {
        until("no operation is on its way", async || {
            let waiting: i64 =
                sqlx::query_scalar("select count(*) from operation_items").fetch_one(self.pool()).await.unwrap();
            waiting == 0
        })
        .await;
    }

    /// Makes the provider take so long.
    pub(crate) async fn slow(&self, latency: Duration) {
        self.provider.slow(latency).await;
    }

    /// Lets what the provider holds for a payment end now, as days would.
    pub(crate) async fn expire_at_provider(&self, payment: &str) {
        let id = self.charge(payment).await["id"].as_str().unwrap().to_owned();
        let url = format!("http://{}/simulator/charges/{id}/expire", self.provider.address);
        assert_eq!(self.client.post(url).send().await.unwrap().status(), StatusCode::NO_CONTENT);
    }
}

/// Status and code of a problem.
pub(crate) fn refused(reply: &Reply) -> (u16, String) {
    (reply.status.as_u16(), reply.json()["code"].as_str().unwrap_or_default().to_owned())
}
