//! What has to go. ★ Pure.

use kube::ResourceExt;
use runtime_contract::{Role, labels};

use super::observed::Observed;
use super::plan_archive;
use super::plan_migration::component;
use super::record;
use super::step::Step;
use crate::owned::{Desired, Kind, Live};
use crate::settings;
use crate::workloads::config_map;

/// Removes what is ours and not wanted any more. `kept_releases` stay whole, but for the objects of `planned`, the
/// release whose every object is in `wanted`. Settings stay where nobody planned them.
#[must_use]
pub fn steps(
    observed: &Observed,
    wanted: &[Desired],
    keep: &[(Kind, String)],
    kept_releases: &[Option<&str>],
    planned: Option<&str>,
    are_settings_planned: bool,
) -> Vec<Step> {
    let is_wanted = |live: &Live| {
        wanted.iter().any(|object| object.kind == live.kind && object.name == live.name)
            || keep.iter().any(|(kind, name)| *kind == live.kind && *name == live.name)
    };
    let is_kept = |live: &Live| match (live.kind, live.release.as_deref()) {
        _ if record::is_record(live) || plan_archive::is_one(live) => true,
        (Kind::ConfigMap | Kind::Job, None) => !are_settings_planned && live.annotation(settings::REVISION).is_some(),
        // Migration Jobs are kept one by one.
        (Kind::Job, Some(_)) | (_, None) => false,
        (_, Some(release)) if planned == Some(release) => false,
        (_, Some(release)) => kept_releases.contains(&Some(release)) || is_asked(observed, live, release),
    };
    let unwanted = observed.live.iter().filter(|live| !live.is_terminating() && !is_wanted(live) && !is_kept(live));
    unwanted.map(|live| Step::Delete { kind: live.kind, name: live.name.clone(), uid: live.uid.clone() }).collect()
}

/// Whether a processor of the release may still ask its fraud check, which a payment must not miss because of an
/// upgrade.
fn is_asked(observed: &Observed, live: &Live, release: &str) -> bool {
    let is_fraud_check =
        component(live).is_some_and(|component| [Role::Fraud.as_str(), config_map::COMPONENT].contains(&component));
    is_fraud_check
        && observed.pods_with(labels::RELEASE, release).any(|pod| {
            let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
            pod.labels().get(labels::COMPONENT).is_some_and(|found| found == Role::Processor.as_str())
                && phase == Some("Running")
        })
}

/// Whether the operator itself holds the number of pods of a Deployment.
#[must_use]
pub fn owns_replicas(deployment: &Live) -> bool {
    let managers = deployment.body.pointer("/metadata/managedFields").and_then(serde_json::Value::as_array);
    managers.into_iter().flatten().any(|entry| {
        entry["manager"] == labels::MANAGED_BY_PURSER
            && entry["operation"] == "Apply"
            && entry.pointer("/fieldsV1/f:spec/f:replicas").is_some()
    })
}
