//! Puts the operator and the quickstart onto a cluster.

use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::{Kubectl, NAMESPACE, OPERATOR_NAMESPACE};

/// The label by which the quickstart's namespace is known.
const PART_OF: &str = "app.kubernetes.io/part-of";
const QUICKSTART: &str = "purser-quickstart";

/// Installs or upgrades the chart.
pub async fn operator(kubectl: &Kubectl, root: &Path, registry: Option<&str>) -> Result<()> {
    let chart = root.join("charts/purser");
    let chart = chart.to_str().context("the checkout's path is not UTF-8")?;
    let image = format!("image.repository={}", image(registry, "purser"));
    let arguments =
        ["upgrade", "--install", "purser", chart, "-n", OPERATOR_NAMESPACE, "--create-namespace", "--set", &image];
    kubectl.helm(&arguments).await?;
    let enforce = "pod-security.kubernetes.io/enforce=restricted";
    kubectl.run(&["label", "namespace", OPERATOR_NAMESPACE, enforce, "--overwrite"]).await?;
    let definitions = ["crd/paymentclusters.purser.dev", "crd/paymentproviders.purser.dev"];
    kubectl.run(&[&["wait", "--for=condition=Established", "--timeout=30s"], &definitions[..]].concat()).await?;
    Ok(())
}

/// Starts the pods of our images anew: an image keeps its name when its content changes, and nothing else would tell.
pub async fn restart(kubectl: &Kubectl) -> Result<()> {
    let managed = "app.kubernetes.io/managed-by=purser-operator";
    let restart = ["rollout", "restart", "deployment"];
    for target in [
        &["-n", OPERATOR_NAMESPACE, "purser-operator"][..],
        &["-n", NAMESPACE, "provider-simulator"],
        &["-n", NAMESPACE, "-l", managed],
    ] {
        let listed =
            kubectl.run(&[&["get", "deployment", "--ignore-not-found", "-o", "name"], target].concat()).await?;
        if !listed.trim().is_empty() {
            kubectl.run(&[&restart[..], target].concat()).await?;
        }
    }
    Ok(())
}

/// Refuses a cluster of the user's own whose namespace of that name is not the quickstart's: nothing of theirs is
/// overwritten or removed.
///
/// # Errors
/// When it is somebody else's.
pub async fn claim(kubectl: &Kubectl) -> Result<()> {
    let Some(namespace) = kubectl.get(&["namespace", NAMESPACE]).await? else { return Ok(()) };
    if namespace["metadata"]["labels"][PART_OF] != QUICKSTART {
        bail!(
            "this cluster has a namespace \"{NAMESPACE}\" that is not the quickstart's (it lacks the label {PART_OF}={QUICKSTART}); nothing was changed"
        );
    }
    Ok(())
}

/// Applies `examples/quickstart`, with its images taken from the registry if there is one.
pub async fn quickstart(kubectl: &Kubectl, root: &Path, registry: Option<&str>) -> Result<()> {
    let folder = root.join("examples/quickstart");
    let manifests = kubectl.run(&["kustomize", folder.to_str().context("the checkout's path is not UTF-8")?]).await?;
    let manifests = with_registry(&manifests, registry);
    kubectl.run_with_input(&["apply", "--server-side", "--force-conflicts", "-f", "-"], Some(&manifests)).await?;
    Ok(())
}

/// Removes the quickstart, then the operator and its definitions. What is not there is no error. On a cluster of the
/// user's own (`local` is false) the last two stay while another namespace has a PaymentCluster: definitions take every
/// resource of theirs with them.
pub async fn remove(kubectl: &Kubectl, local: bool) -> Result<()> {
    if !local {
        claim(kubectl).await?;
    }
    // The resources first, so that the operator's objects go by their owner references.
    let kinds = "paymentclusters.purser.dev,paymentproviders.purser.dev";
    let deleted =
        kubectl.run(&["-n", NAMESPACE, "delete", kinds, "--all", "--ignore-not-found", "--timeout=60s"]).await;
    if let Err(error) = deleted {
        // Without the definitions there is nothing to delete.
        if !format!("{error:#}").contains("the server doesn't have a resource type") {
            return Err(error);
        }
    }
    kubectl.run(&["delete", "namespace", NAMESPACE, "--ignore-not-found", "--timeout=120s"]).await?;
    let others = if local { Vec::new() } else { paymentclusters(kubectl).await? };
    if !others.is_empty() {
        println!("    the operator and its definitions stay, for these need them: {}", others.join(", "));
        return Ok(());
    }
    kubectl.helm(&["uninstall", "purser", "-n", OPERATOR_NAMESPACE, "--ignore-not-found", "--wait"]).await?;
    kubectl.run(&["delete", "namespace", OPERATOR_NAMESPACE, "--ignore-not-found", "--timeout=120s"]).await?;
    let definitions = ["paymentclusters.purser.dev", "paymentproviders.purser.dev"];
    kubectl.run(&[&["delete", "crd", "--ignore-not-found"], &definitions[..]].concat()).await?;
    Ok(())
}

/// Every PaymentCluster of the cluster, as NAMESPACE/NAME.
async fn paymentclusters(kubectl: &Kubectl) -> Result<Vec<String>> {
    if kubectl.get(&["crd", "paymentclusters.purser.dev"]).await?.is_none() {
        return Ok(Vec::new());
    }
    let list = kubectl.get(&["paymentclusters.purser.dev", "--all-namespaces"]).await?.unwrap_or_default();
    let name = |object: &Value| {
        let part = |part: &str| object["metadata"][part].as_str().unwrap_or_default().to_owned();
        format!("{}/{}", part("namespace"), part("name"))
    };
    Ok(list["items"].as_array().into_iter().flatten().map(name).collect())
}

fn image(registry: Option<&str>, name: &str) -> String {
    registry.map_or_else(|| name.to_owned(), |registry| format!("{}/{name}", registry.trim_end_matches('/')))
}

/// The quickstart names images as they are called on this machine; elsewhere they come from a registry.
fn with_registry(manifests: &str, registry: Option<&str>) -> String {
    let lines = manifests.lines().map(|line| {
        let renamed = ["image: purser", "repository: purser"].iter().find_map(|key| {
            let at = line.find(key)? + key.len() - "purser".len();
            Some(format!("{}{}", &line[..at], image(registry, &line[at..])))
        });
        renamed.unwrap_or_else(|| line.to_owned()) + "\n"
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_is_put_before_every_image_of_ours_and_nothing_else() {
        let manifests = "image: purser-redis:7\n  repository: purser\napp: purser\nname: provider\n";
        assert_eq!(with_registry(manifests, None), manifests);
        assert_eq!(
            with_registry(manifests, Some("registry.test/pay/")),
            "image: registry.test/pay/purser-redis:7\n  repository: registry.test/pay/purser\napp: purser\nname: provider\n"
        );
    }
}
