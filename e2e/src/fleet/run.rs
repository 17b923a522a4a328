//! The measurement, and its figures.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use crds::{PaymentCluster, Stage, conditions};
use kube::api::ListParams;
use kube::{Api, Client};
use tokio::time::sleep;

use super::answers::Answers;
use super::made;
use super::operator::Operator;
use super::player::Player;
use crate::audit;
use crate::control_plane::ControlPlane;
use crate::processes::Ports;
use crate::progress::step;

/// What is good enough.
const RESIDENT_BAR_MIB: f64 = 48.0;
const RESTART_BAR_S: f64 = 3.0;
const INSTALL_LIMIT: Duration = Duration::from_secs(30 * 60);
const RESTART_LIMIT: Duration = Duration::from_secs(120);
/// What an installation or a start set in motion comes to its end in this.
const CALM: Duration = Duration::from_secs(35);
/// Between two looks at the memory.
const SAMPLE: Duration = Duration::from_secs(5);
const LOOKED_AT: &str = r#"purser_operator_looked_at{kind="PaymentCluster"}"#;
const WHOLE_LOOKS: &str = r#"purser_operator_looks_total{depth="whole"}"#;

/// How many, and for how long.
#[derive(Args, Clone, Copy, Debug)]
pub struct Options {
    /// PaymentClusters, each with a PaymentProvider
    #[arg(long, default_value_t = 1_000)]
    clusters: usize,
    /// Namespaces that they are in
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    namespaces: u64,
    /// Minutes at rest in which writes are counted
    #[arg(long, default_value_t = 5)]
    minutes: u64,
}

/// What came of it.
struct Measured {
    resident_after_install_mib: f64,
    resident_mib: f64,
    cores: f64,
    writes: Vec<String>,
    restart_s: f64,
    /// PaymentClusters of which all had to be read to know it.
    restart_whole_looks: f64,
}

/// Measures it on a control plane of its own.
///
/// # Errors
/// When the PaymentClusters do not come to rest.
pub async fn run(options: Options) -> Result<()> {
    crate::install_crypto();
    let Options { clusters, namespaces, minutes } = options;
    let plane = step("an API server and an etcd", ControlPlane::start_without_controllers()).await?;
    let client = plane.client().await?;
    let _answers = Answers::start().await?;
    made::definitions(&client).await?;
    let endpoint = Answers::endpoint();
    let fleet = made::fleet(&client, clusters, usize::try_from(namespaces)?, &endpoint);
    step(format!("{clusters} PaymentClusters in {namespaces} namespaces"), fleet).await?;
    let _player = Player::start(client.clone());
    let mut ports = Ports::new();
    let operator = Operator::start(&plane.kubeconfig_path, &mut ports)?;
    step("all of them come to rest", until_at_rest(&client, clusters)).await?;
    step("calm", calm()).await?;
    let resident_after_install_mib = resident_mib(&operator)?;
    operator.stop().await?;

    let anew = restart(&plane, &mut ports, clusters);
    let (operator, restart_s, restart_whole_looks) = step("the operator starts anew", anew).await?;
    step("calm", calm()).await?;
    let rest = Duration::from_secs(minutes * 60);
    let at_rest = step(format!("{minutes} min at rest"), rest_for(&operator, plane.audit_log(), rest)).await?;
    let (resident_mib, cores, writes) = at_rest;
    let measured = Measured { resident_after_install_mib, resident_mib, cores, writes, restart_s, restart_whole_looks };
    tell(&options, &measured);
    Ok(())
}

async fn calm() -> Result<()> {
    sleep(CALM).await;
    Ok(())
}

async fn until_at_rest(client: &Client, clusters: usize) -> Result<()> {
    let api: Api<PaymentCluster> = Api::all(client.clone());
    let started = Instant::now();
    loop {
        let found = api.list(&ListParams::default()).await?;
        let at_rest = found.items.iter().filter(|cluster| is_at_rest(cluster)).count();
        if at_rest == clusters {
            return Ok(());
        }
        if started.elapsed() > INSTALL_LIMIT {
            let other = found.items.iter().find(|cluster| !is_at_rest(cluster)).context("none")?;
            bail!("{at_rest} of {clusters} are at rest; one that is not: {:#?}", other.status);
        }
        println!("         {at_rest} of {clusters} after {} s", started.elapsed().as_secs());
        sleep(SAMPLE).await;
    }
}

