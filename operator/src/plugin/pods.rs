//! The pods of a PaymentCluster, by role and release. ★ Pure.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use runtime_contract::{Role, labels};

use super::subject::Look;
use crate::cluster::diagnosis;
use crate::workloads::rollout;

/// The pods of one role in one release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) role: Role,
    pub(super) release: String,
    pub(super) ready: usize,
    /// `None` when no Deployment says so: what is left is on its way out.
    pub(super) wanted: Option<i32>,
    pub(super) restarts: i32,
    /// What keeps one of them from serving.
    pub(super) trouble: Option<String>,
}

impl Row {
    /// Whether all that are wanted serve.
    pub(super) fn is_complete(&self) -> bool {
        let wanted = self.wanted.and_then(|wanted| usize::try_from(wanted).ok()).unwrap_or(0);
        self.trouble.is_none() && self.ready >= wanted
    }
}

/// By role, the release that serves first.
pub(super) fn rows(look: &Look, now: Timestamp) -> Vec<Row> {
    let current = look.subject().current();
    let mut rows = Vec::new();
    for role in Role::ALL {
        let of_role = |all: &BTreeMap<String, String>| label(all, labels::COMPONENT) == role.as_str();
        let pods: Vec<_> = look.pods.iter().filter(|pod| of_role(pod.labels())).collect();
        let deployments: Vec<_> = look.deployments.iter().filter(|found| of_role(found.labels())).collect();
        let of_pods = pods.iter().map(|pod| label(pod.labels(), labels::RELEASE));
        let of_deployments = deployments.iter().map(|found| label(found.labels(), labels::RELEASE));
        let releases: BTreeSet<_> = of_pods.chain(of_deployments).collect();
        let mut releases: Vec<_> = releases.into_iter().collect();
        releases.sort_by_key(|release| current != Some(release));
        rows.extend(releases.into_iter().map(|release| row(role, release, &pods, &deployments, now)));
    }
    rows
}

fn row(role: Role, release: &str, pods: &[&Pod], deployments: &[&Deployment], now: Timestamp) -> Row {
    let of_release = || pods.iter().copied().filter(|pod| label(pod.labels(), labels::RELEASE) == release);
    let live = || of_release().filter(|pod| pod.metadata.deletion_timestamp.is_none());
    let deployment = deployments.iter().find(|found| label(found.labels(), labels::RELEASE) == release);
    let refused =
        deployment.and_then(|found| rollout::refusal(found)).map(|words| format!("Kubernetes refuses pods: {words}"));
    let of_pods = live().find_map(|pod| diagnosis::of_pod(pod).or_else(|| diagnosis::of_start(pod, now)));
    Row {
        role,
        release: release.to_owned(),
        ready: live().filter(|pod| is_ready(pod)).count(),
        wanted: deployment.and_then(|found| found.spec.as_ref()).map(|spec| spec.replicas.unwrap_or(1)),
        restarts: of_release().map(restarts).sum(),
        trouble: of_pods.map(|trouble| trouble.message).or(refused),
    }
}

/// The first pods of the wanted release that something keeps from serving.
pub(super) fn first_in_trouble(look: &Look, now: Timestamp) -> Option<Row> {
    rows(look, now).into_iter().find(|row| row.trouble.is_some() && row.release == look.subject().wanted())
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

fn restarts(pod: &Pod) -> i32 {
    let containers = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
    containers.map(|container| container.restart_count).sum()
}

fn label<'a>(all: &'a BTreeMap<String, String>, key: &str) -> &'a str {
    all.get(key).map(String::as_str).unwrap_or_default()
}
