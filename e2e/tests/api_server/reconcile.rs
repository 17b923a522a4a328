//! What the operator does with a PaymentCluster, from the first look to the second release.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use e2e::audit;
use runtime_contract::{Outcome, Reason};
use serde_json::{Value, json};

use super::fixture::{minimal_cluster, quick_release};
use super::operator::{Stage, condition};
use super::puppet::{failed, succeeded};
use super::rest::until_written_down;

const DEPLOYMENTS: &str = "apis/apps/v1";

#[tokio::test]
async fn a_paymentcluster_becomes_ready_and_everything_of_it_carries_its_release_and_its_owner() -> Result<()> {
    let (stage, _operator) = Stage::ready().await?;
    let resource = stage.resource("PaymentCluster", "payments").await?;
    assert_eq!(resource["status"]["stage"], "Finished");
    assert_eq!(resource["status"]["observedGeneration"], resource["metadata"]["generation"]);
    for kind in
        ["SecretsAvailable", "SchemaReady", "SettingsApplied", "ProvidersReady", "GatewayAvailable", "FraudAvailable"]
    {
        let found = condition(&resource, kind);
        assert_eq!(found["status"], "True", "{kind}: {found}");
        assert_eq!(found["observedGeneration"], resource["metadata"]["generation"]);
    }
    assert_eq!(condition(&resource, "Reconciling")["status"], "False");
    assert_eq!(condition(&resource, "Stalled")["status"], "False");
    for role in ["gateway", "fraud", "processor", "metrics"] {
        let deployment =
            stage.object(DEPLOYMENTS, &format!("deployments/payments-{role}-0-1-0")).await?.context(role)?;
        assert_eq!(deployment["metadata"]["labels"]["purser.dev/release"], "0.1.0");
        assert_eq!(deployment["metadata"]["ownerReferences"][0]["uid"], resource["metadata"]["uid"]);
    }
    let service = stage.object("api/v1", "services/payments-gateway").await?.context("no gateway Service")?;
    assert_eq!(service["spec"]["selector"]["purser.dev/release"], "0.1.0");
    assert!(!resource.to_string().contains("secret-word"), "a secret stands in the resource");
    Ok(())
}

#[tokio::test]
async fn at_rest_nothing_is_written_but_the_lease() -> Result<()> {
    let (stage, _operator) = Stage::ready().await?;
    // The last events and the first probe of the provider come to their end, and what is at rest is written down.
    until_written_down(&stage).await?;
    tokio::time::sleep(Duration::from_secs(4)).await;
    let from = audit::length(stage.plane.audit_log())?;
    // Longer than the operator's period at rest, and than the probe's.
    tokio::time::sleep(Duration::from_secs(40)).await;
    let entries = audit::since(stage.plane.audit_log(), from)?;
    let here = entries.iter().filter(|entry| entry["objectRef"]["namespace"] == stage.namespace.as_str());
    let (writes, lease_writes) = audit::operator_writes(here);
    assert!(lease_writes > 0, "the lease is renewed, so a log without it is the wrong one");
    assert!(writes.is_empty(), "{writes:#?}");
    Ok(())
}

