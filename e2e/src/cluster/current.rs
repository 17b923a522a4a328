//! The cluster that the user brings: `CLUSTER=current`.

use std::{env, path::PathBuf};

use anyhow::{Context as _, Result, bail};
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};

/// Says which cluster the current kubeconfig leads to.
///
/// # Errors
/// When there is no kubeconfig, or the cluster does not answer.
pub async fn describe_current() -> Result<String> {
    let file = current_kubeconfig()?;
    let kubeconfig = Kubeconfig::read_from(&file).with_context(|| format!("CLUSTER=current: {}", file.display()))?;
    let context = kubeconfig.current_context.clone().unwrap_or_else(|| "none".to_owned());
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    let server = config.cluster_url.to_string();
    let version = Client::try_from(config)?.apiserver_version().await;
    let version = version.with_context(|| format!("CLUSTER=current: context {context}: {server} does not answer"))?;
    Ok(format!("context {context}, {server}, Kubernetes {}", version.git_version))
}

/// The kubeconfig in force: `KUBECONFIG`, or the one in the home folder.
///
/// # Errors
/// When neither is known.
pub fn current_kubeconfig() -> Result<PathBuf> {
    if let Some(path) = env::var_os("KUBECONFIG").filter(|path| !path.is_empty()) {
        return Ok(path.into());
    }
    let home = env::var_os("HOME").context("neither KUBECONFIG nor HOME is set")?;
    Ok(PathBuf::from(home).join(".kube/config"))
}

/// Whether the user brings a cluster of their own, by `CLUSTER`.
///
/// # Errors
/// When it is set to something else than `local` or `current`.
pub fn uses_current() -> Result<bool> {
    match env::var("CLUSTER").as_deref() {
        Ok("current") => Ok(true),
        Ok("local" | "") | Err(env::VarError::NotPresent) => Ok(false),
        Ok(other) => bail!("CLUSTER is `local` or `current`, not `{other}`"),
        Err(error) => Err(error.clone()).context("CLUSTER"),
    }
}
