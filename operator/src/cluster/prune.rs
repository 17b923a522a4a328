//! What has to go. ★ Pure.

use runtime_contract::labels;

use super::observe::Observed;
use super::step::Step;
use crate::owned::{Desired, Kind, Live};
use crate::settings;

/// Removes what is ours and not wanted any more. `kept_releases` stay whole, but for the objects of `planned`, the
/// release whose every object is in `wanted`.
#[must_use]
pub fn steps(
    observed: &Observed,
    wanted: &[Desired],
    keep: &[(Kind, String)],
    kept_releases: &[Option<&str>],
    planned: Option<&str>,
) -> Vec<Step> {
    let is_wanted = |live: &Live| {
        wanted.iter().any(|object| object.kind == live.kind && object.name == live.name)
            || keep.iter().any(|(kind, name)| *kind == live.kind && *name == live.name)
    };
    let is_kept = |live: &Live| match (live.kind, live.release.as_deref()) {
        // While a release migrates, the settings of the one before it stay as they are, and on their way.
        (Kind::ConfigMap | Kind::Job, None) => planned.is_none() && live.annotation(settings::REVISION).is_some(),
        // Migration Jobs are kept one by one.
        (Kind::Job, Some(_)) | (_, None) => false,
        (_, Some(release)) => planned != Some(release) && kept_releases.contains(&Some(release)),
    };
    let unwanted = observed.live.iter().filter(|live| !live.is_terminating() && !is_wanted(live) && !is_kept(live));
    unwanted.map(|live| Step::Delete { kind: live.kind, name: live.name.clone(), uid: live.uid.clone() }).collect()
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
