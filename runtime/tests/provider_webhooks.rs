//! Messages of providers: what is believed, and what they change.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends by panicking")]

mod stage;
mod support;

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::StatusCode;
use runtime::gateway;
use runtime::ids::{AttemptId, PaymentId};
use runtime::providers::stripe::sign;
use runtime_contract::{ProviderName, ProviderSettings};
use serde_json::{Value, json};
use stage::{Provider, Stage, hasty, provider, until};
use tokio::net::TcpListener;
use uuid::Uuid;

const SECRET: &str = "whsec_of_the_stage";

/// A stage with a gateway, and one provider at the simulator.
struct Scene {
    stage: Stage,
    simulator: Provider,
    url: String,
}

impl Scene {
    async fn new(name: ProviderName) -> Self {
        let simulator = Provider::start().await;
        let mut stage = Stage::new("pm_card_visa").await;
        let settings = ProviderSettings { name, ..provider("there", simulator.address, 1) };
        stage.providers(&[settings]).await;
        if name == ProviderName::Paypal {
            stage.test.credential("there", "client:secret");
        }
        stage.test.webhook_secret("there", SECRET);
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}/v1/provider-webhooks/there", listener.local_addr().unwrap());
        tokio::spawn(gateway::serve_on(stage.test.app.clone(), listener));
        Self { stage, simulator, url }
    }

    /// A payment whose attempt was sent, and whose worker died; it would be looked at in an hour.
    async fn left_open(&self) -> (PaymentId, AttemptId) {
        let payment = self.stage.accept("10.50", "USD").await;
        let attempt = AttemptId::at(Utc::now());
        let api_endpoint = format!("http://{}", self.simulator.address);
        sqlx::query(
            "insert into payment_attempts (id, payment_id, payment_created_at, number, payment_provider_id, state, release, t_start, api_endpoint)
             select $1, $2, $3, 1, id, 'SENT', '0.1.0', now(), $4 from payment_providers where resource = 'there'",
        )
        .bind(attempt)
        .bind(payment)
        .bind(payment.created_at())
        .bind(api_endpoint)
        .execute(self.stage.pool())
        .await
        .unwrap();
        sqlx::query(
            "update work_items set run_at = now() + interval '1 hour', parked_at = now() where payment_id = $1",
        )
        .bind(payment)
        .execute(self.stage.pool())
        .await
        .unwrap();
        (payment, attempt)
    }

    async fn send(&self, body: &Value, at: DateTime<Utc>, secret: &str) -> StatusCode {
        let body = body.to_string();
        let signature = sign(body.as_bytes(), &secret.into(), at);
        let request = reqwest::Client::new().post(&self.url).header("stripe-signature", signature).body(body);
        request.send().await.unwrap().status()
    }

    /// Lets the simulator send its webhooks to the gateway.
    async fn tell_the_gateway(&self, format: &str) {
        let target = json!({"provider": format, "url": self.url, "secret": SECRET});
        let url = format!("http://{}/simulator/webhooks", self.simulator.address);
        assert_eq!(reqwest::Client::new().post(url).json(&target).send().await.unwrap().status(), 204);
    }

    /// How many messages were taken, and how many refused.
    async fn told(&self) -> (u32, u32) {
        let text = String::from_utf8(self.stage.test.app.metrics.render().unwrap()).unwrap();
        let lines = text.lines().filter(|line| line.starts_with("purser_provider_webhooks_total"));
        let mut told = (0, 0);
        for line in lines {
            let count: u32 = line.rsplit(' ').next().and_then(|count| count.parse().ok()).unwrap();
            if line.contains(r#"effect="refused""#) { told.1 += count } else { told.0 += count }
        }
        told
    }

    /// The same, once there was a message of one more payment.
    async fn told_of_one_payment(&self) -> (u32, u32) {
        let (taken, refused) = self.told().await;
        let payment = self.stage.accept("10.50", "USD").await;
        assert_eq!(self.stage.settled(payment).await.status, "SUCCESS");
        until("there was a message", async || self.told().await != (taken, refused)).await;
        self.told().await
    }

    async fn is_due(&self, payment: PaymentId) -> bool {
        let due = "select count(*) from work_items where payment_id = $1 and run_at <= now() and parked_at is null";
        self.stage.count(due, payment).await == 1
    }

    async fn reference(&self, attempt: AttemptId) -> Option<String> {
        sqlx::query_scalar("select provider_reference from payment_attempts where id = $1")
            .bind(attempt)
            .fetch_one(self.stage.pool())
            .await
            .unwrap()
    }
}

