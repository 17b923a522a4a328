//! Staging in a namespace and a database of its own, and production that takes over what was verified there.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use e2e::images::GOOD_RELEASE;
use e2e::platform::{CLUSTER, Kubectl, NAMESPACE};
use e2e::releases::{FIRST, as_before, canary, sql, status, until_stage, want};
use serde_json::{Value, json};

use super::fixture::eventually;
use super::releases::{expect_none_failed, left_of, with_releases};

const SPACE: &str = "payments-staging";
const NAME: &str = "rehearsal";
/// The first release has to come up and to be tested, on a machine that pays meanwhile.
const LIMIT: Duration = Duration::from_secs(150);

#[tokio::test]
#[ignore = "long: make e2e"]
async fn production_takes_over_what_staging_has_verified_once_somebody_agrees() -> Result<()> {
    let Some(platform) = with_releases(&[GOOD_RELEASE]).await? else { return Ok(()) };
    let kubectl = &platform.kubectl;
    remove(kubectl).await?;
    sql(kubectl, "create database staging").await?;
    apply_staging(kubectl).await?;
    let load = platform.load().await?;
    let mut rollout = canary();
    rollout["approval"] = json!("Required");
    rollout["promoteFrom"] = json!({"namespace": SPACE, "name": NAME});
    want(kubectl, GOOD_RELEASE, &rollout).await?;

    verified(kubectl, FIRST).await?;
    waits(kubectl, "AwaitingStaging", "there 0.1.0 is wanted").await?;
    kubectl.patch(SPACE, &format!("pcl/{NAME}"), &json!({"spec": {"version": GOOD_RELEASE}})).await?;
    let there = verified(kubectl, GOOD_RELEASE).await?;
    tests_were_jobs(kubectl).await?;

    waits(kubectl, "AwaitingApproval", "waits for approval").await?;
    let begun = left_of(kubectl, GOOD_RELEASE).await?;
    ensure!(begun.trim().is_empty(), "it has begun without anybody's consent: {begun}");
    approve(kubectl).await?;
    let here = until_stage(kubectl, GOOD_RELEASE, &["Finished"]).await?;
    let (proof, approval) = (&here["release"]["promotion"], &here["release"]["approval"]);
    println!("{proof}\n{approval}");
    assert_eq!((&proof["from"], &proof["version"]), (&json!(format!("{SPACE}/{NAME}")), &json!(GOOD_RELEASE)));
    assert_eq!(proof["verifiedAt"], there["release"]["verified"]["at"]);
    assert_eq!(approval["version"], GOOD_RELEASE, "{approval:#}");
    expect_none_failed(&load.stop().await?);
    remove(kubectl).await?;
    as_before(kubectl).await
}

/// Waits until staging has verified a version; its status then.
async fn verified(kubectl: &Kubectl, version: &str) -> Result<Value> {
    let ask = || async {
        let status = kubectl.get(&["-n", SPACE, "pcl", NAME]).await?.context("no staging")?["status"].clone();
        Ok::<_, anyhow::Error>(status)
    };
    let took = eventually("staging verifies it", LIMIT, || async {
        let status = ask().await?;
        let is_verified = status["stage"] == "Verified" && status["release"]["current"] == version;
        Ok((is_verified, format!("{}: {} {}", status["stage"], status["waitingOn"], status["conditions"])))
    })
    .await?;
    let status = ask().await?;
    println!("staging has verified {version} after {took:?}: {}", status["release"]["history"][0]);
    Ok(status)
}

/// Production stands still there, and the release before serves.
async fn waits(kubectl: &Kubectl, stage: &str, words: &str) -> Result<()> {
    eventually("production waits", Duration::from_secs(20), || async {
        let status = status(kubectl).await?;
        let is_told = status["waitingOn"].as_str().is_some_and(|on| on.contains(words));
        let serves = status["release"]["current"] == FIRST;
        Ok((status["stage"] == stage && is_told && serves, format!("{} {}", status["stage"], status["waitingOn"])))
    })
    .await
    .map(drop)
}

