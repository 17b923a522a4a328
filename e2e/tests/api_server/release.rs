//! A release on its way in a real API server, judged by figures that a server at the metrics pods' address tells.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use axum::{Json, Router, routing::get};
use runtime_contract::{Counts, Figures, ReleaseFigures, Slice, Times, paths, ports};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::operator::{Stage, condition};

const DEPLOYMENTS: &str = "apis/apps/v1";

/// What a metrics pod would tell: 50 payments a second through each release, those of 0.2.0 as long as it is told, and
/// those of 0.3.0 too long.
pub(crate) struct Told {
    pub(crate) payment_ms: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Told {
    pub(crate) async fn at(address: Ipv4Addr) -> Result<Self> {
        let payment_ms = Arc::new(AtomicU64::new(20));
        let told = Arc::clone(&payment_ms);
        let answer = move || {
            let payment_ms = told.load(Ordering::Relaxed);
            async move { Json(figures(payment_ms)) }
        };
        let router = Router::new().route(paths::admin::RELEASES, get(answer));
        let listener = tokio::net::TcpListener::bind((address, ports::ADMIN)).await?;
        let task = tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { payment_ms, task })
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn figures(payment_ms: u64) -> Figures {
    let now = jiff::Timestamp::now().as_second();
    let of = |release: &str, ms: u64| {
        let slice = |second| {
            let counts = Counts {
                succeeded: 50,
                failed: 0,
                payment_us: Times::from([(ms * 1_000, 50)]),
                fraud_us: Times::new(),
            };
            Slice { second, counts }
        };
        let slices = (now - 9..=now).map(slice).collect();
        ReleaseFigures { release: release.into(), slices, ..ReleaseFigures::default() }
    };
    Figures {
        until: now,
        pods: 8,
        silent_pods: 0,
        releases: vec![of("0.1.0", 20), of("0.2.0", payment_ms), of("0.3.0", 320)],
    }
}

/// A change of version in two steps, judged by its latency.
pub(crate) fn canary() -> Value {
    json!({"spec": {
        "version": "0.2.0",
        "rollout": {"strategy": "Canary", "steps": [{"weight": 50, "duration": "2s"}], "retireAfter": "2s"},
        "sla": {"window": "10s", "p95Latency": "200ms"},
    }})
}

/// Whether a PaymentCluster is in this stage.
pub(crate) fn is_in(stage: &'static str) -> impl Fn(&Value) -> bool {
    move |resource| resource["status"]["stage"] == stage
}

/// The release that the gateway has; null when it is split.
pub(crate) async fn selected(stage: &Stage) -> Result<Value> {
    let service = stage.object("api/v1", "services/payments-gateway").await?.context("no Service")?;
    Ok(service["spec"]["selector"]["purser.dev/release"].clone())
}

#[tokio::test]
async fn a_canary_that_breaks_its_sla_goes_back_by_itself_and_a_person_may_have_it_tried_again() -> Result<()> {
    let address = Ipv4Addr::new(127, 77, 1, 1);
    let told = Told::at(address).await?;
    let (stage, _operator) = Stage::ready().await?;
    stage.puppet.metrics_are_at(address)?;
    stage.until("PaymentCluster", "payments", |resource| condition(resource, "SLAMet")["status"] == "True").await?;
    stage.change("PaymentCluster", "payments", canary()).await?;
    stage.until("PaymentCluster", "payments", is_in("Shifting")).await?;
    let split = Instant::now();
    while selected(&stage).await? != Value::Null {
        assert!(split.elapsed() < Duration::from_secs(10), "traffic was never split");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    stage.until("PaymentCluster", "payments", is_in("Monitoring")).await?;
    assert_eq!(selected(&stage).await?, "0.2.0");

    told.payment_ms.store(320, Ordering::Relaxed);
    let breach = Instant::now();
    while selected(&stage).await? != "0.1.0" {
        assert!(breach.elapsed() < Duration::from_secs(30), "traffic never came back");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    println!("breach to traffic back: {:?}", breach.elapsed());
    stage.until("PaymentCluster", "payments", is_in("RolledBack")).await?;
    let resource = stage.resource("PaymentCluster", "payments").await?;
    let release = &resource["status"]["release"];
    assert_eq!((&release["current"], &release["abandoned"]["why"]), (&json!("0.1.0"), &json!("SlaBreached")));
    assert_eq!(release["history"][0]["result"], "RolledBack");
    assert_eq!(resource["spec"]["version"], "0.2.0", "the spec is a person's");
    assert_eq!(condition(&resource, "Stalled")["status"], "True");
    assert_eq!(condition(&resource, "Ready")["status"], "True");
    is_gone(&stage, "deployments/payments-gateway-0-2-0").await?;

    told.payment_ms.store(20, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(4)).await;
    let resource = stage.resource("PaymentCluster", "payments").await?;
    assert_eq!(resource["status"]["stage"], "RolledBack", "it is not tried again by itself");
    let again = json!({"metadata": {"annotations": {"purser.dev/retry": "1"}}});
    stage.change("PaymentCluster", "payments", again).await?;
    stage.until("PaymentCluster", "payments", is_in("Finished")).await?;
    is_gone(&stage, "deployments/payments-gateway-0-1-0").await
}

#[tokio::test]
async fn without_figures_a_release_neither_goes_on_nor_back_and_a_person_can_end_it() -> Result<()> {
    let (stage, _operator) = Stage::ready().await?;
    stage.change("PaymentCluster", "payments", canary()).await?;
    let waits = |resource: &Value| {
        resource["status"]["waitingOn"].as_str().is_some_and(|words| words.contains("cannot be judged"))
    };
    stage.until("PaymentCluster", "payments", waits).await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let before = stage.resource("PaymentCluster", "payments").await?;
    assert_eq!(before["status"]["stage"], "Shifting");
    assert_eq!(condition(&before, "SLAMet")["status"], "Unknown");
    tokio::time::sleep(Duration::from_secs(3)).await;
    let after = stage.resource("PaymentCluster", "payments").await?;
    assert_eq!(after["metadata"]["resourceVersion"], before["metadata"]["resourceVersion"], "waiting writes nothing");

    let abort = json!({"metadata": {"annotations": {"purser.dev/abandoned-version": "0.2.0"}}});
    stage.change("PaymentCluster", "payments", abort).await?;
    stage.until("PaymentCluster", "payments", is_in("RolledBack")).await?;
    assert_eq!(selected(&stage).await?, "0.1.0");
    Ok(())
}

async fn is_gone(stage: &Stage, path: &str) -> Result<()> {
    let begin = Instant::now();
    while stage.object(DEPLOYMENTS, path).await?.is_some() {
        assert!(begin.elapsed() < Duration::from_secs(20), "{path} is still there");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}
