//! The node's bridge and the kernel settings that Kubernetes changes.

use std::{
    collections::BTreeMap,
    fs,
    net::{IpAddr, Ipv4Addr},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};

use crate::command;

/// The bridge that every pod hangs on. Ours by its name.
pub(crate) const BRIDGE: &str = "purser0";
/// The bridge's address: the node's, and the pods' gateway.
pub(crate) const NODE_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 244, 0, 1);
/// Addresses of pods.
pub(crate) const PODS: &str = "10.244.0.0/24";
/// Addresses of Services.
pub(crate) const SERVICES: &str = "10.96.0.0/16";
/// The Service address of the API server: the first of [`SERVICES`].
pub(crate) const API_SERVICE: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 1);
/// The Service address of the cluster's DNS.
pub(crate) const DNS_SERVICE: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 10);

/// Addresses that server certificates must name.
pub(crate) const SERVER_ADDRESSES: [IpAddr; 3] =
    [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V4(API_SERVICE), IpAddr::V4(NODE_ADDRESS)];

const NEEDED: [(&str, &str); 2] = [("net/ipv4/ip_forward", "1"), ("net/bridge/bridge-nf-call-iptables", "1")];
/// What kubelet and kube-proxy set by themselves; put back by `down`.
const CHANGED_BY_OTHERS: [&str; 7] = [
    "net/ipv4/conf/all/route_localnet",
    "net/ipv4/vs/conntrack",
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxbytes",
];

/// Makes the bridge unless it is there.
pub(crate) async fn ensure_bridge() -> Result<()> {
    let address = format!("{NODE_ADDRESS}/24");
    if !link_exists(BRIDGE) {
        command::output("ip", ["link", "add", BRIDGE, "type", "bridge"]).await?;
    }
    let current = command::output("ip", ["-4", "-o", "address", "show", "dev", BRIDGE]).await?;
    if !current.contains(&address) {
        command::output("ip", ["address", "add", &address, "dev", BRIDGE]).await?;
    }
    command::output("ip", ["link", "set", BRIDGE, "up"]).await.map(drop)
}

/// Removes the bridge; the pods' ends of it go with their network namespaces.
pub(crate) async fn remove_bridge() -> Result<()> {
    if link_exists(BRIDGE) {
        command::output("ip", ["link", "delete", BRIDGE]).await?;
    }
    Ok(())
}

pub(crate) fn link_exists(name: &str) -> bool {
    Path::new("/sys/class/net").join(name).exists()
}

/// Loads the modules and sets what routing to pods needs, after noting what was set before.
pub(crate) async fn prepare_kernel(state: &Path) -> Result<()> {
    for module in ["overlay", "br_netfilter", "nf_conntrack"] {
        // Built into some kernels, which then have no such module.
        let _ = command::output("modprobe", [module]).await;
    }
    let file = settings_file(state);
    if !file.exists() {
        let names = NEEDED.iter().map(|(name, _)| *name).chain(CHANGED_BY_OTHERS);
        let found: BTreeMap<&str, String> = names.filter_map(|name| Some((name, read(name)?))).collect();
        super::config_files::write(&file, &serde_json::to_string_pretty(&found)?)?;
    }
    for (name, value) in NEEDED {
        set(name, value)?;
    }
    Ok(())
}

/// Puts the kernel settings back as they were before the first `up`.
pub(crate) fn restore_kernel(state: &Path) -> Result<()> {
    let file = settings_file(state);
    if !file.exists() {
        return Ok(());
    }
    let before: BTreeMap<String, String> = serde_json::from_slice(&fs::read(&file)?)?;
    for (name, value) in before {
        set(&name, &value)?;
    }
    Ok(())
}

fn settings_file(state: &Path) -> PathBuf {
    state.join("kernel-settings.json")
}

fn read(name: &str) -> Option<String> {
    let value = fs::read_to_string(Path::new("/proc/sys").join(name)).ok()?;
    Some(value.trim().to_owned())
}

fn set(name: &str, value: &str) -> Result<()> {
    if read(name).as_deref() == Some(value) {
        return Ok(());
    }
    let path = Path::new("/proc/sys").join(name);
    fs::write(&path, value).with_context(|| format!("cannot set {} to {value}", path.display()))
}

/// Refuses a machine that runs another Kubernetes: both would write the same chains into the kernel's packet filter, and
/// `down` could not tell whose they are.
pub(crate) async fn refuse_company() -> Result<()> {
    let saved = command::output("iptables-save", [] as [&str; 0]).await?;
    if has_kube_proxy(&saved) {
        bail!(
            "this machine runs a Kubernetes already (kube-proxy's chains are in iptables): use that one with CLUSTER=current"
        );
    }
    Ok(())
}

fn has_kube_proxy(saved: &str) -> bool {
    saved.lines().any(|line| line.starts_with(":KUBE-SERVICES "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_kube_proxy_is_known_by_its_chain() {
        assert!(has_kube_proxy("*nat\n:KUBE-SERVICES - [0:0]\n"));
        assert!(!has_kube_proxy("*nat\n:POSTROUTING ACCEPT [0:0]\n"));
    }
}
