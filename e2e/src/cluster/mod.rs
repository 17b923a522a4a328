//! The local cluster: a real Kubernetes of one node, on this machine, without Docker.

mod addons;
mod build;
mod cgroups;
pub(crate) mod config_files;
pub(crate) mod containerd;
mod control_plane;
mod current;
mod down;
mod leftovers;
mod logs;
mod network;
mod node;
mod pki;
mod process;
mod status;
mod volumes;

use std::{fs, time::Duration};

use anyhow::{Context as _, Result, anyhow, bail};
use k8s_openapi::api::core::v1::Node;
use kube::{
    Api, Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use nix::unistd::geteuid;

use crate::{
    packages,
    paths::Paths,
    progress::{GiveUp, step, wait_for},
    tools,
};

pub use current::{current_kubeconfig, describe_current, uses_current};
pub use down::down;
pub use logs::logs;
pub use status::status;

pub(crate) use build::{Programs, programs};
pub(crate) use control_plane::{Ports, Settings};
pub(crate) use network::SERVER_ADDRESSES;
pub(crate) use pki::{Pki, names as certificates};
pub(crate) use process::Component;

use containerd::{CONTAINERD, Containerd};
use control_plane::{APISERVER, CONTROLLER_MANAGER, ETCD, SCHEDULER};
use node::{KUBELET, NODE, PROXY};
use process::{Identity, Records, boot_id};

/// In the order in which they start; `down` goes the other way.
const COMPONENTS: [&str; 7] = [CONTAINERD, ETCD, APISERVER, CONTROLLER_MANAGER, SCHEDULER, KUBELET, PROXY];
/// Not the default ones, so that a Kubernetes or an etcd that the machine runs already keeps its own.
const PORTS: Ports = Ports { api: 6443, etcd: 23790, etcd_peer: 23800, controller_manager: 10257, scheduler: 10259 };
const API_LIMIT: Duration = Duration::from_secs(60);
const NODE_LIMIT: Duration = Duration::from_secs(90);

/// What `up` may leave for later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metrics {
    /// Build and start the metrics server as the last step.
    Now,
    /// Leave it to a later `up`: building it takes two minutes that nothing else waits for.
    Later,
}

fn settings(paths: &Paths) -> Settings {
    Settings {
        folder: paths.state.clone(),
        ports: PORTS,
        advertised: Some(network::NODE_ADDRESS),
        audit_log: paths.audit_log(),
    }
}

/// Starts what is not running, from whatever state the machine is in, and waits for a Ready node and DNS.
///
/// # Errors
/// When something cannot be built or does not come up; the message has the end of its log.
pub async fn up(paths: &Paths, metrics: Metrics) -> Result<()> {
    if !geteuid().is_root() {
        bail!("the local cluster needs root: it makes network interfaces and containers (or use CLUSTER=current)");
    }
    packages::ensure(packages::NODE).await?;
    if !paths.state.exists() {
        network::refuse_company().await?;
    }
    tools::ensure(paths).await?;
    let built = programs(paths, &COMPONENTS).await?;
    build::coredns(paths).await?;
    {
        let _lock = lock(paths).await?;
        start(paths, &built).await?;
        addons::dns(paths).await?;
    }
    if metrics == Metrics::Now {
        // Built while the cluster is in use already, and not locked.
        build::metrics_server(paths).await?;
        let _lock = lock(paths).await?;
        addons::metrics(paths).await?;
    }
    Ok(())
}

/// Kills one program of the cluster without a warning, for tests of what happens then. [`up`] starts it again.
///
/// # Errors
/// When no such program runs.
pub fn kill(paths: &Paths, component: &str) -> Result<()> {
    let process = Records::new(&paths.state).alive(component)?;
    process.with_context(|| format!("{component} does not run"))?.signal(nix::sys::signal::Signal::SIGKILL);
    Ok(())
}

/// A program of the cluster that stands still until this is dropped.
#[derive(Debug)]
#[must_use = "it goes on when this is dropped"]
pub struct Held(Identity);

/// Has one program of the cluster stand still, for tests of what happens then: whoever asks it gets no answer at all.
///
/// # Errors
/// When no such program runs.
pub fn hold(paths: &Paths, component: &str) -> Result<Held> {
    let process = Records::new(&paths.state).alive(component)?;
    let held = Held(process.with_context(|| format!("{component} does not run"))?);
    held.0.signal(nix::sys::signal::Signal::SIGSTOP);
    Ok(held)
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.signal(nix::sys::signal::Signal::SIGCONT);
    }
}

