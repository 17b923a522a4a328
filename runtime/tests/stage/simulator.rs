//! A provider simulator that can be led astray and taken away.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use runtime::ids::PaymentId;
use runtime::simulator::{Dialect, Simulator, SimulatorArgs};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A provider simulator that can be taken away.
pub struct Provider {
    pub address: SocketAddr,
    client: reqwest::Client,
    stop: CancellationToken,
    serving: JoinHandle<()>,
}

impl Provider {
    pub async fn start() -> Self {
        Self::start_at(0, 0).await
    }

    pub async fn start_at(port: u16, latency_ms: u64) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let args = SimulatorArgs {
            address,
            port,
            ledger: None,
            latency_ms,
            secret_key: None,
            webhook_url: None,
            webhook_secret: None,
            webhook_provider: Dialect::Stripe,
            plan: None,
        };
        let simulator = Simulator::bind(args).await.unwrap();
        let address = simulator.address();
        let stop = CancellationToken::new();
        let serving = tokio::spawn({
            let stop = stop.clone();
            async move { simulator.serve(stop).await.unwrap() }
        });
        Self { address, client: reqwest::Client::new(), stop, serving }
    }

    /// Makes the next requests go wrong.
    pub async fn fault(&self, fault: &str, count: usize) {
        let url = format!("http://{}/simulator/faults", self.address);
        let response = self.client.post(url).json(&json!({"fault": fault, "count": count})).send().await.unwrap();
        assert_eq!(response.status(), 204);
    }

    /// Makes everything take so long from now on.
    pub async fn slow(&self, latency: Duration) {
        let url = format!("http://{}/simulator/plan", self.address);
        let plan = json!({"latency": {"fixed_ms": u64::try_from(latency.as_millis()).unwrap()}});
        assert_eq!(self.client.post(url).json(&plan).send().await.unwrap().status(), 204);
    }

    /// What the provider charged, by its own account.
    pub async fn charges(&self) -> Vec<Value> {
        let url = format!("http://{}/simulator/charges", self.address);
        let body: Value = self.client.get(url).send().await.unwrap().json().await.unwrap();
        body["charges"].as_array().unwrap().clone()
    }

    /// Everything that it did, in full.
    pub async fn ledger(&self) -> Vec<Value> {
        let url = format!("http://{}/simulator/ledger", self.address);
        let mut ledger: Value = self.client.get(url).send().await.unwrap().json().await.unwrap();
        serde_json::from_value(ledger["charges"].take()).unwrap()
    }

    /// Forgets the faults that were asked for.
    pub async fn behave(&self) {
        let url = format!("http://{}/simulator/faults", self.address);
        assert_eq!(self.client.delete(url).send().await.unwrap().status(), 204);
    }

    /// Gives free what it holds of a payment, as it does after days. False when it holds nothing.
    pub async fn let_go(&self, payment: PaymentId) -> bool {
        let ledger = self.ledger().await;
        let held = |charge: &&Value| {
            charge["metadata"]["purser_payment_id"] == payment.to_string() && charge["state"] == "held"
        };
        let Some(charge) = ledger.iter().find(held) else { return false };
        let url = format!("http://{}/simulator/charges/{}/expire", self.address, charge["id"].as_str().unwrap());
        self.client.post(url).send().await.unwrap().status() == 204
    }

    pub async fn stop(self) {
        self.stop.cancel();
        self.serving.await.unwrap();
    }
}
