//! What a person does to have another release of the quickstart, and waiting for it.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use crate::Paths;
use crate::images;
use crate::platform::{CLUSTER, Kubectl, NAMESPACE};

/// The version of the quickstart.
pub const FIRST: &str = "0.1.0";
/// How long anything may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(180);

/// Gives the images of these releases to the local cluster.
///
/// # Errors
/// When they cannot be built or loaded.
pub async fn load_images(paths: &Paths, versions: &[&str]) -> Result<()> {
    let images = images::build_releases(paths, versions).await?;
    images::load(paths, &images, None).await.map(drop)
}

/// A canary of one step.
#[must_use]
pub fn canary() -> Value {
    json!({"strategy": "Canary", "steps": [{"weight": 50, "duration": "5s"}], "retireAfter": "5s"})
}

/// All of the traffic at once.
#[must_use]
pub fn blue_green() -> Value {
    json!({"strategy": "BlueGreen", "retireAfter": "5s"})
}

/// Wants a version, to be rolled out so.
///
/// # Errors
/// When the API server refuses it.
pub async fn want(kubectl: &Kubectl, version: &str, rollout: &Value) -> Result<()> {
    let sla = json!({"window": "10s", "minSamples": 5, "p95Latency": "250ms", "successRate": "95"});
    want_within(kubectl, version, rollout, &sla).await
}

/// The same, to be judged by another SLA.
///
/// # Errors
/// When the API server refuses it.
pub async fn want_within(kubectl: &Kubectl, version: &str, rollout: &Value, sla: &Value) -> Result<()> {
    patch(kubectl, &json!({"spec": {"version": version, "rollout": rollout, "sla": sla}})).await
}

/// What no release of the tests leaves in the schema. In earnest nobody goes back that way.
const AS_SHIPPED: &str = "drop table if exists next_release; alter table users drop column if exists note; \
                          delete from _sqlx_migrations where version > 9000";

/// Runs a statement in the quickstart's database; what it gives, a row a line.
///
/// # Errors
/// When PostgreSQL refuses it.
pub async fn sql(kubectl: &Kubectl, statement: &str) -> Result<String> {
    let shell = ["exec", "payments-postgres-0", "--", "sh", "-c", "PGPASSWORD=\"$POSTGRES_PASSWORD\" exec psql \"$@\""];
    let psql = ["psql", "-U", "purser", "-d", "payments", "-v", "ON_ERROR_STOP=1", "-Atqc", statement];
    let told = kubectl.run(&[&["-n", NAMESPACE], &shell[..], &psql[..]].concat()).await?;
    Ok(told.trim().to_owned())
}

/// Wants the quickstart as it is in its manifest, on the schema that is shipped, and waits for it.
///
/// # Errors
/// When it does not come.
pub async fn as_before(kubectl: &Kubectl) -> Result<()> {
    sql(kubectl, AS_SHIPPED).await?;
    // The manifest has another release watched for a minute. Nobody may be paying meanwhile.
    if status(kubectl).await?["release"]["current"] != FIRST {
        let sla = json!({"window": "10s", "minSamples": 0});
        // Nor has anybody to verify it, or to agree.
        let mut rollout = blue_green();
        rollout["promoteFrom"] = Value::Null;
        rollout["approval"] = Value::Null;
        patch(kubectl, &json!({"spec": {"version": FIRST, "rollout": rollout, "sla": sla}})).await?;
        until_stage(kubectl, FIRST, &["Finished"]).await?;
    }
    patch(kubectl, &json!({"spec": {"version": FIRST, "rollout": null, "sla": null}})).await?;
    until_stage(kubectl, FIRST, &["Finished"]).await.map(drop)
}

/// Changes the quickstart's PaymentCluster.
///
/// # Errors
/// When the API server refuses it.
pub(super) async fn patch(kubectl: &Kubectl, change: &Value) -> Result<()> {
    kubectl.patch(NAMESPACE, &format!("pcl/{CLUSTER}"), change).await
}

/// The status of the quickstart's PaymentCluster.
///
/// # Errors
/// When it is not there.
pub async fn status(kubectl: &Kubectl) -> Result<Value> {
    let resource = kubectl.get(&["-n", NAMESPACE, "pcl", CLUSTER]).await?;
    Ok(resource.context("no PaymentCluster")?["status"].clone())
}

/// Waits until a version is in one of these stages; its status then.
///
/// # Errors
/// When it ends in another one, or takes too long.
pub async fn until_stage(kubectl: &Kubectl, version: &str, stages: &[&str]) -> Result<Value> {
    let begun = Instant::now();
    loop {
        let status = status(kubectl).await?;
        let stage = status["stage"].as_str().unwrap_or_default().to_owned();
        let is_its_own = status["release"]["target"] == version;
        if is_its_own && stages.contains(&stage.as_str()) {
            return Ok(status);
        }
        let has_ended = is_its_own && stage == "RolledBack";
        if has_ended || begun.elapsed() > LIMIT {
            bail!("release {version} is {stage} and not {stages:?}: {} {:#}", status["waitingOn"], status["release"]);
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
