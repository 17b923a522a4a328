//! Command lines of etcd, the API server, the controller manager and the scheduler.
//!
//! Shared by the local cluster and by the temporary control planes of tests.

use std::{
    net::Ipv4Addr,
    path::{Path, PathBuf},
};

use anyhow::Result;

use super::{
    build::Programs,
    config_files::{audit_policy, kubeconfig},
    network,
    pki::{Pki, names},
    process::Component,
};

pub(crate) const ETCD: &str = "etcd";
pub(crate) const APISERVER: &str = "kube-apiserver";
pub(crate) const CONTROLLER_MANAGER: &str = "kube-controller-manager";
pub(crate) const SCHEDULER: &str = "kube-scheduler";

/// Ports on the loopback interface; the API server's also on the bridge.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ports {
    pub(crate) api: u16,
    pub(crate) etcd: u16,
    pub(crate) etcd_peer: u16,
    pub(crate) controller_manager: u16,
    pub(crate) scheduler: u16,
}

/// One control plane.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Holds everything of it.
    pub(crate) folder: PathBuf,
    pub(crate) ports: Ports,
    /// Where pods reach the API server; `None` when there are no nodes.
    pub(crate) advertised: Option<Ipv4Addr>,
    pub(crate) audit_log: PathBuf,
}

impl Settings {
    pub(crate) fn server(&self) -> String {
        format!("https://127.0.0.1:{}", self.ports.api)
    }

    pub(crate) fn etcd(&self, programs: &Programs) -> Component {
        let client = format!("http://127.0.0.1:{}", self.ports.etcd);
        let peer = format!("http://127.0.0.1:{}", self.ports.etcd_peer);
        let args = vec![
            "--name=purser".to_owned(),
            format!("--data-dir={}", self.folder.join("etcd").display()),
            format!("--listen-client-urls={client}"),
            format!("--advertise-client-urls={client}"),
            format!("--listen-peer-urls={peer}"),
            format!("--initial-advertise-peer-urls={peer}"),
            format!("--initial-cluster=purser={peer}"),
            // A local cluster's data need not survive a power cut; writes become ten times cheaper.
            "--unsafe-no-fsync=true".to_owned(),
            "--log-level=warn".to_owned(),
            "--auto-compaction-retention=5m".to_owned(),
        ];
        Component { name: ETCD, program: programs.etcd(), args }
    }

    pub(crate) fn apiserver(&self, programs: &Programs, pki: &Pki) -> Result<Component> {
        let certificate = |flag: &str, name: &str| format!("--{flag}={}", pki.certificate(name));
        let key = |flag: &str, name: &str| format!("--{flag}={}", pki.key(name));
        let mut args = vec![
            format!("--etcd-servers=http://127.0.0.1:{}", self.ports.etcd),
            format!("--secure-port={}", self.ports.api),
            format!("--cert-dir={}", self.folder.join("apiserver").display()),
            certificate("tls-cert-file", names::APISERVER),
            key("tls-private-key-file", names::APISERVER),
            certificate("client-ca-file", names::CA),
            "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
            format!("--service-account-key-file={}", pki.service_account_public_key()),
            format!("--service-account-signing-key-file={}", pki.service_account_key()),
            format!("--service-cluster-ip-range={}", network::SERVICES),
            "--authorization-mode=Node,RBAC".to_owned(),
            // The second one has the operator show that it may hold back the end of what owns its objects.
            "--enable-admission-plugins=NodeRestriction,OwnerReferencesPermissionEnforcement".to_owned(),
            "--allow-privileged=true".to_owned(),
            "--profiling=false".to_owned(),
            // A test that reads a log from where it was must find it whole.
            format!("--audit-log-maxsize={}", if self.advertised.is_some() { 100 } else { 2_000 }),
            "--audit-log-maxbackup=2".to_owned(),
            format!("--audit-policy-file={}", audit_policy(&self.folder)?.display()),
            format!("--audit-log-path={}", self.audit_log.display()),
        ];
        args.extend(front_proxy_flags(pki));
        args.extend(self.address_flags(pki));
        Ok(Component { name: APISERVER, program: programs.kubernetes(APISERVER), args })
    }

