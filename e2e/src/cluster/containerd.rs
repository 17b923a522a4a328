//! containerd, with folders and a socket of its own: one that the machine runs already is left alone.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use serde_json::json;

use super::{config_files, network, process::Component};
use crate::{command, progress::wait_for};

pub(crate) const CONTAINERD: &str = "containerd";
/// Image of the process that holds a pod's namespaces.
pub(crate) const PAUSE_IMAGE: &str = "docker.io/library/purser-pause:1";
/// Name of the pods' network; what the network plugins note is named after it.
pub(crate) const CNI_NETWORK: &str = "purser";
/// The kernel's limit for a socket's path.
const SOCKET_PATH_BYTES_MAX: usize = 107;

/// Folders of containerd.
#[derive(Clone, Debug)]
pub(crate) struct Containerd {
    folder: PathBuf,
}

impl Containerd {
    pub(crate) fn new(state: &Path) -> Self {
        Self { folder: state.join("containerd") }
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.join("containerd.sock")
    }

    /// What lives only as long as the machine runs: tasks, their mounts and sockets.
    pub(crate) fn volatile(&self) -> PathBuf {
        self.folder.join("state")
    }

    fn addresses_in_use(&self) -> PathBuf {
        self.folder.join("cni/addresses")
    }

    /// Writes the configuration, and returns what to start.
    pub(crate) fn component(&self) -> Result<Component> {
        let socket = self.socket();
        if socket.as_os_str().len() > SOCKET_PATH_BYTES_MAX {
            bail!("the path {} is too long for a socket; set PURSER_STATE to a shorter one", socket.display());
        }
        let cni = self.folder.join("cni/net.d");
        config_files::write_json(&cni.join("10-purser.conflist"), &self.cni())?;
        let config = self.folder.join("config.toml");
        config_files::write(&config, &self.config(&cni))?;
        let args = vec![format!("--config={}", config.display()), "--log-level=warn".to_owned()];
        Ok(Component { name: CONTAINERD, program: CONTAINERD.into(), args })
    }

    fn config(&self, cni: &Path) -> String {
        let folder = self.folder.display();
        let socket = self.socket();
        format!(
            r#"version = 2
root = "{folder}/root"
state = "{folder}/state"
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.tracing.processor.v1.otlp", "io.containerd.internal.v1.tracing"]
[grpc]
address = "{socket}"
[plugins."io.containerd.internal.v1.opt"]
path = "{folder}/opt"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{PAUSE_IMAGE}"
# Without CAP_SYS_RESOURCE no process may make itself less likely to be killed for memory than its parent.
restrict_oom_score_adj = true
stream_server_address = "127.0.0.1"
stream_server_port = "0"
[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "overlayfs"
default_runtime_name = "runc"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
SystemdCgroup = false
Root = "{folder}/runc"
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = "{cni}"
"#,
            socket = socket.display(),
            cni = cni.display(),
        )
    }

    fn cni(&self) -> serde_json::Value {
        json!({
            "cniVersion": "1.0.0",
            "name": CNI_NETWORK,
            "plugins": [{
                "type": "bridge",
                "bridge": network::BRIDGE,
                "isGateway": true,
                // A pod may reach itself through its own Service.
                "hairpinMode": true,
                "ipMasq": false,
                "ipam": {
                    "type": "host-local",
                    "dataDir": self.addresses_in_use(),
                    "ranges": [[{"subnet": network::PODS}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            }],
        })
    }

    /// After a reboot no pod of before runs: what says otherwise would only be in the way.
    pub(crate) fn forget_running(&self) -> Result<()> {
        for folder in [self.volatile(), self.addresses_in_use()] {
            if folder.exists() {
                fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
            }
        }
        Ok(())
    }

    /// Waits until it answers.
    pub(crate) async fn ready(&self) -> Result<()> {
        wait_for(Duration::from_secs(30), || async { self.ctr(&["version"]).await.map(Some) }).await.map(drop)
    }

    /// Runs `ctr` in the namespace of Kubernetes.
    pub(crate) async fn ctr(&self, args: &[&str]) -> Result<String> {
        let socket = self.socket().display().to_string();
        command::output("ctr", [&["--address", &socket, "--namespace", "k8s.io"], args].concat()).await
    }
}
