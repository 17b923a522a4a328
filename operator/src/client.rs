//! Clients of the API server and of HTTP.

use std::time::Duration;

use anyhow::{Context as _, Result};
use kube::{Client, Config};

/// A request that is not answered in this time failed.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// The same for the lease, whose holder must know in time that it cannot renew.
const URGENT_TIMEOUT: Duration = Duration::from_secs(3);
/// Time limit of a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// What the program calls itself.
const USER_AGENT: &str = concat!("purser-operator/", env!("CARGO_PKG_VERSION"));

/// One client per purpose, each with its own connections and limits.
#[derive(Clone)]
pub struct Clients {
    /// Requests of reconciles.
    pub requests: Client,
    /// Watches, which are silent for long and have an idle timeout of their own.
    pub watches: Client,
    /// The lease.
    pub urgent: Client,
}

/// Finds the API server: by the kubeconfig, or by the service account of the pod.
///
/// # Errors
/// When neither is there.
pub async fn connect() -> Result<Clients> {
    let mut config = Config::infer().await.context("found no kubeconfig and no service account")?;
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    // By this name the API server's audit log tells who wrote.
    config.headers.push((http::header::USER_AGENT, http::HeaderValue::from_static(USER_AGENT)));
    // The client's own retries go on for minutes, unseen. A reconcile that fails is done again within seconds.
    config.default_retry = false;
    let watches = Client::try_from(config.clone()).context("cannot make a client")?;
    config.reset_reader_on_write = true;
    config.read_timeout = Some(REQUEST_TIMEOUT);
    let requests = Client::try_from(config.clone()).context("cannot make a client")?;
    config.read_timeout = Some(URGENT_TIMEOUT);
    let urgent = Client::try_from(config).context("cannot make a client")?;
    Ok(Clients { requests, watches, urgent })
}

/// A client for pods: they are in the cluster, and never behind a proxy. Each pod is asked every few seconds; connections kept to all
/// pods of all PaymentClusters would be most of the operator's memory, and a new one costs next to nothing there.
///
/// # Errors
/// When there is no TLS.
pub fn of_pods() -> reqwest::Result<reqwest::Client> {
    http().no_proxy().pool_max_idle_per_host(0).build()
}

/// A client for pods and providers. It follows no redirect: the question is whether the one that was asked answers.
pub fn http() -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_max_idle_per_host(1)
        .user_agent(USER_AGENT)
}