fn succeeded(payment: PaymentId, call: Uuid) -> Value {
    json!({"id": "evt_1", "object": "event", "type": "payment_intent.succeeded", "data": {"object": {
        "id": "pi_told", "object": "payment_intent", "status": "succeeded",
        "metadata": {"purser_payment_id": payment, "purser_call_id": call},
    }}})
}

#[tokio::test]
async fn a_message_names_the_open_attempt_and_makes_its_payment_due_however_often_it_comes() {
    let scene = Scene::new(ProviderName::Stripe).await;
    let (payment, attempt) = scene.left_open().await;
    assert!(!scene.is_due(payment).await);
    for _ in 0..2 {
        assert_eq!(scene.send(&succeeded(payment, attempt.as_uuid()), Utc::now(), SECRET).await, 200);
        assert!(scene.is_due(payment).await);
        assert_eq!(scene.reference(attempt).await.as_deref(), Some("pi_told"));
    }
    assert_eq!(scene.stage.attempts(payment).await, ["SENT"], "a message decides nothing");
}

#[tokio::test]
async fn before_the_providers_are_known_a_message_is_asked_for_again_rather_than_refused() {
    let test = support::TestApp::new().await;
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}/v1/provider-webhooks/there", listener.local_addr().unwrap());
    tokio::spawn(gateway::serve_on(test.app.clone(), listener));
    let answer = reqwest::Client::new().post(url).body("{}").send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.headers().contains_key("retry-after"));
}

#[tokio::test]
async fn a_token_that_paypal_has_forgotten_costs_one_message_and_not_all_that_follow() {
    let mut scene = Scene::new(ProviderName::Paypal).await;
    let processor = scene.stage.processor(hasty());
    scene.tell_the_gateway("paypal").await;
    assert_eq!(scene.told_of_one_payment().await, (1, 0));
    // It knows no token that it gave out before, and signs with another key.
    let port = scene.simulator.address.port();
    scene.simulator.stop().await;
    scene.simulator = Provider::start_at(port, 0).await;
    scene.tell_the_gateway("paypal").await;
    assert_eq!(scene.told_of_one_payment().await, (1, 1));
    assert_eq!(scene.told_of_one_payment().await, (2, 1));
    processor.abort();
}

#[tokio::test]
async fn a_flood_of_forged_messages_makes_no_flood_of_questions_to_the_provider() {
    // A provider that takes connections and never answers.
    let silent = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let mut stage = Stage::new("pm_card_visa").await;
    let settings =
        ProviderSettings { name: ProviderName::Paypal, ..provider("silent", silent.local_addr().unwrap(), 1) };
    stage.providers(&[settings]).await;
    stage.test.credential("silent", "client:secret");
    stage.test.webhook_secret("silent", SECRET);
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}/v1/provider-webhooks/silent", listener.local_addr().unwrap());
    tokio::spawn(gateway::serve_on(stage.test.app.clone(), listener));
    let (client, begin) = (reqwest::Client::new(), std::time::Instant::now());
    let forged = json!({"id": "WH-1", "event_type": "X", "resource": {"id": "3C6"}});
    let replies = (0..40).map(|_| {
        let request = client.post(&url).header("paypal-transmission-id", "x").header("paypal-transmission-sig", "x");
        let request = request.json(&forged).send();
        async {
            assert_eq!(request.await.unwrap().status(), StatusCode::SERVICE_UNAVAILABLE);
            begin.elapsed()
        }
    });
    let took = futures::future::join_all(replies).await;
    let at_once = took.iter().filter(|took| took.as_secs() < 4).count();
    assert!(at_once >= 30, "{at_once} were turned away at once, the others waited for the provider");
}

