//! A release that waits until somebody agrees to it.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::fixture::quick_release;
use super::operator::{Stage, condition};
use super::trouble::has_event;

#[tokio::test]
async fn a_release_waits_for_its_approval_and_who_gave_it_is_kept() -> Result<()> {
    let (stage, _operator) = Stage::ready().await?;
    let mut wanted = quick_release("0.2.0");
    wanted["spec"]["rollout"]["approval"] = json!("Required");
    stage.change("PaymentCluster", "payments", wanted).await?;
    stage.until("PaymentCluster", "payments", |resource| resource["status"]["stage"] == "AwaitingApproval").await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let resource = stage.resource("PaymentCluster", "payments").await?;
    assert_eq!(resource["status"]["stage"], "AwaitingApproval");
    assert_eq!(condition(&resource, "Approved")["reason"], "ApprovalRequired");
    assert_eq!(condition(&resource, "Ready")["status"], "True", "the release before serves");
    assert!(stage.object("apis/batch/v1", "jobs/payments-migrate-0-2-0-1").await?.is_none(), "nothing is changed");
    is_told(&stage, "ApprovalRequired").await?;

    let approved = |version: &str| json!({"spec": {"rollout": {"approvedVersion": version}}});
    stage.change("PaymentCluster", "payments", approved("0.1.0")).await?;
    let words =
        |resource: &Value| resource["status"]["waitingOn"].as_str().is_some_and(|on| on.contains("it is 0.1.0"));
    stage.until("PaymentCluster", "payments", words).await?;

    stage.change("PaymentCluster", "payments", approved("0.2.0")).await?;
    let took_over = |resource: &Value| resource["status"]["release"]["current"] == "0.2.0";
    stage.until("PaymentCluster", "payments", took_over).await?;
    let resource = stage.resource("PaymentCluster", "payments").await?;
    let approval = &resource["status"]["release"]["approval"];
    let manages = |entry: &&Value| !entry["fieldsV1"]["f:spec"]["f:rollout"]["f:approvedVersion"].is_null();
    let manager = resource["metadata"]["managedFields"].as_array().into_iter().flatten().find(manages);
    let manager = manager.context("nobody manages the field")?;
    assert_eq!(approval, &json!({"version": "0.2.0", "by": manager["manager"], "at": manager["time"]}));
    assert_eq!(condition(&resource, "Approved")["reason"], "Approved");
    is_told(&stage, "Approved").await
}

async fn is_told(stage: &Stage, reason: &str) -> Result<()> {
    let begin = Instant::now();
    while !has_event(stage, "PaymentCluster", "payments", reason).await? {
        assert!(begin.elapsed() < Duration::from_secs(10), "no event {reason}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Ok(())
}
