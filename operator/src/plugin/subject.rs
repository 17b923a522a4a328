//! What is looked at: a PaymentCluster, and what runs for it. ★ Pure.

use crds::payment_cluster::{Approval, KeptRelease, ReleaseStatus};
use crds::{PaymentCluster, PaymentClusterStatus, Stage, annotations};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt;

use crate::cluster::revision;
use crate::names::version_of;

/// Everything that is shown of a PaymentCluster.
#[derive(Clone, Debug)]
pub(super) struct Look {
    pub(super) cluster: PaymentCluster,
    pub(super) pods: Vec<Pod>,
    pub(super) deployments: Vec<Deployment>,
    /// Why pods or Deployments could not be read.
    pub(super) unseen: Option<String>,
    /// Why this may not be how it is now.
    pub(super) stale: Option<String>,
    /// What a command needs to reach the same cluster.
    pub(super) flags: String,
}

impl Look {
    pub(super) fn subject(&self) -> Subject<'_> {
        Subject { cluster: &self.cluster, flags: &self.flags }
    }
}

/// A PaymentCluster, asked about its release.
#[derive(Clone, Copy, Debug)]
pub(super) struct Subject<'a> {
    pub(super) cluster: &'a PaymentCluster,
    /// As in [`Look`].
    pub(super) flags: &'a str,
}

impl<'a> Subject<'a> {
    pub(super) fn name(self) -> &'a str {
        self.cluster.metadata.name.as_deref().unwrap_or_default()
    }

    pub(super) fn namespace(self) -> &'a str {
        self.cluster.metadata.namespace.as_deref().unwrap_or_default()
    }

    /// `None` when no operator has looked at it yet.
    pub(super) fn status(self) -> Option<&'a PaymentClusterStatus> {
        self.cluster.status.as_ref().filter(|status| status.stage.is_some())
    }

    pub(super) fn release(self) -> Option<&'a ReleaseStatus> {
        self.status()?.release.as_ref()
    }

    pub(super) fn stage(self) -> Option<Stage> {
        self.status()?.stage
    }

    /// The release that the spec asks for; by its version, as long as the operator has not named it.
    pub(super) fn wanted(self) -> &'a str {
        self.named().unwrap_or(&self.cluster.spec.version)
    }

    fn named(self) -> Option<&'a str> {
        revision::told(&self.cluster.spec, self.is_looked_at(), self.release())
    }

    fn is_looked_at(self) -> bool {
        let generation = self.cluster.metadata.generation.unwrap_or(0);
        self.status().is_some_and(|status| status.observed_generation >= generation)
    }

    /// Whether the wanted release differs from the one that serves only by its configuration.
    pub(super) fn is_of_configuration(self) -> bool {
        let wanted = self.wanted();
        self.current().is_some_and(|current| current != wanted && version_of(current) == version_of(wanted))
    }

    /// The release that the stage is about.
    pub(super) fn target(self) -> Option<&'a str> {
        self.release()?.target.as_deref()
    }

    /// The version that serves.
    pub(super) fn current(self) -> Option<&'a str> {
        self.release()?.current.as_deref()
    }

    pub(super) fn kept(self) -> Option<&'a KeptRelease> {
        self.release()?.kept.as_ref()
    }

    /// Whether the status speaks of the spec as it is now.
    pub(super) fn is_up_to_date(self) -> bool {
        self.is_looked_at() && self.is_about_the_wanted()
    }

    /// Whether the stage is that of the wanted release.
    pub(super) fn is_about_the_wanted(self) -> bool {
        self.target().is_some() && self.target() == self.named()
    }

    /// How the release ended: whether the wanted version serves. `None` while it is on its way.
    pub(super) fn ended(self) -> Option<bool> {
        match self.stage()? {
            Stage::Finished | Stage::Verified if self.is_up_to_date() => Some(true),
            Stage::RolledBack if self.is_up_to_date() => Some(false),
            _ => None,
        }
    }

    pub(super) fn condition(self, name: &str) -> Option<&'a Condition> {
        self.status()?.conditions.iter().find(|condition| condition.type_ == name)
    }

    pub(super) fn is_condition(self, name: &str, status: &str) -> bool {
        self.condition(name).is_some_and(|condition| condition.status == status)
    }

    pub(super) fn annotation(self, key: &str) -> Option<&'a str> {
        self.cluster.annotations().get(key).map(String::as_str)
    }

    pub(super) fn is_paused(self) -> bool {
        self.annotation(annotations::PAUSED) == Some("true")
    }

    pub(super) fn needs_approval(self) -> bool {
        self.cluster.spec.rollout.approval == Approval::Required
    }

    /// The version that waits for somebody to agree to it.
    pub(super) fn waits_for_approval(self) -> Option<&'a str> {
        (self.stage() == Some(Stage::AwaitingApproval) && self.is_about_the_wanted()).then(|| self.wanted())
    }

    /// `kubectl purser COMMAND NAME -n NAMESPACE`, to be copied.
    pub(super) fn command(self, command: &str, rest: &str) -> String {
        let line = format!("kubectl purser {command} {} -n {}{}", self.name(), self.namespace(), self.flags);
        if rest.is_empty() { line } else { format!("{line} {rest}") }
    }
}
