//! What others do to the operator: objects that it cannot read, endpoints that cannot make up their mind, quotas.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use e2e::audit;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::fixture::{minimal_cluster, minimal_provider};
use super::operator::{Operator, Stage, condition};

#[tokio::test]
async fn a_malformed_resource_gets_an_event_and_stops_no_other() -> Result<()> {
    let stage = Stage::empty_on_own_plane().await?;
    let mut cluster = minimal_cluster("broken");
    // An error that quotes this is longer than an event may be.
    cluster["spec"]["fraud"] = "many ".repeat(1_000).into();
    malformed(&stage, "PaymentCluster", "fraud", cluster).await?;
    let mut provider = minimal_provider("broken", "payments");
    provider["spec"]["priority"] = "first".into();
    malformed(&stage, "PaymentProvider", "priority", provider).await?;

    stage.create("PaymentCluster", minimal_cluster("payments")).await?;
    let mut operator = stage.operator("first")?;
    stage.until_ready().await?;
    for kind in ["PaymentCluster", "PaymentProvider"] {
        let started = Instant::now();
        while !has_event(&stage, kind, "broken", "Malformed").await? {
            assert!(started.elapsed() < Duration::from_secs(10), "no event tells of the malformed {kind}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    assert_eq!(stage.resource("PaymentProvider", "stripe").await?["status"]["usedBy"], "payments");
    stage.change("PaymentCluster", "broken", json!({"spec": {"fraud": null}})).await?;
    stage.until("PaymentCluster", "broken", |resource| resource["status"]["observedGeneration"] == 2).await?;
    operator.stop()?;
    Ok(())
}

/// Stores an object that the definition refuses, by way of a definition that lets one field be anything.
async fn malformed(stage: &Stage, kind: &str, field: &str, object: Value) -> Result<()> {
    let definitions: Api<CustomResourceDefinition> = Api::all(stage.client.clone());
    let name = format!("{}s.purser.dev", kind.to_lowercase());
    let strict = serde_json::to_value(definitions.get(&name).await?)?;
    let mut loose = strict.clone();
    let spec = &mut loose["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
    spec["properties"][field] = json!({"x-kubernetes-preserve-unknown-fields": true});
    definitions.replace(&name, &PostParams::default(), &serde_json::from_value(loose)?).await?;
    let started = Instant::now();
    while let Err(error) = stage.create(kind, object.clone()).await {
        if started.elapsed() > Duration::from_secs(20) {
            return Err(error.context("the loose definition does not take it"));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let back = json!({"spec": {"versions": strict["spec"]["versions"]}});
    definitions.patch(&name, &PatchParams::default(), &Patch::Merge(&back)).await?;
    Ok(())
}

pub(crate) async fn has_event(stage: &Stage, kind: &str, name: &str, reason: &str) -> Result<bool> {
    let events = stage.object("apis/events.k8s.io/v1", "events").await?.context("no list of events")?;
    Ok(events["items"].as_array().into_iter().flatten().any(|event| {
        event["regarding"]["kind"] == kind && event["regarding"]["name"] == name && event["reason"] == reason
    }))
}

#[tokio::test]
async fn an_endpoint_that_answers_every_other_time_is_not_asked_faster_for_it() -> Result<()> {
    let stage = Stage::empty().await?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let endpoint = format!("http://{}", listener.local_addr()?);
    let server = tokio::spawn(async move {
        let mut answers = false;
        while let Ok((mut stream, _)) = listener.accept().await {
            answers = !answers;
            if answers {
                let mut request = [0; 1024];
                let _ = stream.read(&mut request).await;
                let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
                let _ = stream.write_all(answer).await;
            }
        }
    });
    stage.change("PaymentProvider", "stripe", json!({"spec": {"apiEndpoint": endpoint}})).await?;
    let _operator = stage.operator("first")?;
    stage.until("PaymentProvider", "stripe", |resource| resource["status"]["observedGeneration"] == 2).await?;
    let from = audit::length(stage.plane.audit_log())?;
    tokio::time::sleep(Duration::from_secs(10)).await;
    let entries = audit::since(stage.plane.audit_log(), from)?;
    let writes = entries.iter().filter(|entry| {
        entry["objectRef"]["namespace"] == stage.namespace.as_str()
            && entry["objectRef"]["resource"] == "paymentproviders"
            && audit::is_write(entry)
    });
    let writes = writes.count();
    server.abort();
    assert!(writes <= 2, "{writes} writes of a status in 10 s");
    Ok(())
}

#[tokio::test]
async fn a_label_that_a_hand_adds_to_the_gateway_s_selector_is_removed() -> Result<()> {
    let (stage, _operator) = Stage::ready().await?;
    let patch = json!({"spec": {"selector": {"by-hand": "yes"}}});
    let uri = format!("/api/v1/namespaces/{}/services/payments-gateway", stage.namespace);
    let request = http::Request::patch(uri)
        .header("content-type", "application/merge-patch+json")
        .body(serde_json::to_vec(&patch)?)?;
    stage.client.request::<Value>(request).await?;
    let started = Instant::now();
    loop {
        let service = stage.object("api/v1", "services/payments-gateway").await?.context("no Service")?;
        if service["spec"]["selector"].get("by-hand").is_none() {
            return Ok(());
        }
        if started.elapsed() > Duration::from_secs(5) {
            bail!("the gateway has no pods: {}", service["spec"]["selector"]);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn what_a_quota_refuses_is_told_with_the_api_server_s_own_sentence() -> Result<()> {
    let (stage, _operator): (Stage, Operator) = Stage::ready().await?;
    let quota = json!({
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "small"},
        "spec": {"hard": {"pods": "0", "count/services": "1"}},
    });
    let uri = format!("/api/v1/namespaces/{}/resourcequotas", stage.namespace);
    let request =
        http::Request::post(uri).header("content-type", "application/json").body(serde_json::to_vec(&quota)?)?;
    stage.client.request::<Value>(request).await?;
    // More processors: the Deployment's controller is refused their pods.
    stage.change("PaymentCluster", "payments", json!({"spec": {"processor": {"replicas": 3}}})).await?;
    let told = |resource: &Value| {
        let found = condition(resource, "ProcessorAvailable");
        found["reason"] == "Degraded" && found["message"].as_str().is_some_and(|words| words.contains("exceeded quota"))
    };
    stage.until("PaymentCluster", "payments", told).await?;
    // A Service that is gone: the operator itself is refused.
    let uri = format!("/api/v1/namespaces/{}/services/payments-metrics", stage.namespace);
    stage.client.request::<Value>(http::Request::delete(uri).body(Vec::new())?).await?;
    let failed = |resource: &Value| condition(resource, "Reconciling")["reason"] == "ApplyFailed";
    stage.until("PaymentCluster", "payments", failed).await?;
    let resource = stage.resource("PaymentCluster", "payments").await?;
    let message = condition(&resource, "Reconciling")["message"].as_str().unwrap_or_default().to_owned();
    assert!(message.contains("payments-metrics") && message.contains("exceeded quota"), "{message}");
    assert!(!message.contains("Status {"), "{message}");
    Ok(())
}
