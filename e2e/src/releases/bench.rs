//! How fast a bad release loses its traffic: from the first slow answer that a merchant got to the last one.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use serde_json::{Value, json};

use super::drive::{as_before, canary, load_images, patch, until_stage, want};
use super::load::{Load, Pace, Seen};
use crate::Paths;
use crate::images::SLOW_RELEASE;
use crate::platform::{Gateway, Kubectl, Merchant};

/// Every payment through the slow release takes longer than this, and hardly one through another.
const SLOW: Duration = Duration::from_millis(300);

/// How often.
#[derive(Args, Clone, Copy, Debug)]
pub struct Options {
    /// Bad releases, one after the other
    #[arg(long, default_value_t = 20)]
    runs: u32,
}

/// Measures it on the platform of `make up`.
///
/// # Errors
/// When a bad release is not taken back.
pub async fn bench(paths: &Paths, options: Options) -> Result<()> {
    if crate::cluster::uses_current()? {
        bail!("the images of bad releases are for the local cluster: leave CLUSTER out");
    }
    let kubectl = Kubectl::new(paths, true);
    load_images(paths, &[SLOW_RELEASE]).await?;
    let gateway = Gateway::reach(&kubectl, true).await?;
    let merchant = Merchant::find_or_create(&kubectl, &gateway.base_url).await?;
    // A gateway that waits too long for Redis counts alone, and gives each merchant a part of its limit. That is not measured here.
    let limit = |limit: Value| json!({"spec": {"gateway": {"rateLimit": limit}}});
    patch(&kubectl, &limit(json!({"requestsPerSecond": 1_000, "burst": 2_000}))).await?;
    let measured = measure(&kubectl, &merchant, options.runs).await;
    patch(&kubectl, &limit(Value::Null)).await?;
    let (mut times, seen) = measured?;
    println!("{}", seen.words());
    times.sort_by(f64::total_cmp);
    let p99 = times.last().copied().context("no run")?;
    println!("median {:.1} s of {} runs", times[times.len() / 2], times.len());
    if let Some(first) = seen.failed.first() {
        bail!("{} payments failed; the first: {first}", seen.failed.len());
    }
    println!("breach_to_traffic_off_p99_s: {p99:.1}");
    Ok(())
}

/// Bad releases under a load of payments: the time of each in seconds, and what merchants saw.
async fn measure(kubectl: &Kubectl, merchant: &Merchant, runs: u32) -> Result<(Vec<f64>, Seen)> {
    let load = Load::start(merchant, Pace::BUSY).await?;
    let mut times = Vec::new();
    for run in 1..=runs {
        times.push(traffic_off_s(kubectl, &load, run).await?);
        as_before(kubectl).await?;
    }
    Ok((times, load.stop().await?))
}

/// One bad release: from the first slow answer to the last slow payment, in seconds.
async fn traffic_off_s(kubectl: &Kubectl, load: &Load, run: u32) -> Result<f64> {
    let since = Instant::now();
    want(kubectl, SLOW_RELEASE, &canary()).await?;
    until_stage(kubectl, SLOW_RELEASE, &["Shifting"]).await?;
    let shifting = Instant::now();
    let status = until_stage(kubectl, SLOW_RELEASE, &["RollingBack", "RolledBack"]).await?;
    let decided = shifting.elapsed();
    until_stage(kubectl, SLOW_RELEASE, &["RolledBack"]).await?;
    // What was on its way is answered within this.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let slow = load.slow_since(since.max(shifting), SLOW);
    let first = slow.iter().map(|(_, answered)| *answered).min().context("no payment was slow")?;
    let last = slow.iter().map(|(asked, _)| *asked).max().context("no payment was slow")?;
    let took = last.saturating_duration_since(first).as_secs_f64();
    let message = status["release"]["abandoned"]["message"].as_str().unwrap_or_default();
    println!(
        "run {run}: {took:.1} s (after Shifting: first slow answer {:.1} s, given up {:.1} s, last slow payment {:.1} s); {message}",
        first.saturating_duration_since(shifting).as_secs_f64(),
        decided.as_secs_f64(),
        last.saturating_duration_since(shifting).as_secs_f64()
    );
    Ok(took)
}
