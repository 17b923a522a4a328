//! Somebody applies the manifest again and again, as Argo CD and Flux do: nobody fights, and what was rolled back stays so.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::fixture::{minimal_cluster, untyped};
use super::operator::Stage;
use super::proxy::Proxy;
use super::release::{Told, canary, is_in, selected};

/// Three at once take their time.
const LIMIT: Duration = Duration::from_secs(180);

/// How the manifest is written.
#[derive(Clone, Copy, Debug, PartialEq)]
enum By {
    /// Server-side apply with force, as Argo CD and Flux do.
    Apply,
    /// All of it at once, as `kubectl replace` does.
    Replace,
    /// Once, and then no more.
    Nobody,
}

/// Writes what stands in Git, each second.
struct Agent {
    git: Arc<Mutex<Value>>,
    written: Arc<AtomicUsize>,
    trouble: Arc<Mutex<Option<String>>>,
    task: JoinHandle<()>,
}

impl Agent {
    fn start(stage: &Stage, by: By, manifest: Value) -> Self {
        let (git, written) = (Arc::new(Mutex::new(manifest)), Arc::new(AtomicUsize::new(0)));
        let trouble = Arc::new(Mutex::new(None));
        let (client, namespace) = (stage.client.clone(), stage.namespace.clone());
        let (wanted, count, failure) = (Arc::clone(&git), Arc::clone(&written), Arc::clone(&trouble));
        let task = tokio::spawn(async move {
            let mut last = Value::Null;
            loop {
                let manifest = wanted.lock().map(|wanted| wanted.clone()).unwrap_or_default();
                if by != By::Nobody || manifest != last {
                    match write(&client, &namespace, by, &manifest).await {
                        Ok(()) => drop(count.fetch_add(1, Ordering::Relaxed)),
                        Err(error) => drop(failure.lock().map(|mut told| told.replace(format!("{error:#}")))),
                    }
                }
                last = manifest;
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        });
        Self { git, written, trouble, task }
    }

    /// A commit.
    fn change(&self, change: &Value) -> Result<()> {
        let mut git = self.git.lock().map_err(|_| anyhow!("poisoned"))?;
        merge(&mut git, change);
        Ok(())
    }

    fn trouble(&self) -> Result<Option<String>> {
        Ok(self.trouble.lock().map_err(|_| anyhow!("poisoned"))?.clone())
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn merge(into: &mut Value, change: &Value) {
    match change {
        Value::Object(all) => all.iter().for_each(|(key, value)| merge(&mut into[key.as_str()], value)),
        other => *into = other.clone(),
    }
}

async fn write(client: &kube::Client, namespace: &str, by: By, manifest: &Value) -> Result<()> {
    let api = untyped(client, namespace, "PaymentCluster");
    if by != By::Replace || api.get_opt("payments").await?.is_none() {
        let params = PatchParams::apply("argocd-controller").force();
        api.patch("payments", &params, &Patch::Apply(manifest)).await?;
        return Ok(());
    }
    // A definition's objects are replaced at the version that was read.
    let mut whole = manifest.clone();
    whole["metadata"]["resourceVersion"] = json!(api.get("payments").await?.metadata.resource_version);
    match api.replace("payments", &Default::default(), &serde_json::from_value(whole)?).await {
        Ok(_) => Ok(()),
        // The operator wrote its status in between; the next second is soon.
        Err(kube::Error::Api(status)) if status.is_conflict() => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// What a release and a rollback cost, and what they left.
struct Seen {
    operator_writes: usize,
    agent_writes: usize,
    generation: i64,
}

async fn release_and_rollback(by: By, address: Ipv4Addr) -> Result<Seen> {
    let _told = Told::at(address).await?;
    let stage = Stage::empty().await?;
    let proxy = Proxy::start(stage.plane).await?;
    let agent = Agent::start(&stage, by, minimal_cluster("payments"));
    let _operator = stage.operator_by(&proxy.kubeconfig, "first")?;
    stage.until_ready().await?;
    stage.puppet.metrics_are_at(address)?;

    agent.change(&canary())?;
    stage
        .until_within(LIMIT, "PaymentCluster", "payments", |seen| is_in("Finished")(seen) && serves(seen, "0.2.0"))
        .await?;
    let mut slow = canary();
    slow["spec"]["version"] = json!("0.3.0");
    agent.change(&slow)?;
    stage.until_within(LIMIT, "PaymentCluster", "payments", is_in("RolledBack")).await?;
    // The last of it is taken away.
    tokio::time::sleep(Duration::from_secs(6)).await;
    let operator_writes = proxy.writes()?.len();

    let before = stage.resource("PaymentCluster", "payments").await?;
    tokio::time::sleep(Duration::from_secs(10)).await;
    let after = stage.resource("PaymentCluster", "payments").await?;
    ensure!(
        after["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"],
        "{by:?}: somebody writes on"
    );
    ensure!(
        proxy.writes()?.len() == operator_writes,
        "{by:?}: the operator writes at rest: {:#?}",
        proxy.writes()?.split_off(operator_writes)
    );
    ensure!(is_in("RolledBack")(&after) && serves(&after, "0.2.0"), "{by:?}: {:#}", after["status"]);
    ensure!(after["spec"]["version"] == "0.3.0", "the spec is a person's");
    ensure!(selected(&stage).await? == "0.2.0", "{by:?}: the traffic does not stay");
    for entry in after["metadata"]["managedFields"].as_array().into_iter().flatten() {
        let is_operator = entry["manager"].as_str().is_some_and(|manager| manager.starts_with("purser-operator"));
        ensure!(!is_operator || entry["subresource"] == "status", "the operator holds a part of the spec: {entry}");
    }
    ensure!(agent.trouble()?.is_none(), "{by:?}: {:?}", agent.trouble()?);
    let generation = after["metadata"]["generation"].as_i64().context("no generation")?;
    Ok(Seen { operator_writes, agent_writes: agent.written.load(Ordering::Relaxed), generation })
}

fn serves(seen: &Value, version: &str) -> bool {
    seen["status"]["release"]["current"] == version
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "three minutes: `make e2e`"]
async fn a_manifest_that_is_applied_each_second_is_no_fight_and_a_rollback_stays() -> Result<()> {
    let address = |last| Ipv4Addr::new(127, 77, 10, last);
    let (alone, applied, replaced) = tokio::try_join!(
        release_and_rollback(By::Nobody, address(1)),
        release_and_rollback(By::Apply, address(2)),
        release_and_rollback(By::Replace, address(3)),
    )?;
    for (by, seen) in [(By::Nobody, &alone), (By::Apply, &applied), (By::Replace, &replaced)] {
        println!("{by:?}: {} writes by the operator, {} by the agent", seen.operator_writes, seen.agent_writes);
        assert_eq!(seen.generation, 3, "{by:?}: one generation a commit");
    }
    for seen in [&applied, &replaced] {
        assert!(seen.agent_writes > 30, "it was not applied each second");
        // How many pods are ready is told as it changes, which is not the same each time.
        let most = alone.operator_writes + alone.operator_writes / 4;
        assert!(seen.operator_writes <= most, "{} writes, and {most} would do", seen.operator_writes);
    }
    Ok(())
}
