//! Whether somebody has agreed to a new release. ★ Pure.

use crds::Stage;
use crds::payment_cluster::{Approval, ApprovalStatus, ReleaseStatus};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{FieldsV1, ManagedFieldsEntry};
use kube::ResourceExt;
use serde_json::json;

use super::observed::Observed;
use super::plan::stage_before;
use super::step::{Verdict, WaitingOn};
use super::validate::Validated;

/// Where `rollout.approvedVersion` is in the fields that somebody manages.
const FIELD: [&str; 3] = ["f:spec", "f:rollout", "f:approvedVersion"];

/// What stands between a release and its begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gate {
    /// Nothing. The releases, with who agreed.
    Open(ReleaseStatus),
    /// Nobody has agreed yet.
    Closed(WaitingOn),
}

/// Whether the wanted release may begin. What was agreed to once stays so until another version is wanted, and what has begun
/// is not asked about again.
#[must_use]
pub fn gate(cluster: &Validated, observed: &Observed, before: &ReleaseStatus, now: Timestamp) -> Gate {
    let version = &cluster.release.version;
    let has_begun = !matches!(stage_before(observed), Stage::Validating | Stage::AwaitingApproval);
    let serves = before.current.as_ref() == Some(version);
    let needs_none = cluster.spec.rollout.approval == Approval::NotRequired;
    if has_begun || serves || needs_none || before.approval.as_ref().is_some_and(|given| given.version == *version) {
        return Gate::Open(before.clone());
    }
    let approved = cluster.spec.rollout.approved_version.as_ref();
    if approved == Some(version) {
        let approval = Some(approval(version, observed, now));
        return Gate::Open(ReleaseStatus { approval, ..before.clone() });
    }
    Gate::Closed(WaitingOn::Approval { version: version.clone(), instead: approved.cloned() })
}

/// Who agreed, as far as Kubernetes knows: whoever manages the field.
fn approval(version: &str, observed: &Observed, now: Timestamp) -> ApprovalStatus {
    let entry = observed.cluster.managed_fields().iter().find(|entry| holds_approval(entry));
    ApprovalStatus {
        version: version.to_owned(),
        by: entry.and_then(|entry| entry.manager.clone()),
        at: entry.and_then(|entry| entry.time.as_ref()).map_or(now, |time| time.0).to_string(),
    }
}

fn holds_approval(entry: &ManagedFieldsEntry) -> bool {
    let fields = entry.fields_v1.as_ref().map(|fields| &fields.0);
    FIELD.iter().try_fold(fields, |fields, name| Some(Some(fields?.get(name)?))).flatten().is_some()
}

/// Whether an entry tells who approved a release. Of such a one nothing else is kept.
pub fn keep_approval(entry: &mut ManagedFieldsEntry) -> bool {
    let holds = holds_approval(entry);
    if holds {
        let [spec, rollout, approved] = FIELD;
        entry.fields_v1 = Some(FieldsV1(json!({ spec: { rollout: { approved: {} } } })));
    }
    holds
}

