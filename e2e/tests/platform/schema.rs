//! Releases that change the schema, on the node and under a constant load of payments.

use anyhow::{Context as _, Result};
use e2e::images::{FAILING_RELEASE, OFFLINE_RELEASE, ONLINE_RELEASE};
use e2e::platform::{Kubectl, NAMESPACE};
use e2e::releases::{FIRST, Load, Seen, as_before, blue_green, canary, sql, until_stage, want};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

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
    let Some(platform) = with_releases().await? else { return Ok(()) };
    let kubectl = &platform.kubectl;
    let load = Load::start(&platform.merchant().await?).await?;
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

#[tokio::test]
async fn an_offline_migration_that_fails_goes_back_to_its_restore_point_and_loses_nothing() -> Result<()> {
    let Some(platform) = with_releases().await? else { return Ok(()) };
    let kubectl = &platform.kubectl;
    let before = schema_version(kubectl).await?;
    let load = Load::start(&platform.merchant().await?).await?;
    want(kubectl, FAILING_RELEASE, &blue_green()).await?;
    let status = until_stage(kubectl, FAILING_RELEASE, &["RolledBack"]).await?;
    println!("{:#}", status["release"]["preparation"]);
    let abandoned = &status["release"]["abandoned"];
    assert_eq!(abandoned["why"], "MigrationFailed", "{abandoned:#}");
    assert!(abandoned["message"].as_str().is_some_and(|said| said.contains("No space left")), "{abandoned:#}");
    let maintenance = &status["release"]["preparation"]["maintenance"];
    assert!(maintenance["restoredAt"].is_string(), "{maintenance:#}");
    assert_eq!(schema_version(kubectl).await?, before);
    assert_eq!(sql(kubectl, "select to_regclass('next_release') is null").await?, "t");
    // Until payments have gone on for a while.
    tokio::time::sleep(std::time::Duration::from_secs(10)).await;
    let seen = load.stop().await?;
    expect_only_refusals(&seen);
    expect_within(&seen, maintenance)?;
    let pod = ["exec", "deploy/payments-gateway-0-1-0", "--", "purser", "ledger", "verify"];
    println!("{}", kubectl.run(&[&["-n", NAMESPACE], &pod[..]].concat()).await?);
    as_before(kubectl).await
}

#[tokio::test]
async fn an_offline_migration_has_writes_refused_between_its_beginning_and_its_end_alone() -> Result<()> {
    let Some(platform) = with_releases().await? else { return Ok(()) };
    let kubectl = &platform.kubectl;
    let load = Load::start(&platform.merchant().await?).await?;
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
