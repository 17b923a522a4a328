//! Releases on the node, under a constant load of payments: forward without a failed request, and back by themselves.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use e2e::images::{self, GOOD_RELEASE, SLOW_FRAUD_RELEASE, SLOW_RELEASE};
use e2e::platform::{Merchant, NAMESPACE};
use e2e::{Paths, cluster};
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use tokio::task::JoinHandle;

use super::fixture::{Platform, eventually, platform, unique};

static IMAGES: OnceCell<()> = OnceCell::const_new();

/// The version of the quickstart.
const FIRST: &str = "0.1.0";
/// Payments that are on their way at the same time, and the pause of each before its next one.
const PAYERS: usize = 4;
const PAUSE: Duration = Duration::from_millis(150);

/// Merchants that pay and pay.
struct Load {
    stop: Arc<AtomicBool>,
    seen: Arc<Mutex<Seen>>,
    payers: Vec<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Seen {
    answered: u64,
    failed: Vec<String>,
}

impl Load {
    async fn start(platform: &Platform) -> Result<Self> {
        let (stop, seen) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Seen::default())));
        let unique = unique();
        let method = platform.merchant().await?.payment_method(&format!("load-{unique}"), "pm_card_visa").await?;
        let mut payers = Vec::new();
        for payer in 0..PAYERS {
            // Each with a connection of its own, which it keeps.
            let merchant = platform.merchant().await?;
            let (stop, seen, method) = (Arc::clone(&stop), Arc::clone(&seen), method.clone());
            let key = format!("load-{unique}-{payer}");
            payers.push(tokio::spawn(async move {
                for number in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let outcome = pay(&merchant, &format!("{key}-{number}"), &method).await;
                    if let Ok(mut seen) = seen.lock() {
                        match outcome {
                            Ok(()) => seen.answered += 1,
                            Err(error) => seen.failed.push(format!("{error:#}")),
                        }
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            }));
        }
        Ok(Self { stop, seen, payers })
    }

    async fn stop(self) -> Result<Seen> {
        self.stop.store(true, Ordering::Relaxed);
        for payer in self.payers {
            payer.await?;
        }
        let seen = Arc::into_inner(self.seen).context("a payer is left")?;
        seen.into_inner().map_err(|_| anyhow::anyhow!("a payer panicked"))
    }
}

async fn pay(merchant: &Merchant, key: &str, method: &str) -> Result<()> {
    let body = json!({"amount": "1.00", "currency": "USD", "payment_method_id": method});
    let answer = merchant.post("/v1/payments", key, &body).await?;
    anyhow::ensure!(matches!(answer.status, 201 | 202), "{}: {}", answer.status, answer.body);
    Ok(())
}

/// Wants a version, and everything else as the story has it.
async fn want(platform: &Platform, version: &str, rollout: &Value) -> Result<()> {
    let change = json!({"spec": {"version": version, "rollout": rollout, "sla": sla()}});
    patch(platform, &change).await
}

async fn patch(platform: &Platform, change: &Value) -> Result<()> {
    let change = change.to_string();
    platform.kubectl.run(&["-n", NAMESPACE, "patch", "pcl/payments", "--type=merge", "-p", &change]).await.map(drop)
}

fn sla() -> Value {
    json!({"window": "10s", "minSamples": 20, "p95Latency": "250ms", "successRate": "95"})
}

fn canary() -> Value {
    json!({"strategy": "Canary", "steps": [{"weight": 50, "duration": "5s"}], "retireAfter": "5s"})
}

fn blue_green() -> Value {
    json!({"strategy": "BlueGreen", "retireAfter": "5s"})
}

async fn status(platform: &Platform) -> Result<Value> {
    Ok(platform.object("pcl", "payments").await?["status"].clone())
}

async fn until_stage(platform: &Platform, version: &str, stage: &str) -> Result<Value> {
    eventually(&format!("release {version} is {stage}"), Duration::from_secs(150), || async {
        let status = status(platform).await?;
        let is_there = status["release"]["target"] == version && status["stage"] == stage;
        Ok((is_there, format!("{} {} {}", status["stage"], status["waitingOn"], status["release"])))
    })
    .await?;
    status(platform).await
}

/// The platform, with images of all releases on its node; none when the node is not this machine's.
async fn with_releases() -> Result<Option<Platform>> {
    if cluster::uses_current()? {
        println!("left out: the images of bad releases are for the local cluster only");
        return Ok(None);
    }
    let platform = platform().await?;
    let load = || async {
        let paths = Paths::from_env()?;
        let images = images::build_releases(&paths).await?;
        images::load(&paths, &images, None).await.map(drop)
    };
    IMAGES.get_or_try_init(load).await?;
    Ok(Some(platform))
}

/// The quickstart as the next story wants it.
async fn as_before(platform: &Platform) -> Result<()> {
    patch(platform, &json!({"spec": {"version": FIRST, "rollout": null, "sla": null}})).await?;
    until_stage(platform, FIRST, "Finished").await.map(drop)
}

#[tokio::test]
async fn good_releases_go_forward_and_back_under_load_without_a_failed_request() -> Result<()> {
    let Some(platform) = with_releases().await? else { return Ok(()) };
    let load = Load::start(&platform).await?;
    for (version, rollout) in [(GOOD_RELEASE, canary()), (FIRST, blue_green())] {
        let began = Instant::now();
        want(&platform, version, &rollout).await?;
        let status = until_stage(&platform, version, "Finished").await?;
        println!("release {version} Finished after {:?}: {}", began.elapsed(), status["release"]["history"][0]);
    }
    let seen = load.stop().await?;
    println!("{} payments were answered, {} not", seen.answered, seen.failed.len());
    assert!(seen.answered > 100 && seen.failed.is_empty(), "{} answered, not: {:?}", seen.answered, seen.failed);
    as_before(&platform).await
}

#[tokio::test]
async fn bad_releases_go_back_by_themselves_and_no_payment_is_lost() -> Result<()> {
    let Some(platform) = with_releases().await? else { return Ok(()) };
    let load = Load::start(&platform).await?;
    for (version, figure) in [(SLOW_RELEASE, "Latency"), (SLOW_FRAUD_RELEASE, "fraudLatency")] {
        want(&platform, version, &canary()).await?;
        until_stage(&platform, version, "Shifting").await?;
        let shifted = Instant::now();
        let status = until_stage(&platform, version, "RolledBack").await?;
        println!("release {version} RolledBack {:?} after its first traffic", shifted.elapsed());
        let (release, abandoned) = (&status["release"], &status["release"]["abandoned"]);
        println!("    {}", abandoned["message"]);
        assert_eq!((&release["current"], &abandoned["why"]), (&json!(FIRST), &json!("SlaBreached")), "{release:#}");
        let message = abandoned["message"].as_str().unwrap_or_default();
        assert!(message.contains(figure) || message.contains("comparison"), "{message}");
        let service = platform.object("service", "payments-gateway").await?;
        assert_eq!(service["spec"]["selector"]["purser.dev/release"], FIRST);
    }
    let seen = load.stop().await?;
    println!("{} payments were answered, {} not", seen.answered, seen.failed.len());
    assert!(seen.answered > 100 && seen.failed.is_empty(), "{} answered, not: {:?}", seen.answered, seen.failed);
    as_before(&platform).await
}
