//! Releases that change the schema, on the node and under a constant load of payments.

use anyhow::{Context as _, Result};
use e2e::images::{FAILING_RELEASE, OFFLINE_RELEASE, ONLINE_RELEASE, UNREADY_OFFLINE_RELEASE};
use e2e::platform::{Kubectl, NAMESPACE};
use e2e::releases::{FIRST, Seen, as_before, blue_green, canary, sql, until_stage, want};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::fixture::Platform;
use super::releases::with_releases;

async fn schema_version(kubectl: &Kubectl) -> Result<i64> {
    let told = sql(kubectl, "select max(version) from _sqlx_migrations").await?;
    told.parse().with_context(|| format!("no version: {told}"))
}

fn expect_only_refusals(seen: &Seen) {
    println!("{}", seen.words());
    assert!(seen.answered.len() > 100, "there was hardly a load");
    assert!(seen.failed.is_empty(), "{:#?}", seen.failed);
}

/// Refusals are between the beginning and the end that the status tells, as far as its seconds and the pods' hearing go.
fn expect_within(seen: &Seen, maintenance: &Value) -> Result<()> {
    let time = |name: &str| -> Result<Timestamp> {
        let told = maintenance[name].as_str().with_context(|| format!("no {name}: {maintenance:#}"))?;
        Ok(told.parse()?)
    };
    let (since, until) = (time("since")?, time("until")? + SignedDuration::from_secs(15));
    assert!(!seen.refused.is_empty(), "nothing was refused");
    let outside: Vec<_> = seen.refused.iter().filter(|at| **at < since || **at > until).collect();
    assert!(outside.is_empty(), "refused outside of {since} to {until}: {outside:?}");
    Ok(())
}

#[tokio::test]
async fn an_online_migration_is_backed_up_and_rehearsed_and_no_payment_fails_forward_or_back() -> Result<()> {
    let Some(platform) = with_releases(&[ONLINE_RELEASE]).await? else { return Ok(()) };
    let kubectl = &platform.kubectl;
    let load = platform.load().await?;
    want(kubectl, ONLINE_RELEASE, &canary()).await?;
    let status = until_stage(kubectl, ONLINE_RELEASE, &["Shifting"]).await?;
    let done = &status["release"]["preparation"];
    println!("{done:#}");
    assert_eq!((done["plan"]["pending"].as_i64(), done["plan"]["offline"].as_i64()), (Some(1), Some(0)), "{done:#}");
    assert!(done["backup"]["id"].is_string() && done["dryRun"]["at"].is_string(), "{done:#}");
    assert_eq!(schema_version(kubectl).await?, 9001);
    until_stage(kubectl, ONLINE_RELEASE, &["Monitoring"]).await?;
    // The release before takes payments on the schema of the one after it.
    let given_up = format!("purser.dev/abandoned-version={ONLINE_RELEASE}");
    kubectl.run(&["-n", NAMESPACE, "annotate", "pcl/payments", &given_up, "--overwrite"]).await?;
    let status = until_stage(kubectl, ONLINE_RELEASE, &["RolledBack"]).await?;
    assert_eq!(status["release"]["current"], FIRST);
    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    let seen = load.stop().await?;
    expect_only_refusals(&seen);
    assert!(seen.refused.is_empty(), "payments were refused for an online migration");
    kubectl.run(&["-n", NAMESPACE, "annotate", "pcl/payments", "purser.dev/abandoned-version-"]).await?;
    as_before(kubectl).await
}

/// Payments of merchants, without those of tests.
async fn succeeded(kubectl: &Kubectl) -> Result<usize> {
    let of_merchants = "select count(*) from transactions join merchants on merchants.id = merchant_id \
                        where transactions.status = 'SUCCESS' and not is_test";
    Ok(sql(kubectl, of_merchants).await?.parse()?)
}

/// Wants a release that has to go back to its restore point, under a load, and proves that nothing is lost by that. What is told of
/// why it was given up.
async fn goes_back_to_its_restore_point(platform: &Platform, version: &str, rollout: &Value) -> Result<Value> {
    let kubectl = &platform.kubectl;
    let (schema, payments) = (schema_version(kubectl).await?, succeeded(kubectl).await?);
    let load = platform.load().await?;
    want(kubectl, version, rollout).await?;
    let status = until_stage(kubectl, version, &["RolledBack"]).await?;
    let release = &status["release"];
    println!("{:#}", release["preparation"]);
    let maintenance = &release["preparation"]["maintenance"];
    assert!(maintenance["restoredAt"].is_string(), "{maintenance:#}");
    assert_eq!(release["current"], FIRST);
    assert_eq!(schema_version(kubectl).await?, schema);
    assert_eq!(sql(kubectl, "select to_regclass('next_release') is null").await?, "t");
    // Until payments have gone on for a while.
    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    let seen = load.stop().await?;
    expect_only_refusals(&seen);
    expect_within(&seen, maintenance)?;
    assert_eq!(succeeded(kubectl).await? - payments, seen.answered.len(), "each that was acknowledged, and no other");
    let pod = ["exec", "deploy/payments-gateway-0-1-0", "--", "purser", "ledger", "verify"];
    println!("{}", kubectl.run(&[&["-n", NAMESPACE], &pod[..]].concat()).await?);
    as_before(kubectl).await?;
    Ok(release["abandoned"].clone())
}

#[tokio::test]
async fn an_offline_migration_that_fails_goes_back_to_its_restore_point_and_loses_nothing() -> Result<()> {
    let Some(platform) = with_releases(&[FAILING_RELEASE]).await? else { return Ok(()) };
    let abandoned = goes_back_to_its_restore_point(&platform, FAILING_RELEASE, &blue_green()).await?;
    assert_eq!(abandoned["why"], "MigrationFailed", "{abandoned:#}");
    assert!(abandoned["message"].as_str().is_some_and(|said| said.contains("No space left")), "{abandoned:#}");
    Ok(())
}

#[tokio::test]
#[ignore = "long: make e2e"]
async fn an_offline_release_whose_pods_never_become_ready_goes_back_to_its_restore_point_and_loses_nothing()
-> Result<()> {
    let Some(platform) = with_releases(&[UNREADY_OFFLINE_RELEASE]).await? else { return Ok(()) };
    let mut rollout = blue_green();
    // Its schema is there by then, and writes are still refused.
    rollout["progressDeadline"] = json!("30s");
    let abandoned = goes_back_to_its_restore_point(&platform, UNREADY_OFFLINE_RELEASE, &rollout).await?;
    assert_eq!(abandoned["why"], "NotReady", "{abandoned:#}");
    Ok(())
}

#[tokio::test]
async fn an_offline_migration_has_writes_refused_between_its_beginning_and_its_end_alone() -> Result<()> {
    let Some(platform) = with_releases(&[OFFLINE_RELEASE]).await? else { return Ok(()) };
    let kubectl = &platform.kubectl;
    let load = platform.load().await?;
    want(kubectl, OFFLINE_RELEASE, &canary()).await?;
    let status = until_stage(kubectl, OFFLINE_RELEASE, &["Finished"]).await?;
    println!("{:#}", status["release"]["preparation"]);
    assert_eq!(status["release"]["kept"], Value::Null, "the release before does not know the schema");
    let seen = load.stop().await?;
    expect_only_refusals(&seen);
    expect_within(&seen, &status["release"]["preparation"]["maintenance"])?;
    assert_eq!(schema_version(kubectl).await?, 9001);
    as_before(kubectl).await
}
