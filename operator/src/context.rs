//! What every reconcile is given.

use std::sync::Arc;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{Event, Recorder};
use tokio::sync::Semaphore;

use crate::courier::Courier;
use crate::error::Error;
use crate::metrics::Metrics;
use crate::provider::claims::Claims;
use crate::provider::probe::Prober;
use crate::rest::Rest;
use crate::tenure::Tenure;

/// For [`Context::readers`].
pub const READERS: usize = 4;

/// What every reconcile is given. It holds no knowledge of the cluster that is not there as well.
#[derive(Clone)]
pub struct Context {
    /// For everything but watches and the lease.
    pub client: Client,
    /// Whether this replica may write, and its number.
    pub tenure: Tenure,
    /// For pods: they are in the cluster, and never behind a proxy.
    pub pods_http: reqwest::Client,
    /// For the endpoints of providers.
    pub prober: Arc<Prober>,
    /// Passes that read from the API server at once: each connection keeps its buffers, and more of them read no faster.
    pub readers: Arc<Semaphore>,
    /// What is known of PaymentClusters at rest.
    pub rest: Arc<Rest>,
    /// Who may select providers.
    pub claims: Arc<Claims>,
    /// For notifications.
    pub courier: Courier,
    /// For Events.
    pub recorder: Recorder,
    /// For figures.
    pub metrics: Metrics,
}

impl Context {
    /// To be asked before each write.
    ///
    /// # Errors
    /// When another replica may have the lease by now.
    pub fn may_write(&self) -> Result<(), Error> {
        if self.tenure.is_on() { Ok(()) } else { Err(Error::TenureOver) }
    }

    /// Tells an Event. One that cannot be told is logged: it is never a reason to do the work again.
    pub async fn publish(&self, event: &Event, about: &ObjectReference) {
        if !self.tenure.is_on() {
            return;
        }
        if let Err(error) = self.recorder.publish(event, about).await {
            tracing::warn!(%error, reason = event.reason, "cannot publish an event");
        }
    }
}
