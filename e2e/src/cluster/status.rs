//! Says what runs.

use std::{fs, time::Duration};

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::{Api, api::ListParams};

use super::{COMPONENTS, client, is_ready, node_is_ready, process::Records, settings};
use crate::{paths::Paths, progress::seconds};

/// Prints each program and what the API server says; returns whether all of it is well.
///
/// # Errors
/// When the state cannot be read.
pub async fn status(paths: &Paths) -> Result<bool> {
    let records = Records::new(&paths.state);
    let mut well = true;
    println!("{:26}{:>8}{:>10}{:>13}", "PROGRAM", "PID", "MEMORY", "RUNNING FOR");
    for name in COMPONENTS {
        let Some(identity) = records.alive(name)? else {
            well = false;
            let state = if records.get(name)?.is_some() { "ended" } else { "not started" };
            println!("{name:26}{state:>8}");
            continue;
        };
        let memory = resident_mib(identity.pid).map_or_else(|| "?".to_owned(), |mib| format!("{mib} MiB"));
        let age = running_for(identity.started_ticks).map_or_else(|_| "?".to_owned(), seconds);
        println!("{name:26}{:>8}{memory:>10}{age:>13}", identity.pid);
    }
    if paths.kubeconfig().exists() {
        match api_status(paths).await {
            Ok(ready) => well &= ready,
            Err(error) => {
                well = false;
                println!("api server  {}: {error:#}", settings(paths).server());
            }
        }
    }
    println!("state       {}", paths.state.display());
    println!("cache       {}", paths.cache.display());
    Ok(well)
}

async fn api_status(paths: &Paths) -> Result<bool> {
    let client = client(paths).await?;
    is_ready(&client).await?;
    println!("api server  {} ready; kubeconfig {}", settings(paths).server(), paths.kubeconfig().display());
    let nodes = Api::<Node>::all(client.clone()).list(&ListParams::default()).await?;
    let ready = nodes.items.iter().filter(|node| node_is_ready(node)).count();
    println!("nodes       {ready} of {} ready", nodes.items.len());
    let pods = Api::<Pod>::all(client).list(&ListParams::default()).await?;
    let running =
        pods.items.iter().filter(|pod| pod.status.as_ref().and_then(|s| s.phase.as_deref()) == Some("Running"));
    println!("pods        {} of {} running", running.count(), pods.items.len());
    Ok(ready > 0)
}

fn resident_mib(pid: i32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib / 1024)
}

fn running_for(started_ticks: u64) -> Result<Duration> {
    /// Fixed for user space on every architecture that Linux has.
    const TICKS_PER_SECOND: u64 = 100;
    let uptime = fs::read_to_string("/proc/uptime")?;
    let uptime: f64 = uptime.split(' ').next().context("no uptime")?.parse()?;
    let started = Duration::from_millis(started_ticks * 1000 / TICKS_PER_SECOND);
    Ok(Duration::from_secs_f64(uptime).saturating_sub(started))
}