#[tokio::test]
async fn a_wrong_or_old_signature_and_garbage_are_refused_and_change_nothing() {
    let scene = Scene::new(ProviderName::Stripe).await;
    let (payment, attempt) = scene.left_open().await;
    let message = succeeded(payment, attempt.as_uuid());
    assert_eq!(scene.send(&message, Utc::now(), "whsec_of_another").await, 400);
    assert_eq!(scene.send(&message, Utc::now() - TimeDelta::seconds(301), SECRET).await, 400);
    assert_eq!(scene.send(&message, Utc::now() + TimeDelta::seconds(310), SECRET).await, 400);
    assert_eq!(scene.send(&json!({"id": "evt_1"}), Utc::now(), SECRET).await, 400);
    let unsigned = reqwest::Client::new().post(&scene.url).body(message.to_string()).send().await.unwrap();
    assert_eq!(unsigned.status(), 400);
    let elsewhere = scene.url.replace("there", "nowhere");
    assert_eq!(reqwest::Client::new().post(elsewhere).body("{}").send().await.unwrap().status(), 404);
    let large = reqwest::Client::new().post(&scene.url).body("x".repeat(70_000)).send().await.unwrap();
    assert_eq!(large.status(), 413);
    assert!(!scene.is_due(payment).await);
    assert_eq!(scene.reference(attempt).await, None);
}

#[tokio::test]
async fn a_message_about_an_unknown_payment_or_another_attempt_is_taken_and_names_nothing() {
    let scene = Scene::new(ProviderName::Stripe).await;
    let (payment, attempt) = scene.left_open().await;
    let unknown = PaymentId::at(Utc::now());
    assert_eq!(scene.send(&succeeded(unknown, Uuid::now_v7()), Utc::now(), SECRET).await, 200);
    let foreign =
        json!({"id": "evt_2", "type": "charge.updated", "data": {"object": {"id": "ch_1", "object": "charge"}}});
    assert_eq!(scene.send(&foreign, Utc::now(), SECRET).await, 200);
    assert!(!scene.is_due(payment).await);
    // Another attempt of this payment: it is looked at, but the name is not this attempt's.
    assert_eq!(scene.send(&succeeded(payment, Uuid::now_v7()), Utc::now(), SECRET).await, 200);
    assert!(scene.is_due(payment).await);
    assert_eq!(scene.reference(attempt).await, None);
}

#[tokio::test]
async fn the_simulators_own_message_ends_a_payment_whose_answer_was_lost() {
    for (name, token) in [(ProviderName::Stripe, "stripe"), (ProviderName::Paypal, "paypal")] {
        let scene = Scene::new(name).await;
        scene.tell_the_gateway(token).await;
        // Twice, and later than the answer that is lost.
        let plan = json!({"seed": 1, "webhooks": {"delay_ms": 300, "duplicate": 1.0}});
        let url = format!("http://{}/simulator/plan", scene.simulator.address);
        assert_eq!(reqwest::Client::new().post(url).json(&plan).send().await.unwrap().status(), 204);
        scene.simulator.fault("reset_after_charging", 1).await;
        let processor = scene.stage.processor(hasty());
        let payment = scene.stage.accept("10.50", "USD").await;
        assert_eq!(scene.stage.settled(payment).await.status, "SUCCESS", "{token}");
        until("the messages came", async || {
            let (taken, refused) = scene.told().await;
            assert_eq!(refused, 0, "{token}: a message was refused");
            taken == 2
        })
        .await;
        assert_eq!(scene.simulator.charges().await.len(), 1, "{token}");
        processor.abort();
    }
}