#[tokio::test]
async fn what_a_hand_changes_or_deletes_is_put_right_within_seconds() -> Result<()> {
    let (stage, _operator) = Stage::ready().await?;
    let started = Instant::now();
    let path = |path: &str| format!("/{}/namespaces/{}/{path}", DEPLOYMENTS, stage.namespace);
    let image = json!([{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "evil:1"}]);
    let request = http::Request::patch(path("deployments/payments-processor-0-1-0"))
        .header("content-type", "application/json-patch+json")
        .body(serde_json::to_vec(&image)?)?;
    stage.client.request::<Value>(request).await?;
    let uri = format!("/api/v1/namespaces/{}/services/payments-gateway", stage.namespace);
    stage.client.request::<Value>(http::Request::delete(uri).body(Vec::new())?).await?;
    loop {
        let deployment = stage.object(DEPLOYMENTS, "deployments/payments-processor-0-1-0").await?.context("gone")?;
        let image = &deployment["spec"]["template"]["spec"]["containers"][0]["image"];
        if image == "purser:0.1.0" && stage.object("api/v1", "services/payments-gateway").await?.is_some() {
            break;
        }
        assert!(started.elapsed() < Duration::from_secs(5), "not put right: {image}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    println!("put right after {:?}", started.elapsed());
    Ok(())
}

#[tokio::test]
async fn a_new_version_starts_beside_the_old_one_and_takes_over_only_when_it_is_ready() -> Result<()> {
    let (stage, _operator) = Stage::ready().await?;
    stage.puppet.hold("0.2.0", true)?;
    stage.change("PaymentCluster", "payments", quick_release("0.2.0")).await?;
    stage.until("PaymentCluster", "payments", |resource| resource["status"]["stage"] == "Deploying").await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    for release in ["0-1-0", "0-2-0"] {
        let name = format!("deployments/payments-gateway-{release}");
        assert!(stage.object(DEPLOYMENTS, &name).await?.is_some(), "{name} stands");
    }
    let selected = |service: &Value| service["spec"]["selector"]["purser.dev/release"].clone();
    let service = stage.object("api/v1", "services/payments-gateway").await?.context("no Service")?;
    assert_eq!(selected(&service), "0.1.0", "traffic stays until the new release is ready");

    stage.puppet.hold("0.2.0", false)?;
    let took_over = |resource: &Value| resource["status"]["release"]["current"] == "0.2.0";
    stage.until("PaymentCluster", "payments", took_over).await?;
    let service = stage.object("api/v1", "services/payments-gateway").await?.context("no Service")?;
    assert_eq!(selected(&service), "0.2.0");
    let gone = Instant::now();
    while stage.object(DEPLOYMENTS, "deployments/payments-gateway-0-1-0").await?.is_some() {
        assert!(gone.elapsed() < Duration::from_secs(20), "the old release is still there");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Ok(())
}

#[tokio::test]
async fn an_autoscaler_comes_with_the_wish_for_one_and_goes_with_it() -> Result<()> {
    let (stage, _operator) = Stage::ready().await?;
    let autoscaler = "horizontalpodautoscalers/payments-gateway-0-1-0";
    assert!(stage.object("apis/autoscaling/v2", autoscaler).await?.is_none());
    stage
        .change(
            "PaymentCluster",
            "payments",
            json!({"spec": {"gateway": {"autoscaling": {"minReplicas": 2, "maxReplicas": 4}}}}),
        )
        .await?;
    wait_for_object(&stage, "apis/autoscaling/v2", autoscaler, true).await?;
    stage.change("PaymentCluster", "payments", json!({"spec": {"gateway": {"autoscaling": null}}})).await?;
    wait_for_object(&stage, "apis/autoscaling/v2", autoscaler, false).await
}

async fn wait_for_object(stage: &Stage, group: &str, path: &str, there: bool) -> Result<()> {
    let started = Instant::now();
    while stage.object(group, path).await?.is_some() != there {
        assert!(started.elapsed() < Duration::from_secs(10), "{path} there: {}", !there);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

#[tokio::test]
async fn a_role_of_one_pod_has_no_budget_that_would_hold_a_drain_up() -> Result<()> {
    let (stage, _operator) = Stage::ready().await?;
    let budget = "poddisruptionbudgets/payments-processor";
    wait_for_object(&stage, "apis/policy/v1", budget, true).await?;
    stage.change("PaymentCluster", "payments", json!({"spec": {"processor": {"replicas": 1}}})).await?;
    wait_for_object(&stage, "apis/policy/v1", budget, false).await
}

#[tokio::test]
async fn nothing_of_a_first_release_stands_while_another_one_waits_for_its_approval() -> Result<()> {
    let stage = Stage::empty().await?;
    stage.puppet.commands_end(|_| failed(Outcome::Failed, Reason::MigrationFailed, "division by zero"))?;
    stage.create("PaymentCluster", minimal_cluster("payments")).await?;
    let _operator = stage.operator("first")?;
    stage.until("PaymentCluster", "payments", |resource| condition(resource, "Stalled")["status"] == "True").await?;
    wait_for_object(&stage, "api/v1", "serviceaccounts/payments", true).await?;
    let another = json!({"spec": {"version": "0.1.1", "rollout": {"approval": "Required"}}});
    stage.change("PaymentCluster", "payments", another).await?;
    stage.until("PaymentCluster", "payments", |resource| resource["status"]["stage"] == "AwaitingApproval").await?;
    wait_for_object(&stage, "api/v1", "serviceaccounts/payments", false).await
}

#[tokio::test]
async fn a_failed_migration_deploys_nothing_and_is_tried_again_when_the_spec_changes() -> Result<()> {
    let stage = Stage::empty().await?;
    let words = "relation \"merchants\" already exists";
    stage.puppet.commands_end(move |_| failed(Outcome::Failed, Reason::MigrationFailed, words))?;
    stage.create("PaymentCluster", minimal_cluster("payments")).await?;
    let _operator = stage.operator("first")?;
    stage.until("PaymentCluster", "payments", |resource| condition(resource, "Stalled")["status"] == "True").await?;
    let resource = stage.resource("PaymentCluster", "payments").await?;
    let schema = condition(&resource, "SchemaReady");
    assert_eq!((&schema["status"], &schema["reason"]), (&json!("False"), &json!("MigrationFailed")));
    assert!(schema["message"].as_str().is_some_and(|message| message.contains(words)), "{schema}");
    assert!(
        stage.object(DEPLOYMENTS, "deployments/payments-gateway-0-1-0").await?.is_none(),
        "nothing may run on half a schema"
    );

    stage.puppet.commands_end(succeeded)?;
    stage.change("PaymentCluster", "payments", json!({"spec": {"version": "0.1.1"}})).await?;
    stage.until_ready().await?;
    Ok(())
}

#[tokio::test]
async fn a_migration_that_may_work_later_is_tried_again_by_itself() -> Result<()> {
    let stage = Stage::empty().await?;
    let tries = std::sync::atomic::AtomicU32::new(0);
    stage.puppet.commands_end(move |component| {
        let first = component == "migrate" && tries.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0;
        if first {
            failed(Outcome::Retry, Reason::DatabaseUnreachable, "connection refused")
        } else {
            succeeded(component)
        }
    })?;
    stage.create("PaymentCluster", minimal_cluster("payments")).await?;
    let _operator = stage.operator("first")?;
    stage.until_ready().await?;
    Ok(())
}

#[tokio::test]
async fn a_missing_secret_and_a_missing_key_are_named_and_waited_for() -> Result<()> {
    let stage = Stage::empty().await?;
    let mut manifest = minimal_cluster("payments");
    manifest["spec"]["database"]["urlSecretRef"] = json!({"name": "later-db", "key": "url"});
    stage.create("PaymentCluster", manifest).await?;
    let _operator = stage.operator("first")?;
    let explained = |words: &'static str| {
        move |resource: &Value| {
            let found = condition(resource, "SecretsAvailable");
            found["status"] == "False" && found["message"].as_str().is_some_and(|message| message.contains(words))
        }
    };
    stage.until("PaymentCluster", "payments", explained("later-db")).await?;
    stage.secret("later-db", json!({"url": "postgres://purser:secret-word@db.example:5432/payments"})).await?;
    stage.until_ready().await?;
    Ok(())
}

#[tokio::test]
async fn a_provider_selected_by_two_paymentclusters_stays_with_the_older_one() -> Result<()> {
    let (stage, _operator) = Stage::ready().await?;
    // Creation times have a resolution of one second.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let mut younger = minimal_cluster("younger");
    younger["spec"]["providers"] = json!({"selector": {"matchLabels": {"purser.dev/cluster": "payments"}}});
    stage.secret("younger-db", json!({"url": "postgres://purser:secret-word@db.example:5432/younger"})).await?;
    stage.secret("younger-redis", json!({"url": "redis://cache.example:6379/1"})).await?;
    stage.create("PaymentCluster", younger).await?;
    stage
        .until("PaymentCluster", "younger", |resource| {
            let found = condition(resource, "ProvidersReady");
            found["status"] == "False"
                && found["reason"] == "ProviderConflict"
                && found["message"].as_str().is_some_and(|message| message.contains("stripe"))
        })
        .await?;
    let provider = stage.resource("PaymentProvider", "stripe").await?;
    assert_eq!(provider["status"]["usedBy"], "payments");
    assert_eq!(
        condition(&stage.resource("PaymentCluster", "payments").await?, "Ready")["status"],
        "True",
        "the older one is not touched"
    );
    Ok(())
}