/// One run at a time changes the cluster.
async fn lock(paths: &Paths) -> Result<fs::File> {
    fs::create_dir_all(&paths.state).with_context(|| format!("cannot make {}", paths.state.display()))?;
    // Beside the state, which `down` removes while it holds the lock.
    let file = fs::File::create(paths.state.with_extension("lock"))?;
    let locked = tokio::task::spawn_blocking(move || file.lock().map(|()| file)).await?;
    locked.context("cannot lock the cluster's state")
}

async fn start(paths: &Paths, programs: &Programs) -> Result<()> {
    let records = Records::new(&paths.state);
    let runtime = Containerd::new(&paths.state);
    if rebooted(paths)? {
        runtime.forget_running()?;
    }
    network::prepare_kernel(&paths.state).await?;
    network::ensure_bridge().await?;
    cgroups::ensure()?;
    let pki = Pki::ensure(&paths.state.join("pki"), NODE, &SERVER_ADDRESSES)?;
    let settings = settings(paths);
    let server = settings.server();
    config_files::write_json(
        &paths.kubeconfig(),
        &config_files::kubeconfig_document(&pki, certificates::ADMIN, &server),
    )?;

    let ensure = |component: &Component| records.ensure(component, &paths.logs());
    let started_runtime = ensure(&runtime.component()?)?;
    ensure(&settings.etcd(programs))?;
    let started_api = ensure(&settings.apiserver(programs, &pki)?)?;
    if started_runtime {
        step("start containerd", runtime.ready()).await?;
    }
    addons::pause(paths).await?;
    ready_api(paths, started_api).await?;
    ensure(&settings.controller_manager(programs, &pki)?)?;
    ensure(&settings.scheduler(programs, &pki)?)?;
    ensure(&node::kubelet(&paths.state, programs, &pki, &server, &runtime)?)?;
    ensure(&node::proxy(&paths.state, programs, &pki, &server)?)?;
    ready_node(paths).await
}

/// Whether the machine has started again since the cluster did. Notes this boot.
fn rebooted(paths: &Paths) -> Result<bool> {
    let file = paths.state.join("boot");
    let now = boot_id()?;
    let before = fs::read_to_string(&file).ok();
    config_files::write(&file, &now)?;
    Ok(before.is_some_and(|before| before != now))
}

async fn ready_api(paths: &Paths, started: bool) -> Result<()> {
    let client = client(paths).await?;
    if !started && is_ready(&client).await.is_ok() {
        return Ok(());
    }
    let ask = || async { with_death(paths, APISERVER, is_ready(&client).await.map(Some)) };
    step("start the control plane", wait_for(API_LIMIT, ask)).await
}

/// Replaces an error by the end of the component's log, if it is because the component has ended.
fn with_death<T>(paths: &Paths, name: &str, result: Result<T>) -> Result<T> {
    result.or_else(|error| {
        if Records::new(&paths.state).alive(name)?.is_some() {
            return Err(error);
        }
        let log = crate::command::tail(&paths.logs().join(format!("{name}.log")), 8)?;
        Err(GiveUp(format!("{name} has ended:\n{log}")).into())
    })
}

pub(crate) async fn is_ready(client: &Client) -> Result<()> {
    let request = http::Request::get("/readyz").body(Vec::new())?;
    client.request_text(request).await.map(drop).map_err(Into::into)
}

async fn ready_node(paths: &Paths) -> Result<()> {
    let nodes: Api<Node> = Api::all(client(paths).await?);
    let ready = || async { anyhow::Ok(nodes.get_opt(NODE).await?.filter(node_is_ready).map(drop)) };
    if let Ok(Some(())) = ready().await {
        return Ok(());
    }
    let ask = || async {
        match ready().await {
            Ok(Some(())) => Ok(Some(())),
            Err(error) => with_death(paths, KUBELET, Err(error)),
            Ok(None) => with_death(paths, KUBELET, Err(anyhow!("kubelet has not reported yet"))),
        }
    };
    step("wait for the node", wait_for(NODE_LIMIT, ask)).await
}

fn node_is_ready(node: &Node) -> bool {
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// A client for the local cluster with the administrator's rights.
///
/// # Errors
/// When the cluster has never been started.
pub async fn client(paths: &Paths) -> Result<Client> {
    client_for(&paths.kubeconfig()).await
}

pub(crate) async fn client_for(kubeconfig: &std::path::Path) -> Result<Client> {
    let config = Kubeconfig::read_from(kubeconfig).context("the cluster has not been started")?;
    let mut config = Config::from_custom_kubeconfig(config, &KubeConfigOptions::default()).await?;
    // The default retries for minutes; whoever asks here waits by itself, and wants the error.
    config.default_retry = false;
    config.connect_timeout = Some(Duration::from_secs(2));
    config.read_timeout = Some(Duration::from_secs(10));
    Client::try_from(config).map_err(Into::into)
}
