//! The way from this machine to the gateway's Service.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Child;

use super::{CLUSTER, Kubectl, NAMESPACE};

/// The quickstart's NodePort, which answers on loopback on the local cluster.
const NODE_PORT: u16 = 30080;

/// An address of the gateway. On a cluster that is not this machine's, a port-forward that ends with this value.
pub struct Gateway {
    /// For instance `http://127.0.0.1:30080`.
    pub base_url: String,
    _port_forward: Option<Child>,
}

impl Gateway {
    /// The way that the cluster has: its NodePort when it is this machine's, else a port-forward.
    ///
    /// # Errors
    /// When the port-forward does not come up.
    pub async fn reach(kubectl: &Kubectl, local: bool) -> Result<Self> {
        if local { Ok(Self::local()) } else { Self::forwarded(kubectl).await }
    }

    /// The local cluster's NodePort.
    fn local() -> Self {
        Self { base_url: format!("http://127.0.0.1:{NODE_PORT}"), _port_forward: None }
    }

    /// A port-forward to the Service, on a free port of this machine.
    async fn forwarded(kubectl: &Kubectl) -> Result<Self> {
        let service = format!("service/{CLUSTER}-gateway");
        let mut child = kubectl
            .command(&kubectl.kubectl)
            .args(["-n", NAMESPACE, "port-forward", "--address", "127.0.0.1", &service, ":80"])
            .stdout(std::process::Stdio::piped())
            .spawn()?;
        let mut lines = BufReader::new(child.stdout.take().context("no output")?).lines();
        let line = tokio::time::timeout(Duration::from_secs(15), lines.next_line())
            .await
            .context("kubectl port-forward said nothing")??;
        // Forwarding from 127.0.0.1:40123 -> 8080
        let Some(address) = line.as_deref().and_then(|line| line.split_whitespace().nth(2)) else {
            bail!("kubectl port-forward ended before it listened");
        };
        Ok(Self { base_url: format!("http://{address}"), _port_forward: Some(child) })
    }
}
