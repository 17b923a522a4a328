//! A change of what pods start with, under a constant load of payments: a release of its own.

use std::time::Duration;

use anyhow::Result;
use e2e::platform::NAMESPACE;
use e2e::releases::{FIRST, as_before, blue_green, status, until_stage};
use serde_json::{Value, json};

use super::fixture::{Platform, platform};
use super::releases::expect_none_failed;

async fn template(platform: &Platform) -> Result<Value> {
    Ok(platform.object("deployment", "payments-gateway-0-1-0").await?["spec"]["template"].clone())
}

#[tokio::test]
async fn a_setting_goes_forward_and_back_as_a_release_under_load_without_a_failed_request() -> Result<()> {
    let platform = platform().await?;
    let kubectl = &platform.kubectl;
    let load = platform.load().await?;
    let before = template(&platform).await?;
    let sla = json!({"window": "10s", "minSamples": 20, "successRate": "95"});
    let change = json!({"spec": {"fraud": {"deadline": "61ms"}, "rollout": blue_green(), "sla": sla}});
    kubectl.patch(NAMESPACE, "pcl/payments", &change).await?;
    let name = until_it_serves(&platform, &before).await?;
    println!("the other configuration serves as {name}");
    // An equal configuration goes by its first name again.
    kubectl.patch(NAMESPACE, "pcl/payments", &json!({"spec": {"fraud": {"deadline": "50ms"}}})).await?;
    until_stage(kubectl, FIRST, &["Finished"]).await?;
    assert_eq!(template(&platform).await?, before);
    expect_none_failed(&load.stop().await?);
    kubectl.patch(NAMESPACE, "pcl/payments", &json!({"spec": {"fraud": {"deadline": null}}})).await?;
    as_before(kubectl).await
}

/// Looks at the pods of the release before all the while: they stay as they are as long as they serve.
async fn until_it_serves(platform: &Platform, before: &Value) -> Result<String> {
    let begun = std::time::Instant::now();
    loop {
        let status = status(&platform.kubectl).await?;
        let (release, stage) = (&status["release"], &status["stage"]);
        let current = release["current"].as_str().unwrap_or_default().to_owned();
        if current == FIRST {
            assert_eq!(&template(platform).await?, before, "{stage}");
        } else if stage == "Finished" {
            assert!(current.starts_with("0.1.0-r"), "{current}");
            return Ok(current);
        }
        assert!(begun.elapsed() < Duration::from_secs(180) && stage != "RolledBack", "{stage} {release:#}");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}
