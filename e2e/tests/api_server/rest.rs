//! What an operator finds that starts after another one has left everything at rest.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use http::Request;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use super::operator::Stage;

/// Waits until the operator has written down that it found the PaymentCluster at rest.
pub(crate) async fn until_written_down(stage: &Stage) -> Result<()> {
    let started = Instant::now();
    loop {
        let book = stage.object("api/v1", "configmaps/purser-operator-rest").await?;
        if book.is_some_and(|book| book["data"]["states"].as_str().is_some_and(|states| !states.is_empty())) {
            return Ok(());
        }
        ensure!(started.elapsed() < Duration::from_secs(90), "nothing was written down");
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

/// The image of the processors, and the address in front of the gateways.
async fn made(stage: &Stage) -> Result<(Value, bool)> {
    let deployment = stage.object("apis/apps/v1", "deployments/payments-processor-0-1-0").await?.context("gone")?;
    let service = stage.object("api/v1", "services/payments-gateway").await?;
    Ok((deployment["spec"]["template"]["spec"]["containers"][0]["image"].clone(), service.is_some()))
}

async fn delete(stage: &Stage, path: &str) -> Result<()> {
    let uri = format!("/api/v1/namespaces/{}/{path}", stage.namespace);
    stage.client.request::<Value>(Request::delete(uri).body(Vec::new())?).await.map(drop).map_err(Into::into)
}

#[tokio::test]
async fn what_was_changed_while_no_operator_ran_is_put_right_by_the_next() -> Result<()> {
    let (stage, mut first) = Stage::ready().await?;
    until_written_down(&stage).await?;
    first.kill()?;
    let before = made(&stage).await?;
    let image = json!([{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "evil:1"}]);
    let uri = format!("/apis/apps/v1/namespaces/{}/deployments/payments-processor-0-1-0", stage.namespace);
    let request = Request::patch(uri).header("content-type", "application/json-patch+json");
    stage.client.request::<Value>(request.body(serde_json::to_vec(&image)?)?).await?;
    delete(&stage, "services/payments-gateway").await?;
    ensure!(made(&stage).await? != before, "nothing was changed");

    let _second = stage.operator("second")?;
    let started = Instant::now();
    while made(&stage).await? != before {
        // The lease of who was killed has to run out first.
        ensure!(started.elapsed() < Duration::from_secs(30), "not put right: {:?}", made(&stage).await?);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    println!("put right {:?} after the start", started.elapsed());
    Ok(())
}

#[tokio::test]
async fn a_secret_that_was_rotated_while_no_operator_ran_reaches_the_pods() -> Result<()> {
    let (stage, mut first) = Stage::ready().await?;
    until_written_down(&stage).await?;
    let template = async || {
        let deployment = stage.object("apis/apps/v1", "deployments/payments-processor-0-1-0").await?.context("gone")?;
        anyhow::Ok(deployment["spec"]["template"].clone())
    };
    let before = template().await?;
    first.stop()?;
    let url = json!({"stringData": {"url": "postgres://purser:another-word@db.example:5432/payments"}});
    let secrets: Api<Secret> = Api::namespaced(stage.client.clone(), &stage.namespace);
    secrets.patch("payments-db", &PatchParams::default(), &Patch::Merge(&url)).await?;

    let _second = stage.operator("second")?;
    let started = Instant::now();
    while template().await? == before {
        // No watch tells of it: it is seen within a period.
        ensure!(started.elapsed() < Duration::from_secs(40), "the pods do not get it");
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    println!("seen {:?} after the start", started.elapsed());
    Ok(())
}
