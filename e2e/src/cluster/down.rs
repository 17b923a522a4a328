//! Takes the cluster away, with everything it left on the machine.
//!
//! Nothing here asks the cluster: after a crash there may be none. What belongs to it is known by where it
//! is: processes by their records, their control groups or their socket, mounts by their folder.

use std::{
    collections::BTreeSet,
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use nix::{
    mount::{MntFlags, umount2},
    sys::signal::Signal,
    unistd::geteuid,
};
use serde_json::Value;

use super::{
    COMPONENTS, CONTAINERD, build, cgroups,
    containerd::Containerd,
    lock, network,
    node::{KUBELET, PROXY},
    process::{Identity, Records},
};
use crate::{
    command,
    paths::Paths,
    progress::{step, wait_for},
};

/// Pods get this long to end by themselves.
const POD_GRACE: Duration = Duration::from_secs(5);
/// Components get this long; the API server waits for its watchers.
const GRACE: Duration = Duration::from_secs(5);
/// Folders with fixed names that containerd, CNI and kubelet make for everyone; removed where empty.
const SHARED_FOLDERS: [&str; 7] = [
    "/run/containerd",
    "/run/netns",
    "/run/runc",
    "/var/lib/cni",
    "/var/lib/kubelet",
    "/var/log/containers",
    "/opt/containerd",
];

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
    step("remove mounts, control groups and state", async {
        remove_state(paths)
    })
    .await?;
    drop(lock);
    remove_file(&paths.state.with_extension("lock"))
}

/// Kubelet first, so that nothing starts pods again; containerd last, as its shims report to it.
async fn stop_programs(paths: &Paths) -> Result<()> {
    let records = Records::new(&paths.state);
    records.stop(KUBELET, GRACE).await?;
    for name in COMPONENTS.iter().rev().filter(|name| **name != CONTAINERD) {
        records.stop(name, GRACE).await?;
    }
    Ok(())
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
    for (signal, limit) in [
        (Signal::SIGTERM, grace),
        (Signal::SIGKILL, Duration::from_secs(5)),
    ] {
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
        let is_shim = words
            .first()
            .is_some_and(|program| program.ends_with(b"/containerd-shim-runc-v2"));
        if is_shim && words.contains(&socket.as_bytes()) {
            found.push(pid);
        }
    }
    Ok(found)
}

async fn clean_network(paths: &Paths) -> Result<()> {
    for namespace in pod_namespaces(&Containerd::new(&paths.state))? {
        if namespace.exists() {
            // Not a mount any more after a reboot; then only the file is left.
            let _ = umount2(&namespace, MntFlags::MNT_DETACH);
            remove_file(&namespace)?;
        }
    }
    network::remove_bridge().await?;
    let proxy = build::locate(paths)?.kubernetes(PROXY);
    if proxy.exists() && paths.state.join("kube-proxy.json").exists() {
        command::output(proxy, ["--cleanup"]).await?;
    }
    network::restore_kernel(&paths.state)
}

/// Network namespaces of pods, from the containers' own descriptions.
fn pod_namespaces(runtime: &Containerd) -> Result<BTreeSet<PathBuf>> {
    let tasks = runtime
        .volatile()
        .join("io.containerd.runtime.v2.task/k8s.io");
    let mut found = BTreeSet::new();
    if !tasks.exists() {
        return Ok(found);
    }
    for entry in fs::read_dir(tasks)? {
        let Ok(bytes) = fs::read(entry?.path().join("config.json")) else {
            continue;
        };
        let Ok(config) = serde_json::from_slice::<Value>(&bytes) else {
            continue;
        };
        found.extend(network_namespace(&config));
    }
    Ok(found)
}

fn network_namespace(config: &Value) -> Option<PathBuf> {
    let namespaces = config["linux"]["namespaces"].as_array()?;
    let path = namespaces
        .iter()
        .find(|namespace| namespace["type"] == "network")?["path"]
        .as_str()?;
    // A pod in the host's network has none; `/proc/PID/ns/net` belongs to a process.
    path.contains("/netns/cni-").then(|| PathBuf::from(path))
}

fn remove_state(paths: &Paths) -> Result<()> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").context("cannot list mounts")?;
    for mount in mounts_below(&mounts, &paths.state) {
        umount2(&mount, MntFlags::MNT_DETACH)
            .with_context(|| format!("cannot unmount {}", mount.display()))?;
    }
    cgroups::remove()?;
    fs::remove_dir_all(&paths.state)
        .with_context(|| format!("cannot remove {}", paths.state.display()))?;
    remove_log_links()?;
    SHARED_FOLDERS.iter().for_each(|folder| {
        remove_empty(Path::new(folder));
    });
    Ok(())
}

/// Mount points below a folder, the deepest first.
fn mounts_below(mountinfo: &str, folder: &Path) -> Vec<PathBuf> {
    let point = |line: &str| line.split(' ').nth(4).map(PathBuf::from);
    let mut found: Vec<PathBuf> = mountinfo
        .lines()
        .filter_map(point)
        .filter(|path| path.starts_with(folder))
        .collect();
    found.reverse();
    found
}

/// Kubelet's links to log files, which lead nowhere now.
fn remove_log_links() -> Result<()> {
    for entry in fs::read_dir("/var/log/containers")
        .into_iter()
        .flatten()
        .flatten()
    {
        let path = entry.path();
        if path.is_symlink() && !path.exists() {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

/// Removes a folder of folders that hold no file. Returns whether it is gone.
fn remove_empty(folder: &Path) -> bool {
    let below = fs::read_dir(folder).into_iter().flatten().flatten();
    for entry in below {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_empty(&entry.path());
        }
    }
    fs::remove_dir(folder).is_ok()
}

fn remove_file(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn mounts_of_the_state_are_found_deepest_first_and_no_neighbours() {
        let mounts = "1 0 0:1 / /s/cluster/a rw - tmpfs t rw\n2 0 0:1 / /s/cluster/a/b rw - tmpfs t rw\n\
                      3 0 0:1 / /s/cluster-2/a rw - tmpfs t rw\n";
        let found = mounts_below(mounts, Path::new("/s/cluster"));
        assert_eq!(found, ["/s/cluster/a/b", "/s/cluster/a"].map(PathBuf::from));
    }

    #[test]
    fn only_namespaces_that_the_network_plugin_made_are_removed() {
        let config = |path: &str| json!({"linux": {"namespaces": [{"type": "pid"}, {"type": "network", "path": path}]}});
        assert_eq!(
            network_namespace(&config("/var/run/netns/cni-1")),
            Some("/var/run/netns/cni-1".into())
        );
        assert_eq!(network_namespace(&config("/proc/1/ns/net")), None);
        assert_eq!(
            network_namespace(&json!({"linux": {"namespaces": [{"type": "network"}]}})),
            None
        );
    }

    #[test]
    fn a_shared_folder_stays_while_it_holds_a_file() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("used/below")).unwrap();
        fs::write(root.path().join("used/file"), "").unwrap();
        fs::create_dir_all(root.path().join("empty/below")).unwrap();
        assert!(!remove_empty(&root.path().join("used")));
        assert!(root.path().join("used/file").exists());
        assert!(remove_empty(&root.path().join("empty")));
    }
}
