//! Takes the cluster away, with everything it left on the machine.
//!
//! Nothing here asks the cluster: after a crash there may be none. What belongs to it is known by where it
//! is: processes by their records, their control groups or their socket, mounts by their folder.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use futures::future::try_join_all;
use nix::{
    mount::{MntFlags, umount2},
    sys::signal::Signal,
    unistd::geteuid,
};

use super::{
    COMPONENTS, CONTAINERD, build, cgroups,
    containerd::Containerd,
    leftovers, lock, network,
    node::{KUBELET, PROXY},
    process::{Identity, Records},
};
use crate::{
    command,
    paths::Paths,
    progress::{step, wait_for},
};

/// Pods get this long to end by themselves; those that are called go on serving for 4 s.
const POD_GRACE: Duration = Duration::from_secs(8);
/// Components get this long; the API server would wait for its watchers.
const GRACE: Duration = Duration::from_secs(3);
/// Stops the cluster and removes all of it but the cache of built programs.
///
/// # Errors
/// When something cannot be removed. Running it again goes on where it stopped.
pub async fn down(paths: &Paths) -> Result<()> {
    if !paths.state.exists() {
        println!("  nothing to do: {} does not exist", paths.state.display());
        return Ok(());
    }
    if !geteuid().is_root() {
        bail!("taking the local cluster away needs root, as starting it did");
    }
    let lock = lock(paths).await?;
    step("stop the cluster's programs", stop_programs(paths)).await?;
    step("end pods", end_pods(paths)).await?;
    step("clean up the network", clean_network(paths)).await?;
    step("remove mounts, control groups and state", async { remove_state(paths) }).await?;
    drop(lock);
    leftovers::remove_file(&paths.state.with_extension("lock"))
}

/// Kubelet first, so that nothing starts pods again; containerd last, as its shims report to it.
async fn stop_programs(paths: &Paths) -> Result<()> {
    let records = Records::new(&paths.state);
    records.stop(KUBELET, GRACE).await?;
    let others = COMPONENTS.iter().filter(|name| ![CONTAINERD, KUBELET].contains(name));
    try_join_all(others.map(|name| records.stop(name, GRACE))).await.map(drop)
}

async fn end_pods(paths: &Paths) -> Result<()> {
    end(cgroups::processes()?, POD_GRACE).await?;
    let socket = Containerd::new(&paths.state).socket().display().to_string();
    // Shims end with their containers; what is left now waits for a containerd that has gone.
    end(shims(&socket)?, Duration::from_secs(1)).await?;
    Records::new(&paths.state).stop(CONTAINERD, GRACE).await
}

async fn end(pids: Vec<i32>, grace: Duration) -> Result<()> {
    let processes: Vec<Identity> = pids.into_iter().filter_map(Identity::of).collect();
    let all_ended = || async { Ok((!processes.iter().any(Identity::is_alive)).then_some(())) };
    for (signal, limit) in [(Signal::SIGTERM, grace), (Signal::SIGKILL, Duration::from_secs(5))] {
        processes.iter().for_each(|process| process.signal(signal));
        if wait_for(limit, all_ended).await.is_ok() {
            return Ok(());
        }
    }
    bail!("processes of pods do not end")
}

/// Processes that run a container each, known by the socket of our containerd.
fn shims(socket: &str) -> Result<Vec<i32>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")?.flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<i32>() else {
            continue;
        };
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let words: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
        let is_shim = words.first().is_some_and(|program| program.ends_with(b"/containerd-shim-runc-v2"));
        if is_shim && words.contains(&socket.as_bytes()) {
            found.push(pid);
        }
    }
    Ok(found)
}

async fn clean_network(paths: &Paths) -> Result<()> {
    leftovers::remove_namespaces()?;
    network::remove_bridge().await?;
    let proxy = build::locate(paths)?.kubernetes(PROXY);
    if proxy.exists() && paths.state.join("kube-proxy.json").exists() {
        command::output(proxy, ["--cleanup"]).await?;
    }
    leftovers::remove_chains().await?;
    network::restore_kernel(&paths.state)
}

fn remove_state(paths: &Paths) -> Result<()> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").context("cannot list mounts")?;
    for mount in mounts_below(&mounts, &paths.state) {
        umount2(&mount, MntFlags::MNT_DETACH).with_context(|| format!("cannot unmount {}", mount.display()))?;
    }
    cgroups::remove()?;
    fs::remove_dir_all(&paths.state).with_context(|| format!("cannot remove {}", paths.state.display()))?;
    leftovers::remove_shared()
}

/// Mount points below a folder, the deepest first.
fn mounts_below(mountinfo: &str, folder: &Path) -> Vec<PathBuf> {
    let point = |line: &str| line.split(' ').nth(4).map(PathBuf::from);
    let mut found: Vec<PathBuf> = mountinfo.lines().filter_map(point).filter(|path| path.starts_with(folder)).collect();
    found.reverse();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_of_the_state_are_found_deepest_first_and_no_neighbours() {
        let mounts = "1 0 0:1 / /s/cluster/a rw - tmpfs t rw\n2 0 0:1 / /s/cluster/a/b rw - tmpfs t rw\n\
                      3 0 0:1 / /s/cluster-2/a rw - tmpfs t rw\n";
        let found = mounts_below(mounts, Path::new("/s/cluster"));
        assert_eq!(found, ["/s/cluster/a/b", "/s/cluster/a"].map(PathBuf::from));
    }
}
