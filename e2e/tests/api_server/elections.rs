//! Two operators, of which one is stopped in the midst of a migration for longer than its lease: the other one goes on, and the first
//! one writes nothing any more when it comes to itself. That the database refuses what it may have begun is in `runtime/tests/migrate.rs`.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::fixture::{minimal_cluster, quick_release};
use super::operator::{Stage, condition};
use super::proxy::{Proxy, Write};
use super::puppet::succeeded;
use super::release::is_in;

const LEASE: &str = "leases/purser-operator";
/// Of a Job of the migration.
const MIGRATION: &str = "/jobs/payments-migrate-0-2-0-";

async fn lease(stage: &Stage) -> Result<Value> {
    let lease = stage.object("apis/coordination.k8s.io/v1", LEASE).await?.context("nobody has the lease")?;
    Ok(lease["spec"].clone())
}

async fn migration(stage: &Stage) -> Result<Vec<String>> {
    let jobs = stage.object("apis/batch/v1", "jobs").await?.context("no list of Jobs")?;
    let names = jobs["items"].as_array().into_iter().flatten().filter_map(|job| job["metadata"]["name"].as_str());
    Ok(names.filter(|name| name.starts_with("payments-migrate-0-2-0-")).map(str::to_owned).collect())
}

/// The number that the migration of a release was started with.
async fn token(stage: &Stage, job: &str) -> Result<i64> {
    let job = stage.object("apis/batch/v1", &format!("jobs/{job}")).await?.context("the Job is gone")?;
    let arguments = job["spec"]["template"]["spec"]["containers"][0]["args"].as_array().cloned().unwrap_or_default();
    let flag = arguments.iter().position(|argument| argument == "--fencing-token").context("no token")?;
    arguments[flag + 1].as_str().context("no number")?.parse().context("no number")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_that_was_stopped_in_mid_migration_writes_nothing_when_it_comes_to_itself() -> Result<()> {
    let stage = Stage::empty().await?;
    let (by_a, by_b) = (Proxy::start(stage.plane).await?, Proxy::start(stage.plane).await?);
    stage.create("PaymentCluster", minimal_cluster("payments")).await?;
    let mut a = stage.operator_by(&by_a.kubeconfig, "a")?;
    stage.until_ready().await?;
    let _b = stage.operator_by(&by_b.kubeconfig, "b")?;

    stage.puppet.hold("migrate", true)?;
    stage.change("PaymentCluster", "payments", quick_release("0.2.0")).await?;
    let begin = Instant::now();
    while migration(&stage).await?.is_empty() {
        ensure!(begin.elapsed() < Duration::from_secs(30), "no migration begins");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // Its status tells of the migration that runs, and it has nothing to do but to wait.
    tokio::time::sleep(Duration::from_millis(500)).await;
    a.signal(Signal::SIGSTOP)?;
    // What was on its way to the API server then is no write of later.
    tokio::time::sleep(Duration::from_secs(2)).await;
    ensure!(lease(&stage).await?["holderIdentity"] == "a", "another one had the lease already");
    let written = by_a.writes()?.len();
    ensure!(by_b.writes()?.is_empty(), "the one without the lease wrote: {:#?}", by_b.writes()?);

    let begin = Instant::now();
    while lease(&stage).await?["holderIdentity"] != "b" {
        ensure!(begin.elapsed() < Duration::from_secs(30), "nobody took the lease over");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    println!("taken over after {:?}", begin.elapsed());
    // There is something to do when the first one comes to itself: both see the end of the migration at the same time.
    stage.puppet.commands_end(succeeded)?;
    stage.puppet.hold("migrate", false)?;
    a.signal(Signal::SIGCONT)?;
    a.until_ended(Duration::from_secs(10))?;
    let finished = |seen: &Value| is_in("Finished")(seen) && seen["status"]["release"]["current"] == "0.2.0";
    stage.until("PaymentCluster", "payments", finished).await?;

    let late = by_a.writes()?.split_off(written);
    ensure!(late.is_empty(), "the one that lost the lease wrote: {late:#?}");
    let is_migration = |write: &&Write| write.path.contains(MIGRATION) && write.status == http::StatusCode::CREATED;
    let begun = [by_a.writes()?, by_b.writes()?].concat().iter().filter(is_migration).count();
    ensure!(begun == 1, "{begun} migrations");
    let seen = stage.resource("PaymentCluster", "payments").await?;
    assert_eq!(condition(&seen, "Ready")["status"], "True");
    let history: Vec<_> = seen["status"]["release"]["history"].as_array().into_iter().flatten().cloned().collect();
    assert!(history.iter().all(|record| record["result"] == "Succeeded"), "{history:#?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_operator_after_another_one_has_a_greater_number() -> Result<()> {
    let (stage, mut first) = Stage::ready().await?;
    stage.change("PaymentCluster", "payments", quick_release("0.2.0")).await?;
    let of = |version: &'static str| move |seen: &Value| seen["status"]["release"]["migrated"] == version;
    stage.until("PaymentCluster", "payments", of("0.2.0")).await?;
    let before = token(&stage, "payments-migrate-0-2-0-1").await?;
    first.kill()?;
    // Whatever becomes of the lease: a number that began anew would have every migration refused.
    let uri = format!("/apis/coordination.k8s.io/v1/namespaces/{}/{LEASE}", stage.namespace);
    stage.client.request::<Value>(http::Request::delete(uri).body(Vec::new())?).await?;
    let _second = stage.operator("second")?;
    stage.change("PaymentCluster", "payments", json!({"spec": {"version": "0.3.0"}})).await?;
    stage.until("PaymentCluster", "payments", of("0.3.0")).await?;
    let after = token(&stage, "payments-migrate-0-3-0-1").await?;
    assert!(after > before, "{after} after {before}");
    Ok(())
}
