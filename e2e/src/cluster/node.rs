//! Command lines of kubelet and kube-proxy.

use std::path::Path;

use anyhow::Result;
use serde_json::json;

use super::{
    build::Programs,
    cgroups,
    config_files::{kubeconfig, write_json},
    containerd::Containerd,
    network,
    pki::{Pki, names},
    process::Component,
};

pub(crate) const KUBELET: &str = "kubelet";
pub(crate) const PROXY: &str = "kube-proxy";
/// The node's name.
pub(crate) const NODE: &str = "node1";

pub(crate) fn kubelet(
    state: &Path,
    programs: &Programs,
    pki: &Pki,
    server: &str,
    runtime: &Containerd,
) -> Result<Component> {
    let folder = state.join("kubelet");
    let config = state.join("kubelet.json");
    write_json(&config, &kubelet_config(state, pki, runtime))?;
    let args = vec![
        format!("--config={}", config.display()),
        format!("--kubeconfig={}", kubeconfig(state, pki, names::KUBELET, server)?.display()),
        format!("--root-dir={}", folder.display()),
        format!("--cert-dir={}", folder.join("pki").display()),
        format!("--hostname-override={NODE}"),
        format!("--node-ip={}", network::NODE_ADDRESS),
    ];
    Ok(Component { name: KUBELET, program: programs.kubernetes(KUBELET), args })
}

fn kubelet_config(state: &Path, pki: &Pki, runtime: &Containerd) -> serde_json::Value {
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": network::NODE_ADDRESS,
        "authentication": {
            "anonymous": {"enabled": false},
            "webhook": {"enabled": true},
            "x509": {"clientCAFile": pki.certificate(names::CA)},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": pki.certificate(names::KUBELET_SERVING),
        "tlsPrivateKeyFile": pki.key(names::KUBELET_SERVING),
        "containerRuntimeEndpoint": format!("unix://{}", runtime.socket().display()),
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": cgroups::ROOT,
        "failCgroupV1": false,
        "failSwapOn": false,
        "clusterDNS": [network::DNS_SERVICE],
        "clusterDomain": "cluster.local",
        "podLogsDir": state.join("pod-logs"),
        "volumePluginDir": state.join("kubelet/volume-plugins"),
        // kube-proxy makes the chains it needs; kubelet's own would be left over.
        "makeIPTablesUtilChains": false,
        // Images come from this machine and could not be fetched again.
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        // A pod that failed to start is tried again soon: nobody waits five minutes in front of a laptop.
        "crashLoopBackOff": {"maxContainerRestartPeriod": "20s"},
        "nodeStatusUpdateFrequency": "5s",
        "syncFrequency": "20s",
        "serializeImagePulls": false,
        "enableServer": true,
    })
}

pub(crate) fn proxy(state: &Path, programs: &Programs, pki: &Pki, server: &str) -> Result<Component> {
    let config = state.join("kube-proxy.json");
    let document = json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": kubeconfig(state, pki, names::PROXY, server)?},
        "mode": "iptables",
        "clusterCIDR": network::PODS,
        "hostnameOverride": NODE,
        "healthzBindAddress": "127.0.0.1:10256",
        "metricsBindAddress": "127.0.0.1:10249",
        // Zero leaves the machine's own connection tracking as it is.
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
        "iptables": {"minSyncPeriod": "0s"},
    });
    write_json(&config, &document)?;
    let args = vec![format!("--config={}", config.display())];
    Ok(Component { name: PROXY, program: programs.kubernetes(PROXY), args })
}