    fn address_flags(&self, pki: &Pki) -> Vec<String> {
        let Some(address) = self.advertised else {
            return ["--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", "--endpoint-reconciler-type=none"]
                .map(str::to_owned)
                .into();
        };
        vec![
            "--bind-address=0.0.0.0".to_owned(),
            format!("--advertise-address={address}"),
            format!("--kubelet-client-certificate={}", pki.certificate(names::APISERVER_KUBELET)),
            format!("--kubelet-client-key={}", pki.key(names::APISERVER_KUBELET)),
            format!("--kubelet-certificate-authority={}", pki.certificate(names::CA)),
            // Else logs and exec look the node's name up, which no name server knows.
            "--kubelet-preferred-address-types=InternalIP".to_owned(),
        ]
    }

    pub(crate) fn controller_manager(&self, programs: &Programs, pki: &Pki) -> Result<Component> {
        let mut args = client_flags(&self.folder, pki, names::CONTROLLER_MANAGER, &self.server())?;
        args.extend([
            format!("--secure-port={}", self.ports.controller_manager),
            format!("--cert-dir={}", self.folder.join("controller-manager").display()),
            format!("--service-account-private-key-file={}", pki.service_account_key()),
            format!("--root-ca-file={}", pki.certificate(names::CA)),
            "--use-service-account-credentials=true".to_owned(),
        ]);
        let of_place: &[&str] = if self.advertised.is_some() {
            // A new node takes pods only after the next look at it, which is five seconds away by default.
            &["--node-monitor-period=1s"]
        } else {
            let controllers = "--controllers=*,-node-ipam-controller,-node-lifecycle-controller";
            // A dozen PaymentClusters that move at once are more than the default lets through.
            &[controllers, "--kube-api-qps=200", "--kube-api-burst=400"]
        };
        args.extend(of_place.iter().map(|&arg| arg.to_owned()));
        Ok(Component { name: CONTROLLER_MANAGER, program: programs.kubernetes(CONTROLLER_MANAGER), args })
    }

    pub(crate) fn scheduler(&self, programs: &Programs, pki: &Pki) -> Result<Component> {
        let mut args = client_flags(&self.folder, pki, names::SCHEDULER, &self.server())?;
        args.push(format!("--secure-port={}", self.ports.scheduler));
        args.push(format!("--cert-dir={}", self.folder.join("scheduler").display()));
        Ok(Component { name: SCHEDULER, program: programs.kubernetes(SCHEDULER), args })
    }
}

/// Without these, APIs served by pods (metrics) answer 404.
fn front_proxy_flags(pki: &Pki) -> Vec<String> {
    vec![
        format!("--requestheader-client-ca-file={}", pki.certificate(names::FRONT_PROXY_CA)),
        "--requestheader-allowed-names=front-proxy-client".to_owned(),
        "--requestheader-extra-headers-prefix=X-Remote-Extra-".to_owned(),
        "--requestheader-group-headers=X-Remote-Group".to_owned(),
        "--requestheader-username-headers=X-Remote-User".to_owned(),
        format!("--proxy-client-cert-file={}", pki.certificate(names::FRONT_PROXY)),
        format!("--proxy-client-key-file={}", pki.key(names::FRONT_PROXY)),
        "--enable-aggregator-routing=true".to_owned(),
    ]
}

/// Both controllers run once here, so neither needs an election.
fn client_flags(folder: &Path, pki: &Pki, certificate: &str, server: &str) -> Result<Vec<String>> {
    let config = kubeconfig(folder, pki, certificate, server)?;
    let config = config.display();
    Ok(vec![
        format!("--kubeconfig={config}"),
        format!("--authentication-kubeconfig={config}"),
        format!("--authorization-kubeconfig={config}"),
        "--bind-address=127.0.0.1".to_owned(),
        "--leader-elect=false".to_owned(),
        "--profiling=false".to_owned(),
    ])
}
