//! What a release stands on goes away in mid-canary. The release is neither taken back for it nor taken further unseen, and
//! payments go on meanwhile.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use e2e::images::GOOD_RELEASE;
use e2e::platform::{Kubectl, NAMESPACE, narrate};
use e2e::releases::{Seen, as_before, canary, status, until_stage, want};
use e2e::{Paths, cluster};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::fixture::eventually;
use super::processes::Frozen;
use super::releases::{expect_none_failed, with_releases};

/// How long it takes at most until somebody has noticed.
const LIMIT: Duration = Duration::from_secs(20);

/// Wants a good release, and waits until it has the traffic of its step.
async fn on_its_step(kubectl: &Kubectl) -> Result<()> {
    want(kubectl, GOOD_RELEASE, &canary()).await?;
    until_stage(kubectl, GOOD_RELEASE, &["Shifting"]).await?;
    eventually("the step begins", LIMIT, || async {
        let shift = status(kubectl).await?["release"]["shift"].clone();
        Ok((shift["since"].is_string(), shift.to_string()))
    })
    .await?;
    Ok(())
}

/// It took over, and nothing was given up on the way.
fn expect_no_way_back(status: &Value) {
    let release = &status["release"];
    let newest = &release["history"][0];
    assert_eq!((&newest["version"], &newest["result"]), (&json!(GOOD_RELEASE), &json!("Succeeded")), "{release:#}");
    assert_eq!(release["abandoned"], Value::Null, "{release:#}");
}

#[tokio::test]
async fn a_canary_whose_figures_are_gone_waits_and_goes_on_when_they_are_back() -> Result<()> {
    let Some(platform) = with_releases(&[GOOD_RELEASE]).await? else { return Ok(()) };
    let kubectl = &platform.kubectl;
    let load = platform.load().await?;
    on_its_step(kubectl).await?;
    // Of both releases: each knows of both.
    let metrics = Frozen::all("purser metrics")?;
    let took = eventually("nobody can judge the release", LIMIT, || async {
        let resource = platform.object("pcl", "payments").await?;
        let verdict = narrate::condition(&resource, "SLAMet").cloned().unwrap_or_default();
        let waits = resource["status"]["waitingOn"].as_str().is_some_and(|on| on.contains("cannot be judged"));
        let is_told = verdict["status"] == "Unknown" && verdict["reason"] == "Inconclusive";
        Ok((is_told && waits, resource["status"].to_string()))
    })
    .await?;
    println!("told after {took:?}");
    for _ in 0..40 {
        let status = status(kubectl).await?;
        let weight = &status["release"]["shift"]["weight"];
        ensure!((&status["stage"], weight) == (&json!("Shifting"), &json!(50)), "it goes on unseen: {status:#}");
        sleep(Duration::from_millis(200)).await;
    }
    drop(metrics);
    expect_no_way_back(&until_stage(kubectl, GOOD_RELEASE, &["Finished"]).await?);
    expect_none_failed(&load.stop().await?);
    as_before(kubectl).await
}

#[tokio::test]
#[ignore = "long: make e2e"]
async fn a_canary_whose_redis_hangs_and_then_starts_empty_goes_on_like_the_release_before() -> Result<()> {
    let Some(platform) = with_releases(&[GOOD_RELEASE]).await? else { return Ok(()) };
    let kubectl = &platform.kubectl;
    let load = platform.load().await?;
    on_its_step(kubectl).await?;
    let redis = Frozen::all("redis-server")?;
    until_stage(kubectl, GOOD_RELEASE, &["Monitoring"]).await?;
    sleep(Duration::from_secs(3)).await;
    kubectl.run(&["-n", NAMESPACE, "delete", "pod", "-l", "app=payments-redis", "--force", "--grace-period=0"]).await?;
    drop(redis);
    expect_no_way_back(&until_stage(kubectl, GOOD_RELEASE, &["Finished"]).await?);
    expect_none_failed(&load.stop().await?);
    as_before(kubectl).await
}

#[tokio::test]
#[ignore = "long: make e2e"]
async fn a_canary_whose_api_server_does_not_answer_for_a_while_goes_on_afterwards() -> Result<()> {
    let Some(seen) = without_api_server(Duration::from_secs(20)).await? else { return Ok(()) };
    expect_none_failed(&seen);
    Ok(())
}

#[tokio::test]
#[ignore = "long: make e2e"]
async fn a_canary_whose_api_server_does_not_answer_for_a_minute_goes_on_afterwards() -> Result<()> {
    let Some(seen) = without_api_server(Duration::from_secs(60)).await? else { return Ok(()) };
    println!("{}", seen.words());
    // Kubernetes takes a node for lost that has not reported for 50 s, whoever was to blame, and so sends its pods nothing until
    // the next report. On a cluster of one node nobody listens meanwhile: nothing is accepted, and nothing is lost.
    let is_refused = |why: &String| why.contains("Connection refused");
    assert!(seen.failed.len() < 100 && seen.failed.iter().all(is_refused), "{:#?}", seen.failed);
    Ok(())
}

/// What became of the payments in a canary whose API server stands still for so long. None of them may fail meanwhile.
async fn without_api_server(outage: Duration) -> Result<Option<Seen>> {
    let Some(platform) = with_releases(&[GOOD_RELEASE]).await? else { return Ok(None) };
    let kubectl = &platform.kubectl;
    let load = platform.load().await?;
    on_its_step(kubectl).await?;
    let held = cluster::hold(&Paths::from_env()?, "kube-apiserver")?;
    let (before, _) = load.so_far();
    sleep(outage).await;
    let (after, failed) = load.so_far();
    drop(held);
    let wanted = usize::try_from(outage.as_secs()).context("a long outage")? * 5;
    println!("{} payments meanwhile", after - before);
    ensure!(after - before > wanted && failed == 0, "{} payments in {outage:?}, {failed} failed", after - before);
    expect_no_way_back(&until_stage(kubectl, GOOD_RELEASE, &["Finished"]).await?);
    let seen = load.stop().await?;
    as_before(kubectl).await?;
    Ok(Some(seen))
}
