//! `make demo`: a good release and a bad one, on the platform of `make up`, with a payment load on.

use std::path::Path;

use anyhow::{Context as _, Result, bail};

use super::drive::{as_before, canary, load_images, until_stage, want};
use super::load::{Load, Pace};
use crate::Paths;
use crate::images::{ONLINE_RELEASE, SLOW_AFTER_ONLINE_RELEASE};
use crate::platform::{CLUSTER, Gateway, Kubectl, Merchant, NAMESPACE};

/// Shows it. The platform is as before afterwards.
///
/// # Errors
/// When a release does not end as it should.
pub async fn demo(paths: &Paths) -> Result<()> {
    if crate::cluster::uses_current()? {
        bail!("the images of the demo's releases are for the local cluster: leave CLUSTER out");
    }
    let kubectl = Kubectl::new(paths, true);
    let plugin = std::env::current_exe()?.with_file_name("kubectl-purser");
    load_images(paths, &[ONLINE_RELEASE, SLOW_AFTER_ONLINE_RELEASE]).await?;
    let gateway = Gateway::reach(&kubectl, true).await?;
    let merchant = Merchant::find_or_create(&kubectl, &gateway.base_url).await?;
    println!("==> Payments begin to come, about twenty a second, and go on throughout");
    let load = Load::start(&merchant, Pace::QUIET).await?;

    println!(
        "\n==> A good release: {ONLINE_RELEASE} changes the schema (backup, rehearsal, migration), and goes forward as a canary with \
         half of the traffic, then all of it, watched for 10 s"
    );
    want(&kubectl, ONLINE_RELEASE, &canary()).await?;
    watch(&kubectl, &plugin, 0).await?;

    let bad = SLOW_AFTER_ONLINE_RELEASE;
    println!("\n==> A bad release: {bad}, whose database answers late. Nobody touches it from here on");
    want(&kubectl, bad, &canary()).await?;
    watch(&kubectl, &plugin, 1).await?;
    let status = until_stage(&kubectl, bad, &["RolledBack"]).await?;
    println!("\n    {}", status["release"]["abandoned"]["message"].as_str().unwrap_or_default());

    let seen = load.stop().await?;
    println!("\n==> Throughout: {}", seen.words());
    let history = kubectl.command(&plugin).args(["-n", NAMESPACE, "history", CLUSTER]).status().await?;
    anyhow::ensure!(history.success(), "kubectl purser history failed");
    println!("\n==> The platform as before");
    as_before(&kubectl).await?;
    if let Some(first) = seen.failed.first() {
        bail!("{} payments failed; the first: {first}", seen.failed.len());
    }
    Ok(())
}

/// `kubectl purser status --watch` until the release has ended, as a person would watch it.
async fn watch(kubectl: &Kubectl, plugin: &Path, expected: i32) -> Result<()> {
    let arguments = ["-n", NAMESPACE, "status", CLUSTER, "--watch", "--until-done"];
    let status = kubectl.command(&plugin.to_owned()).args(arguments).status().await;
    let status = status.with_context(|| format!("cannot run {}", plugin.display()))?;
    if status.code() != Some(expected) {
        bail!("kubectl purser status ended with {status}, and should have with {expected}");
    }
    Ok(())
}
