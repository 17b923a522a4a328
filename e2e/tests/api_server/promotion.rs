//! A version that has to be verified in staging, in another namespace and by another operator, before production begins with it.

use std::time::Duration;

use anyhow::Result;
use runtime_contract::{Outcome, Reason};
use serde_json::{Value, json};

use super::fixture::{minimal_cluster, quick_release};
use super::operator::{Stage, condition};
use super::puppet::{failed, succeeded};

fn is_in(stage: &'static str) -> impl Fn(&Value) -> bool {
    move |resource| resource["status"]["stage"] == stage
}

fn waits_with(words: &'static str) -> impl Fn(&Value) -> bool {
    move |resource| resource["status"]["waitingOn"].as_str().is_some_and(|on| on.contains(words))
}

#[tokio::test]
async fn production_begins_with_a_version_once_staging_has_verified_it_and_somebody_agrees() -> Result<()> {
    let staging = Stage::empty().await?;
    let mut manifest = minimal_cluster("payments");
    manifest["spec"]["environment"] = json!("Staging");
    staging.create("PaymentCluster", manifest).await?;
    let _first = staging.operator("staging")?;
    staging.until("PaymentCluster", "payments", is_in("Verified")).await?;

    let (production, _second) = Stage::ready().await?;
    let mut wanted = quick_release("0.2.0");
    wanted["spec"]["rollout"]["approval"] = json!("Required");
    wanted["spec"]["rollout"]["promoteFrom"] = json!({"namespace": staging.namespace, "name": "payments"});
    production.change("PaymentCluster", "payments", wanted).await?;
    production.until("PaymentCluster", "payments", waits_with("there 0.1.0 is wanted")).await?;
    let resource = production.resource("PaymentCluster", "payments").await?;
    assert_eq!(resource["status"]["stage"], "AwaitingStaging");
    assert_eq!(condition(&resource, "Ready")["status"], "True", "the release before serves");

    // One that misses a figure there is no proof here.
    let misses = |component: &str| match component {
        "load-test" => failed(Outcome::Failed, Reason::LoadFailed, "missed: p99 1.2 s"),
        other => succeeded(other),
    };
    staging.puppet.commands_end(misses)?;
    staging.change("PaymentCluster", "payments", quick_release("0.2.0")).await?;
    staging.until("PaymentCluster", "payments", is_in("RolledBack")).await?;
    production.until("PaymentCluster", "payments", waits_with("was given up (NotVerified)")).await?;
    assert!(production.object("apis/batch/v1", "jobs/payments-migrate-0-2-0-1").await?.is_none(), "nothing is changed");

    staging.puppet.commands_end(succeeded)?;
    let again = json!({"metadata": {"annotations": {"purser.dev/retry": "1"}}});
    staging.change("PaymentCluster", "payments", again).await?;
    staging.until("PaymentCluster", "payments", is_in("Verified")).await?;
    production.until("PaymentCluster", "payments", is_in("AwaitingApproval")).await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let resource = production.resource("PaymentCluster", "payments").await?;
    assert_eq!(resource["status"]["stage"], "AwaitingApproval");

    let approved = json!({"spec": {"rollout": {"approvedVersion": "0.2.0"}}});
    production.change("PaymentCluster", "payments", approved).await?;
    production.until("PaymentCluster", "payments", is_in("Finished")).await?;
    let (there, here) = (
        staging.resource("PaymentCluster", "payments").await?,
        production.resource("PaymentCluster", "payments").await?,
    );
    let proof = &here["status"]["release"]["promotion"];
    assert_eq!(proof["from"], format!("{}/payments", staging.namespace));
    assert_eq!(
        (&proof["version"], &proof["verifiedAt"]),
        (&json!("0.2.0"), &there["status"]["release"]["verified"]["at"])
    );
    Ok(())
}

#[tokio::test]
async fn a_release_whose_health_check_fails_never_gets_traffic() -> Result<()> {
    let (stage, _operator) = Stage::ready().await?;
    stage.puppet.commands_end(|component| match component {
        "health-check" => failed(Outcome::Failed, Reason::SmokeFailed, "failed at the fraud check"),
        other => succeeded(other),
    })?;
    stage.change("PaymentCluster", "payments", quick_release("0.2.0")).await?;
    stage.until("PaymentCluster", "payments", is_in("RolledBack")).await?;
    let resource = stage.resource("PaymentCluster", "payments").await?;
    let release = &resource["status"]["release"];
    assert_eq!((&release["current"], &release["abandoned"]["why"]), (&json!("0.1.0"), &json!("HealthCheckFailed")));
    assert_eq!(condition(&resource, "Ready")["status"], "True");
    assert!(stage.object("api/v1", "services/payments-gateway-0-2-0").await?.is_none(), "its address goes with it");
    let service = stage.object("api/v1", "services/payments-gateway").await?.unwrap_or_default();
    assert_eq!(service["spec"]["selector"]["purser.dev/release"], "0.1.0");
    Ok(())
}
