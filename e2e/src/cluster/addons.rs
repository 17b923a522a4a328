//! What the cluster runs as pods: DNS, metrics and volumes.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context as _, Result};

use super::{build, volumes};
use crate::{
    command, images,
    paths::{Paths, short_hash},
    progress::{step, wait_for},
    tools,
};

/// Makes the image of the pods' parent process available to the node.
pub(crate) async fn pause(paths: &Paths) -> Result<()> {
    let image = images::pause(paths).await?;
    images::import(paths, &image).await.map(drop)
}

/// Applies DNS and volumes, and waits for DNS.
pub(crate) async fn dns(paths: &Paths) -> Result<()> {
    let image = images::program(paths, "purser-coredns", &build::coredns(paths).await?).await?;
    images::import(paths, &image).await?;
    let (storage, dns) = (volumes::manifest(paths)?, manifest(paths, "coredns", &image.name)?);
    apply(paths, "storage", &storage).await?;
    apply(paths, "coredns", &dns).await?;
    volumes::recycle(paths).await?;
    if !available(paths, "coredns").await? {
        let ask = || async { Ok(available(paths, "coredns").await?.then_some(())) };
        step("wait for DNS", wait_for(Duration::from_secs(90), ask)).await?;
    }
    Ok(())
}

/// Builds and applies the metrics server. Nothing waits for it: its first figures take half a minute.
pub(crate) async fn metrics(paths: &Paths) -> Result<()> {
    let program = build::metrics_server(paths).await?;
    let image = images::program(paths, "purser-metrics-server", &program).await?;
    images::import(paths, &image).await?;
    apply(paths, "metrics-server", &manifest(paths, "metrics-server", &image.name)?).await
}

fn manifest(paths: &Paths, name: &str, image: &str) -> Result<String> {
    let source = paths.sources().join("addons").join(format!("{name}.yaml"));
    let text = fs::read_to_string(&source).with_context(|| format!("cannot read {}", source.display()))?;
    Ok(text.replace("${IMAGE}", image))
}

/// Applies a manifest unless it was applied as it is.
async fn apply(paths: &Paths, name: &str, text: &str) -> Result<()> {
    let folder = paths.state.join("addons");
    let (rendered, applied) = (folder.join(format!("{name}.yaml")), folder.join(format!("{name}.applied")));
    let hash = short_hash([text]);
    if fs::read_to_string(&applied).is_ok_and(|current| current == hash) {
        return Ok(());
    }
    super::config_files::write(&rendered, text)?;
    step(format!("apply {name}"), server_side_apply(paths, &rendered)).await?;
    super::config_files::write(&applied, &hash)
}

async fn server_side_apply(paths: &Paths, manifest: &Path) -> Result<()> {
    let manifest = manifest.display().to_string();
    kubectl(paths, &["apply", "--server-side", "--force-conflicts", "-f", &manifest]).await.map(drop)
}

async fn available(paths: &Paths, deployment: &str) -> Result<bool> {
    let args = ["get", "deployment", deployment, "-n", "kube-system", "-o", "jsonpath={.status.availableReplicas}"];
    Ok(!kubectl(paths, &args).await?.trim().is_empty())
}

/// Runs the cluster's kubectl as its administrator.
pub(crate) async fn kubectl(paths: &Paths, args: &[&str]) -> Result<String> {
    let config = format!("--kubeconfig={}", paths.kubeconfig().display());
    command::output(tools::kubectl(paths), [&[config.as_str()], args].concat()).await
}