/// Smoke test and load test ran as Jobs of the release's own image. Their reports are read before Kubernetes counts them.
async fn tests_were_jobs(kubectl: &Kubectl) -> Result<()> {
    let of_release = format!("purser.dev/release={GOOD_RELEASE}");
    for command in ["smoke", "load"] {
        eventually("a test was a Job", Duration::from_secs(20), || async {
            let jobs = kubectl.get(&["-n", SPACE, "jobs", "-l", &of_release]).await?.context("no list of Jobs")?;
            let job = jobs["items"].as_array().into_iter().flatten().find(|job| {
                let container = &job["spec"]["template"]["spec"]["containers"][0];
                container["args"][0] == command && container["image"] == format!("purser:{GOOD_RELEASE}")
            });
            Ok((job.is_some_and(|job| job["status"]["succeeded"] == 1), format!("{command}: {job:?}")))
        })
        .await?;
    }
    Ok(())
}

async fn approve(kubectl: &Kubectl) -> Result<()> {
    let plugin = std::env::current_exe()?.ancestors().nth(2).context("no target folder")?.join("kubectl-purser");
    let arguments = ["-n", NAMESPACE, "approve", CLUSTER, "--version", GOOD_RELEASE, "--wait"];
    let ended = kubectl.command(&plugin).args(arguments).status().await?;
    ensure!(ended.success(), "kubectl purser approve: {ended}");
    Ok(())
}

async fn apply_staging(kubectl: &Kubectl) -> Result<()> {
    let metadata = |name: &str| json!({"name": name, "namespace": SPACE});
    let secret = |name: &str, data: Value| json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata(name), "stringData": data});
    let mut provider = json!({"apiVersion": "purser.dev/v1alpha1", "kind": "PaymentProvider", "metadata": metadata("stripe"), "spec": {
        "name": "STRIPE", "simulator": true, "apiEndpoint": format!("http://provider-simulator.{NAMESPACE}.svc:8090"),
        "credentialsSecretRef": {"name": "stripe", "key": "secretKey"},
    }});
    provider["metadata"]["labels"] = json!({"purser.dev/cluster": NAME});
    let spec = json!({
        "version": FIRST,
        "environment": "Staging",
        "database": {"urlSecretRef": {"name": "db", "key": "url"}},
        "cache": {"urlSecretRef": {"name": "redis", "key": "url"}},
        "providers": {"selector": {"matchLabels": {"purser.dev/cluster": NAME}}},
        "gateway": {"replicas": 1}, "fraud": {"replicas": 1}, "processor": {"replicas": 1}, "metrics": {"replicas": 1},
        "rollout": {"retireAfter": "1s"},
        "staging": {"tps": 10, "duration": "5s"},
    });
    let objects = [
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SPACE}}),
        secret("stripe", json!({"secretKey": "sk_test_quickstart"})),
        secret("redis", json!({"url": format!("redis://payments-redis.{NAMESPACE}.svc:6379/1")})),
        secret(
            "db",
            json!({"url": format!("postgres://purser:quickstart-only@payments-postgres.{NAMESPACE}.svc:5432/staging")}),
        ),
        provider,
        json!({"apiVersion": "purser.dev/v1alpha1", "kind": "PaymentCluster", "metadata": metadata(NAME), "spec": spec}),
    ];
    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string();
    kubectl.run_with_input(&["apply", "-f", "-"], Some(&list)).await.map(drop)
}

async fn remove(kubectl: &Kubectl) -> Result<()> {
    kubectl.run(&["delete", "namespace", SPACE, "--ignore-not-found", "--timeout=90s"]).await?;
    sql(kubectl, "drop database if exists staging with (force)").await?;
    let approved = "purser.dev/approved-version-";
    kubectl.run(&["-n", NAMESPACE, "annotate", &format!("pcl/{CLUSTER}"), approved]).await.map(drop)
}