fn is_at_rest(cluster: &PaymentCluster) -> bool {
    let Some(status) = &cluster.status else { return false };
    let is =
        |name: &str, value: &str| status.conditions.iter().any(|found| found.type_ == name && found.status == value);
    status.stage.is_some_and(Stage::is_end) && is(conditions::READY, "True") && is(conditions::RECONCILING, "False")
}

/// Until every PaymentCluster was looked at once, or found as it was left.
async fn restart(plane: &ControlPlane, ports: &mut Ports, clusters: usize) -> Result<(Operator, f64, f64)> {
    let started = Instant::now();
    let mut operator = Operator::start(&plane.kubeconfig_path, ports)?;
    let wanted = f64::from(u32::try_from(clusters)?);
    while operator.figure(LOOKED_AT).await?.is_none_or(|seen| seen < wanted) {
        if started.elapsed() > RESTART_LIMIT {
            bail!("not all were looked at within {RESTART_LIMIT:?}");
        }
        sleep(Duration::from_millis(20)).await;
    }
    let seconds = started.elapsed().as_secs_f64();
    let whole_looks = operator.figure(WHOLE_LOOKS).await?.unwrap_or(0.0);
    Ok((operator, seconds, whole_looks))
}

fn resident_mib(operator: &Operator) -> Result<f64> {
    let kib = u32::try_from(operator.usage()?.rss_kib)?;
    Ok(f64::from(kib) / 1024.0)
}

/// The most memory, the processor time a second, and the writes.
async fn rest_for(operator: &Operator, audit_log: &Path, rest: Duration) -> Result<(f64, f64, Vec<String>)> {
    let from = audit::length(audit_log)?;
    let (started, before) = (Instant::now(), operator.usage()?);
    let mut most = 0.0_f64;
    while started.elapsed() < rest {
        sleep(SAMPLE).await;
        most = most.max(resident_mib(operator)?);
    }
    let cores = (operator.usage()?.cpu - before.cpu).as_secs_f64() / started.elapsed().as_secs_f64();
    let (writes, lease_writes) = audit::operator_writes(&audit::since(audit_log, from)?);
    if lease_writes == 0 {
        bail!("the lease was not renewed, so {} is not the log to read", audit_log.display());
    }
    Ok((most, cores, writes))
}

fn tell(options: &Options, measured: &Measured) {
    let Measured { resident_after_install_mib, resident_mib, cores, writes, restart_s, restart_whole_looks } = measured;
    for write in writes.iter().take(10) {
        println!("a write at rest: {write}");
    }
    let against = |value: f64, bar: f64| if value <= bar { "keeps to" } else { "misses" };
    println!(
        "\nmemory {} its bar, a start {} its bar, at rest {} writes",
        against(*resident_mib, RESIDENT_BAR_MIB),
        against(*restart_s, RESTART_BAR_S),
        writes.len()
    );
    println!("fleet_payment_clusters: {}", options.clusters);
    println!("fleet_namespaces: {}", options.namespaces);
    println!("operator_cores_at_rest: {cores:.3}");
    println!("operator_rss_after_install_mib: {resident_after_install_mib:.1}");
    println!("operator_rss_at_rest_mib: {resident_mib:.1}");
    println!("operator_rss_at_rest_bar_mib: {RESIDENT_BAR_MIB:.0}");
    println!("operator_rss_at_rest_to_bar: {:.2}", resident_mib / RESIDENT_BAR_MIB);
    println!("operator_rest_min: {}", options.minutes);
    println!("operator_writes_at_rest: {}", writes.len());
    println!("operator_writes_at_rest_bar: 0");
    println!("operator_restart_to_settled_s: {restart_s:.2}");
    println!("operator_restart_whole_looks: {restart_whole_looks:.0}");
    println!("operator_restart_to_settled_bar_s: {RESTART_BAR_S:.0}");
    println!("operator_restart_to_settled_to_bar: {:.2}", restart_s / RESTART_BAR_S);
}
