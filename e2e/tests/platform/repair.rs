//! What a hand changes on an owned object is put right.

use std::time::Duration;

use anyhow::Result;
use e2e::platform::NAMESPACE;

use super::fixture::{eventually, platform};

const LIMIT: Duration = Duration::from_secs(8);

#[tokio::test]
async fn a_deleted_service_and_a_scaled_deployment_come_back() -> Result<()> {
    let platform = platform().await?;
    let kubectl = &platform.kubectl;
    let old = platform.object("service", "payments-gateway").await?["metadata"]["uid"].clone();
    kubectl.run(&["-n", NAMESPACE, "delete", "service", "payments-gateway", "--wait=false"]).await?;
    kubectl.run(&["-n", NAMESPACE, "scale", "deployment", "payments-processor-0-1-0", "--replicas=5"]).await?;
    let took = eventually("both are as the operator wants them", LIMIT, || async {
        let service = kubectl.get(&["-n", NAMESPACE, "service", "payments-gateway"]).await?;
        let deployment = platform.object("deployment", "payments-processor-0-1-0").await?;
        let replaced = service.as_ref().is_some_and(|new| new["metadata"]["uid"] != old);
        Ok((
            replaced && deployment["spec"]["replicas"] == 2,
            format!("service new: {replaced}, {}", deployment["spec"]["replicas"]),
        ))
    })
    .await?;
    println!("put right after {took:?}");
    Ok(())
}