/// The condition Approved.
#[must_use]
pub fn verdict(observed: &Observed, waiting_on: Option<&WaitingOn>, release: &ReleaseStatus) -> Verdict {
    if let Some(waiting @ WaitingOn::Approval { .. }) = waiting_on {
        return Verdict::no("ApprovalRequired", waiting.to_string());
    }
    match &release.approval {
        Some(ApprovalStatus { version, by, at }) => {
            let by = by.as_deref().map(|by| format!(" by {by}")).unwrap_or_default();
            Verdict::yes("Approved", format!("release {version} was approved{by} at {at}"))
        }
        None if observed.cluster.spec.rollout.approval == Approval::NotRequired => {
            Verdict::yes("NotRequired", "releases need no approval")
        }
        None => Verdict::yes("NothingToApprove", "no release waits for approval"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::fixtures::{self, World};
    use crate::cluster::step::Step;
    use crate::owned::Kind;

    /// A platform at rest of which a new version is wanted, with approval.
    fn wanted(version: &str, approved: Option<&str>) -> World {
        let mut world = World::finished();
        want(&mut world, version, approved);
        world
    }

    fn want(world: &mut World, version: &str, approved: Option<&str>) {
        let status = world.observed.cluster.status.take();
        world.observed.cluster = fixtures::cluster(|spec| {
            spec["version"] = json!(version);
            spec["rollout"] = json!({ "approval": "Required", "approvedVersion": approved });
        });
        world.observed.cluster.status = status;
    }

    #[test]
    fn nothing_is_changed_for_a_release_before_somebody_agrees() {
        let mut world = wanted("0.2.0", Some("0.1.0"));
        // The Job of the release before is removed, as for every new release.
        let plans = world.run_until(|plan| plan.stage == Stage::AwaitingApproval);
        assert!(plans.iter().flat_map(|plan| &plan.steps).all(|step| matches!(step, Step::Delete { .. })));
        for _ in 0..20 {
            let plan = world.pass();
            assert_eq!((plan.stage, plan.steps.len()), (Stage::AwaitingApproval, 0));
        }
        let status = world.observed.cluster.status.clone().unwrap();
        let waits = "release 0.2.0 waits for approval: set spec.rollout.approvedVersion to 0.2.0 (it is 0.1.0)";
        assert_eq!(status.waiting_on.as_deref(), Some(waits));
        let condition = |name: &str| status.conditions.iter().find(|found| found.type_ == name).unwrap();
        assert_eq!((condition("Approved").status.as_str(), condition("Ready").status.as_str()), ("False", "True"));
        assert_eq!(condition("Reconciling").reason, "AwaitingApproval");
    }

    #[test]
    fn an_approved_release_goes_forward_and_who_agreed_is_kept() {
        let mut world = wanted("0.2.0", Some("0.2.0"));
        let managed = json!([{
            "manager": "argocd-controller", "operation": "Apply", "time": "2026-11-24T12:00:00Z",
            "fieldsV1": { "f:spec": { "f:rollout": { "f:approvedVersion": {} } } },
        }]);
        world.observed.cluster.metadata.managed_fields = serde_json::from_value(managed).unwrap();
        let plans = world.run_until(|plan| plan.stage == Stage::Finished && plan.steps.is_empty());
        assert!(plans.iter().all(|plan| plan.stage != Stage::AwaitingApproval));
        let release = world.observed.cluster.status.clone().unwrap().release.unwrap();
        let approval = release.approval.unwrap();
        assert_eq!(release.current.as_deref(), Some("0.2.0"));
        assert_eq!((approval.version.as_str(), approval.by.as_deref()), ("0.2.0", Some("argocd-controller")));
        assert_eq!(approval.at, "2026-11-24T12:00:00Z");
    }

    #[test]
    fn a_provider_can_be_switched_off_while_a_release_waits() {
        let mut world = wanted("0.2.0", None);
        world.run_until(|plan| plan.stage == Stage::AwaitingApproval);
        world.observed.providers[0].provider.spec.active = false;
        let plans = world.run_until(|plan| plan.settings.as_ref().is_some_and(|settings| settings.revision == 2));
        assert!(plans.iter().all(|plan| plan.stage == Stage::AwaitingApproval));
        assert!(!world.names(Kind::Job).iter().any(|name| name.contains("0-2-0")));
    }

    #[test]
    fn an_approval_is_for_one_version_and_is_not_asked_for_again() {
        let mut world = wanted("0.2.0", Some("0.2.0"));
        world.run_until(|plan| plan.stage == Stage::Migrating);
        want(&mut world, "0.2.0", None);
        assert_eq!(world.pass().stage, Stage::Migrating, "what has begun goes on");
        want(&mut world, "0.3.0", Some("0.2.0"));
        world.pass();
        assert_eq!(world.pass().stage, Stage::AwaitingApproval);
        want(&mut world, "0.2.0", None);
        world.pass();
        assert_eq!(world.pass().stage, Stage::AwaitingApproval, "it was given up meanwhile");
        want(&mut world, "0.1.0", None);
        world.pass();
        assert_ne!(world.pass().stage, Stage::AwaitingApproval, "what serves needs nobody's word");
    }

    #[test]
    fn the_first_release_waits_as_well() {
        let cluster = fixtures::cluster(|spec| spec["rollout"] = json!({ "approval": "Required" }));
        let mut world = World::new(fixtures::observed(|observed| observed.cluster = cluster));
        world.run_until(|plan| plan.stage == Stage::AwaitingApproval);
        for _ in 0..5 {
            world.pass();
        }
        assert_eq!((world.names(Kind::Job).len(), world.names(Kind::Deployment).len()), (0, 0));
    }
}
