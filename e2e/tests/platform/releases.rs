//! Releases on the node, under a constant load of payments: forward without a failed request, and back by themselves.

use std::time::Instant;

use anyhow::Result;
use e2e::images::{GOOD_RELEASE, SLOW_FRAUD_RELEASE, SLOW_RELEASE};
use e2e::releases::{FIRST, Load, Seen, as_before, blue_green, canary, load_images, until_stage, want};
use e2e::{Paths, cluster};
use serde_json::json;
use tokio::sync::OnceCell;

use super::fixture::{Platform, platform};

static IMAGES: OnceCell<()> = OnceCell::const_new();

/// The platform, with images of all releases on its node; none when the node is not this machine's.
pub(super) async fn with_releases() -> Result<Option<Platform>> {
    if cluster::uses_current()? {
        println!("left out: the images of bad releases are for the local cluster only");
        return Ok(None);
    }
    let platform = platform().await?;
    IMAGES.get_or_try_init(|| async { load_images(&Paths::from_env()?).await }).await?;
    Ok(Some(platform))
}

fn expect_none_failed(seen: &Seen) {
    println!("{}", seen.words());
    assert!(seen.answered.len() > 100, "there was hardly a load");
    assert!(seen.failed.is_empty(), "{:#?}", seen.failed);
}

#[tokio::test]
async fn good_releases_go_forward_and_back_under_load_without_a_failed_request() -> Result<()> {
    let Some(platform) = with_releases().await? else { return Ok(()) };
    let kubectl = &platform.kubectl;
    let load = Load::start(&platform.merchant().await?).await?;
    for (version, rollout) in [(GOOD_RELEASE, canary()), (FIRST, blue_green())] {
        let began = Instant::now();
        want(kubectl, version, &rollout).await?;
        let status = until_stage(kubectl, version, &["Finished"]).await?;
        println!("release {version} Finished after {:?}: {}", began.elapsed(), status["release"]["history"][0]);
    }
    expect_none_failed(&load.stop().await?);
    as_before(kubectl).await
}

#[tokio::test]
async fn bad_releases_go_back_by_themselves_and_no_payment_is_lost() -> Result<()> {
    let Some(platform) = with_releases().await? else { return Ok(()) };
    let kubectl = &platform.kubectl;
    let load = Load::start(&platform.merchant().await?).await?;
    // Test payments find out before anybody pays through it.
    want(kubectl, SLOW_FRAUD_RELEASE, &canary()).await?;
    let status = until_stage(kubectl, SLOW_FRAUD_RELEASE, &["RolledBack"]).await?;
    let abandoned = &status["release"]["abandoned"];
    assert_eq!(abandoned["why"], "HealthCheckFailed", "{abandoned:#}");
    println!("    {}", abandoned["message"]);
    let mut unchecked = canary();
    unchecked["healthCheck"] = json!("Disabled");
    for version in [SLOW_RELEASE, SLOW_FRAUD_RELEASE] {
        want(kubectl, version, &unchecked).await?;
        until_stage(kubectl, version, &["Shifting"]).await?;
        let shifted = Instant::now();
        let status = until_stage(kubectl, version, &["RolledBack"]).await?;
        println!("release {version} RolledBack {:?} after its first traffic", shifted.elapsed());
        let (release, abandoned) = (&status["release"], &status["release"]["abandoned"]);
        println!("    {}", abandoned["message"]);
        assert_eq!((&release["current"], &abandoned["why"]), (&json!(FIRST), &json!("SlaBreached")), "{release:#}");
        if version == SLOW_FRAUD_RELEASE {
            assert!(abandoned["message"].as_str().is_some_and(|message| message.contains("fraud")), "{abandoned}");
        }
        let service = platform.object("service", "payments-gateway").await?;
        assert_eq!(service["spec"]["selector"]["purser.dev/release"], FIRST);
    }
    expect_none_failed(&load.stop().await?);
    as_before(kubectl).await
}
