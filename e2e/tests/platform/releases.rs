//! Releases on the node, under a constant load of payments: forward without a failed request, and back by themselves.

use std::time::{Duration, Instant};

use anyhow::Result;
use e2e::images::{DECLINING_RELEASE, GOOD_RELEASE, SLOW_FRAUD_RELEASE, SLOW_RELEASE, UNREADY_RELEASE};
use e2e::platform::{Kubectl, NAMESPACE};
use e2e::releases::{FIRST, Seen, as_before, blue_green, canary, load_images, sql, until_stage, want, want_within};
use e2e::{Paths, cluster};
use serde_json::json;

use super::fixture::{Platform, eventually, platform};

/// The platform, with images of these releases on its node; none when the node is not this machine's.
pub(super) async fn with_releases(versions: &[&str]) -> Result<Option<Platform>> {
    if cluster::uses_current()? {
        println!("left out: the images of bad releases are for the local cluster only");
        return Ok(None);
    }
    let platform = platform().await?;
    load_images(&Paths::from_env()?, versions).await?;
    Ok(Some(platform))
}

pub(super) fn expect_none_failed(seen: &Seen) {
    println!("{}", seen.words());
    assert!(seen.answered.len() > 100, "there was hardly a load");
    assert!(seen.failed.is_empty(), "{:#?}", seen.failed);
}

async fn expect_traffic_of_first(platform: &Platform) -> Result<()> {
    let service = platform.object("service", "payments-gateway").await?;
    assert_eq!(service["spec"]["selector"]["purser.dev/release"], FIRST);
    Ok(())
}

/// No merchant has paid through it, and nothing is left of it.
async fn never_had_traffic(platform: &Platform, version: &str) -> Result<()> {
    expect_traffic_of_first(platform).await?;
    let paid = format!(
        "select count(*) from transactions join merchants on merchants.id = merchant_id \
         where release = '{version}' and not is_test"
    );
    assert_eq!(sql(&platform.kubectl, &paid).await?, "0");
    eventually("nothing is left of it", Duration::from_secs(60), || async {
        let left = left_of(&platform.kubectl, version).await?;
        Ok((left.trim().is_empty(), left))
    })
    .await?;
    Ok(())
}

pub(super) async fn left_of(kubectl: &Kubectl, version: &str) -> Result<String> {
    let (kinds, of_version) =
        ("deployments,services,horizontalpodautoscalers", format!("purser.dev/release={version}"));
    kubectl.run(&["-n", NAMESPACE, "get", kinds, "-l", &of_version, "-o", "name"]).await
}

#[tokio::test]
async fn good_releases_go_forward_and_back_under_load_without_a_failed_request() -> Result<()> {
    let Some(platform) = with_releases(&[GOOD_RELEASE]).await? else { return Ok(()) };
    let kubectl = &platform.kubectl;
    let load = platform.load().await?;
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
    let Some(platform) = with_releases(&[SLOW_RELEASE, SLOW_FRAUD_RELEASE]).await? else { return Ok(()) };
    let kubectl = &platform.kubectl;
    let load = platform.load().await?;
    // Test payments find out before anybody pays through it.
    want(kubectl, SLOW_FRAUD_RELEASE, &canary()).await?;
    let status = until_stage(kubectl, SLOW_FRAUD_RELEASE, &["RolledBack"]).await?;
    let abandoned = &status["release"]["abandoned"];
    assert_eq!(abandoned["why"], "HealthCheckFailed", "{abandoned:#}");
    println!("    {}", abandoned["message"]);
    never_had_traffic(&platform, SLOW_FRAUD_RELEASE).await?;
    // A slow canary slows its payers, too: in ten seconds neither has always the payments that a verdict takes.
    let steps = json!([{"weight": 50, "duration": "20s"}]);
    let unchecked = json!({"strategy": "Canary", "steps": steps, "retireAfter": "5s", "healthCheck": "Disabled"});
    let sla = json!({"window": "20s", "minSamples": 20, "p95Latency": "250ms", "successRate": "95"});
    for version in [SLOW_RELEASE, SLOW_FRAUD_RELEASE] {
        want_within(kubectl, version, &unchecked, &sla).await?;
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
        expect_traffic_of_first(&platform).await?;
    }
    expect_none_failed(&load.stop().await?);
    as_before(kubectl).await
}

#[tokio::test]
#[ignore = "long: make e2e"]
async fn a_release_whose_pods_never_become_ready_gets_no_traffic_and_nothing_is_left_of_it() -> Result<()> {
    let Some(platform) = with_releases(&[UNREADY_RELEASE]).await? else { return Ok(()) };
    let kubectl = &platform.kubectl;
    let load = platform.load().await?;
    let mut rollout = canary();
    rollout["progressDeadline"] = json!("10s");
    want(kubectl, UNREADY_RELEASE, &rollout).await?;
    until_stage(kubectl, UNREADY_RELEASE, &["Deploying"]).await?;
    let begun = eventually("it is begun", Duration::from_secs(20), || async {
        let there = left_of(kubectl, UNREADY_RELEASE).await?;
        Ok((there.contains("payments-gateway-0-10-0"), there))
    });
    begun.await?;
    let status = until_stage(kubectl, UNREADY_RELEASE, &["RolledBack"]).await?;
    let abandoned = &status["release"]["abandoned"];
    println!("    {}", abandoned["message"]);
    assert_eq!(
        (&status["release"]["current"], &abandoned["why"]),
        (&json!(FIRST), &json!("NotReady")),
        "{abandoned:#}"
    );
    never_had_traffic(&platform, UNREADY_RELEASE).await?;
    expect_none_failed(&load.stop().await?);
    as_before(kubectl).await
}

#[tokio::test]
#[ignore = "long: make e2e"]
async fn a_canary_with_five_points_more_declines_goes_back_by_itself() -> Result<()> {
    let Some(platform) = with_releases(&[DECLINING_RELEASE]).await? else { return Ok(()) };
    let kubectl = &platform.kubectl;
    let load = platform.load().await?;
    // So slight a breach is seen in some hundred payments. Nobody has to wait for all of the step.
    let rollout = json!({"strategy": "Canary", "steps": [{"weight": 50, "duration": "2m"}], "retireAfter": "5s"});
    let sla = json!({"window": "1m", "minSamples": 20, "successRate": "99"});
    want_within(kubectl, DECLINING_RELEASE, &rollout, &sla).await?;
    until_stage(kubectl, DECLINING_RELEASE, &["Shifting"]).await?;
    let shifted = Instant::now();
    let status = until_stage(kubectl, DECLINING_RELEASE, &["RolledBack"]).await?;
    println!("release {DECLINING_RELEASE} RolledBack {:?} after its first traffic", shifted.elapsed());
    let (release, abandoned) = (&status["release"], &status["release"]["abandoned"]);
    println!("    {}", abandoned["message"]);
    assert_eq!((&release["current"], &abandoned["why"]), (&json!(FIRST), &json!("SlaBreached")), "{release:#}");
    assert!(abandoned["message"].as_str().is_some_and(|said| said.contains("did not succeed")), "{abandoned:#}");
    expect_traffic_of_first(&platform).await?;
    // What was on its way has ended by then.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (_, declined) = load.so_far();
    tokio::time::sleep(Duration::from_secs(8)).await;
    let seen = load.stop().await?;
    println!("{}", seen.words());
    assert_eq!(seen.failed.len(), declined, "payments are declined without it, too");
    let is_decline = |why: &String| why.contains("generic_decline");
    assert!(!seen.failed.is_empty() && seen.failed.iter().all(is_decline), "{:#?}", seen.failed);
    as_before(kubectl).await
}
