//! What must reach running pods within seconds, and without a restart.

use std::time::Duration;

use anyhow::{Context, Result};
use e2e::platform::NAMESPACE;
use serde_json::{Value, json};

use super::fixture::{Platform, eventually, platform, unique};

/// The promise to the user.
const LIMIT: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_provider_is_switched_off_and_on_while_the_pods_keep_running() -> Result<()> {
    let platform = platform().await?;
    let before = uids(&platform).await?;
    let revision = lowest_revision(&platform).await?;
    activate(&platform, false).await?;
    let took = every_pod_reaches(&platform, revision + 1).await?;
    println!("switched off everywhere after {took:?}");

    let merchant = platform.merchant().await?;
    let unique = unique();
    let method = merchant.payment_method(&unique, "pm_card_visa").await?;
    let waiting = merchant.pay(&format!("waits-{unique}"), &method, "4.00", Duration::from_secs(3)).await?;
    assert_eq!(waiting["status"], "PENDING", "no provider is on, so the payment waits: {waiting:#}");

    activate(&platform, true).await?;
    let path = format!("/v1/payments/{}", waiting["id"].as_str().context("no id")?);
    eventually("the waiting payment goes on", Duration::from_secs(30), || async {
        let payment = merchant.get(&path).await?.expect(200)?;
        Ok((payment["status"] == "SUCCESS", payment["status"].to_string()))
    })
    .await?;
    assert_eq!(uids(&platform).await?, before, "pods were replaced");
    Ok(())
}

#[tokio::test]
async fn a_time_to_live_reaches_every_pod() -> Result<()> {
    let platform = platform().await?;
    let revision = lowest_revision(&platform).await?;
    platform.kubectl.patch(NAMESPACE, "pcl/payments", &json!({"spec": {"cache": {"ttl": {"user": "7m"}}}})).await?;
    let took = every_pod_reaches(&platform, revision + 1).await?;
    println!("a time to live was everywhere after {took:?}");
    platform.kubectl.patch(NAMESPACE, "pcl/payments", &json!({"spec": {"cache": {"ttl": {"user": "5m"}}}})).await?;
    every_pod_reaches(&platform, revision + 2).await?;
    Ok(())
}

async fn activate(platform: &Platform, active: bool) -> Result<()> {
    platform.kubectl.patch(NAMESPACE, "pprov/stripe", &json!({"spec": {"active": active}})).await
}

async fn every_pod_reaches(platform: &Platform, revision: i64) -> Result<Duration> {
    eventually("settings reach every pod", LIMIT, || async {
        let lowest = lowest_revision(platform).await?;
        Ok((lowest >= revision, format!("revision {lowest} where {revision} is wanted")))
    })
    .await
}

/// The oldest settings that any pod still goes by, as the pods themselves say.
async fn lowest_revision(platform: &Platform) -> Result<i64> {
    let mut lowest = i64::MAX;
    for role in ["gateway", "fraud", "processor"] {
        for pod in platform.pods(role).await? {
            let path = format!("/api/v1/namespaces/{NAMESPACE}/pods/{pod}:9090/proxy/readyz");
            let health: Value = serde_json::from_str(&platform.kubectl.run(&["get", "--raw", &path]).await?)?;
            lowest = lowest.min(health["settingsRevision"].as_i64().context("a pod without settingsRevision")?);
        }
    }
    Ok(lowest)
}

async fn uids(platform: &Platform) -> Result<Vec<String>> {
    let mut all = Vec::new();
    for role in ["gateway", "fraud", "processor", "metrics"] {
        all.extend(platform.pods(role).await?);
    }
    all.sort();
    Ok(all)
}
