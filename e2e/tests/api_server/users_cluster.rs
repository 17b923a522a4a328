//! `CLUSTER=current`: on a cluster of the user's own, nothing goes that the quickstart has not brought.

use anyhow::{Context, Result};
use e2e::Paths;
use e2e::platform::{Kubectl, install};
use kube::api::PostParams;
use serde_json::json;

use super::fixture::{minimal_cluster, namespace_on, own_control_plane, untyped};

#[tokio::test]
async fn what_others_have_on_a_cluster_survives_the_quickstart_s_end() -> Result<()> {
    let bin = e2e::tools::ensure(&Paths::from_env()?).await?;
    let plane = own_control_plane().await?;
    let kubeconfig = Some(plane.kubeconfig_path.clone());
    let kubectl = Kubectl { kubectl: bin.join("kubectl"), helm: bin.join("helm"), kubeconfig };
    let (client, elsewhere) = namespace_on(plane).await?;
    let production = serde_json::from_value(minimal_cluster("production"))?;
    untyped(&client, &elsewhere, "PaymentCluster").create(&PostParams::default(), &production).await?;

    // A namespace that merely has the quickstart's name.
    kubectl.run(&["create", "namespace", "payments"]).await?;
    let refusal = install::remove(&kubectl, false).await.err().context("it was taken for the quickstart's")?;
    assert!(format!("{refusal:#}").contains("not the quickstart's"), "{refusal:#}");
    assert!(kubectl.get(&["namespace", "payments"]).await?.is_some_and(|found| found["status"]["phase"] == "Active"));
    kubectl.run(&["delete", "namespace", "payments", "--timeout=60s"]).await?;

    let quickstart = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {
        "name": "payments", "labels": {"app.kubernetes.io/part-of": "purser-quickstart"},
    }});
    kubectl.run_with_input(&["apply", "-f", "-"], Some(&quickstart.to_string())).await?;
    install::remove(&kubectl, false).await?;
    assert!(kubectl.get(&["namespace", "payments"]).await?.is_none());
    assert!(kubectl.get(&["-n", &elsewhere, "pcl", "production"]).await?.is_some(), "a platform of others is gone");

    // With the last PaymentCluster the definitions have had their day.
    kubectl.run(&["-n", &elsewhere, "delete", "pcl", "production"]).await?;
    install::remove(&kubectl, false).await?;
    assert!(kubectl.get(&["crd", "paymentclusters.purser.dev"]).await?.is_none());
    Ok(())
}
