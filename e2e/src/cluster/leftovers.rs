//! What the cluster's programs leave in places that all users of a machine share.
//!
//! Only what can be told to be the cluster's is removed, or what nobody can be using any more.

use std::{
    collections::BTreeSet,
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use nix::mount::{MntFlags, umount2};
use serde_json::Value;

use super::containerd::CNI_NETWORK;
use crate::command;

/// Results of the network plugins, one file per pod, named after the network.
const CNI_RESULTS: &str = "/var/lib/cni/results";
/// Folders with fixed names; removed where empty.
const SHARED_FOLDERS: [&str; 5] =
    ["/run/containerd", "/run/netns", "/var/lib/cni", "/var/lib/kubelet", "/var/log/containers"];
/// Where killed shims and kubelets leave their sockets.
const SOCKET_FOLDERS: [&str; 2] = ["/run/containerd/s", "/var/lib/kubelet/device-plugins"];

/// Removes the pods' network namespaces, which the network plugins' results name.
pub(super) fn remove_namespaces() -> Result<()> {
    let results = pods_results(&entries(Path::new(CNI_RESULTS)));
    for result in &results {
        for namespace in namespaces(&fs::read(result).unwrap_or_default()) {
            if namespace.exists() {
                // Not a mount any more after a reboot; then only the file is left.
                let _ = umount2(&namespace, MntFlags::MNT_DETACH);
                remove_file(&namespace)?;
            }
        }
        remove_file(result)?;
    }
    Ok(())
}

/// The results of our network, and those of the loopback interface of the same pods.
fn pods_results(all: &[PathBuf]) -> Vec<PathBuf> {
    let name = |path: &PathBuf| path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let pod = |path: &PathBuf| {
        let ours = name(path).strip_prefix(CNI_NETWORK)?.strip_prefix('-')?.split('-').next()?.to_owned();
        Some(ours)
    };
    let pods: BTreeSet<String> = all.iter().filter_map(pod).collect();
    let of_pod = |path: &&PathBuf| pods.iter().any(|pod| name(path).contains(pod.as_str()));
    all.iter().filter(of_pod).cloned().collect()
}

/// Network namespaces in one result.
fn namespaces(result: &[u8]) -> BTreeSet<PathBuf> {
    let result: Value = serde_json::from_slice(result).unwrap_or_default();
    let interfaces = result["result"]["interfaces"].as_array().map(Vec::as_slice).unwrap_or_default();
    let named = interfaces.iter().filter_map(|interface| interface["sandbox"].as_str());
    named.filter(|path| path.contains("/netns/cni-")).map(PathBuf::from).collect()
}

/// Removes the chains that kube-proxy keeps when it cleans up, in case a kubelet wants them.
pub(super) async fn remove_chains() -> Result<()> {
    for family in ["iptables", "ip6tables"] {
        let saved = command::output(format!("{family}-save"), [] as [&str; 0]).await?;
        for arguments in chain_removals(&saved) {
            command::output(family, [&["-w", "5"], &arguments[..]].concat()).await?;
        }
    }
    Ok(())
}

/// Arguments that remove every chain of Kubernetes: first what leads to them, then what is in them.
fn chain_removals(saved: &str) -> Vec<Vec<&str>> {
    let (mut table, mut jumps, mut flushes, mut chains) = ("filter", Vec::new(), Vec::new(), Vec::new());
    for line in saved.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        if let Some(name) = line.strip_prefix('*') {
            table = name;
        } else if let Some(chain) = words.first().and_then(|word| word.strip_prefix(":KUBE-")) {
            let chain = &line[1..chain.len() + ":KUBE-".len()];
            flushes.push(vec!["-t", table, "-F", chain]);
            chains.push(vec!["-t", table, "-X", chain]);
        } else if let ["-A", from, .., "-j", to] = words[..]
            && to.starts_with("KUBE-")
            && !from.starts_with("KUBE-")
            && !line.contains('"')
        {
            jumps.push([&["-t", table, "-D"], &words[1..]].concat());
        }
    }
    [jumps, flushes, chains].concat()
}

/// Removes links to logs that are gone, sockets that nobody listens on, and folders that are empty then.
pub(super) fn remove_shared() -> Result<()> {
    let logs = entries(Path::new("/var/log/containers"));
    for link in logs.iter().filter(|path| path.is_symlink() && !path.exists()) {
        remove_file(link)?;
    }
    let listening = fs::read_to_string("/proc/net/unix").context("cannot list sockets")?;
    for socket in SOCKET_FOLDERS.iter().flat_map(|folder| entries(Path::new(folder))) {
        if !listening.lines().any(|line| line.ends_with(&format!(" {}", socket.display()))) {
            remove_file(&socket)?;
        }
    }
    for folder in SHARED_FOLDERS {
        remove_empty(Path::new(folder));
    }
    Ok(())
}

/// Removes a folder of folders that hold no file. Returns whether it is gone.
fn remove_empty(folder: &Path) -> bool {
    for entry in entries(folder).iter().filter(|path| path.is_dir() && !path.is_symlink()) {
        remove_empty(entry);
    }
    fs::remove_dir(folder).is_ok()
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

/// Removes a file that may be gone already.
pub(super) fn remove_file(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_our_pods_are_found_and_those_of_other_networks_stay() {
        let all = ["purser-aa-eth0", "cni-loopback-aa-lo", "podman-bb-eth0", "cni-loopback-bb-lo"].map(PathBuf::from);
        assert_eq!(pods_results(&all), ["purser-aa-eth0", "cni-loopback-aa-lo"].map(PathBuf::from));
    }

    #[test]
    fn only_namespaces_that_the_network_plugins_made_are_removed() {
        let result = br#"{"result": {"interfaces": [{"name": "purser0"}, {"sandbox": "/var/run/netns/cni-1"},
            {"sandbox": "/proc/1/ns/net"}]}}"#;
        assert_eq!(namespaces(result), BTreeSet::from(["/var/run/netns/cni-1".into()]));
        assert!(namespaces(b"cut off").is_empty());
    }

    #[test]
    fn chains_of_kubernetes_are_removed_and_rules_of_others_stay() {
        let saved = "*filter\n:INPUT ACCEPT [0:0]\n:KUBE-FIREWALL - [0:0]\n:DOCKER - [0:0]\n\
                     -A INPUT -j KUBE-FIREWALL\n-A INPUT -j DOCKER\n-A KUBE-FIREWALL -d 127.0.0.0/8 -j DROP\nCOMMIT\n";
        let expected = [
            vec!["-t", "filter", "-D", "INPUT", "-j", "KUBE-FIREWALL"],
            vec!["-t", "filter", "-F", "KUBE-FIREWALL"],
            vec!["-t", "filter", "-X", "KUBE-FIREWALL"],
        ];
        assert_eq!(chain_removals(saved), expected);
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
