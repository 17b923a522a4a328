//! Whether somebody has agreed to a new release. ★ Pure.

use crds::Stage;
use crds::annotations::APPROVED;
use crds::payment_cluster::{Approval, ApprovalStatus, ReleaseStatus};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use kube::ResourceExt;

use super::observed::Observed;
use super::plan::stage_before;
use super::revision;
use super::step::{Verdict, WaitingOn};
use super::validate::Validated;

/// Where an approval is in the fields that somebody manages: `rollout.approvedVersion`, or the annotation [`APPROVED`].
const FIELDS: [[&str; 3]; 2] =
    [["f:spec", "f:rollout", "f:approvedVersion"], ["f:metadata", "f:annotations", "f:purser.dev/approved-version"]];

/// What stands between a release and its begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gate {
    /// Nothing. The releases, with who agreed.
    Open(Box<ReleaseStatus>),
    /// Nobody has agreed yet.
    Closed(WaitingOn),
}

/// Whether the wanted release may begin. What was agreed to once stays so until another version is wanted, and what has begun
/// is not asked about again.
#[must_use]
pub fn gate(cluster: &Validated, observed: &Observed, before: &ReleaseStatus, now: Timestamp) -> Gate {
    let version = &cluster.release.name;
    let has_begun = !stage_before(observed).is_before_start();
    let serves = before.current.as_ref() == Some(version);
    let needs_none = cluster.spec.rollout.approval == Approval::NotRequired;
    if has_begun || serves || needs_none || before.approval.as_ref().is_some_and(|given| given.version == *version) {
        return Gate::Open(Box::new(before.clone()));
    }
    // Whoever agrees in Git agrees to what stands beside it there, configuration and all.
    let in_git = cluster.spec.rollout.approved_version.as_ref();
    let agrees = [
        in_git.is_some_and(|word| word == version || *word == cluster.spec.version),
        observed.cluster.annotations().get(APPROVED) == Some(version),
    ];
    if let Some((field, _)) = FIELDS.iter().zip(agrees).find(|(_, agrees)| *agrees) {
        let approval = Some(approval(version, field, observed, now));
        return Gate::Open(Box::new(ReleaseStatus { approval, ..before.clone() }));
    }
    Gate::Closed(waiting_on(observed, version))
}

/// Who agreed, as far as Kubernetes knows: whoever manages the field.
fn approval(version: &str, field: &[&str; 3], observed: &Observed, now: Timestamp) -> ApprovalStatus {
    let entry = observed.cluster.managed_fields().iter().find(|entry| holds(entry, field));
    ApprovalStatus {
        version: version.to_owned(),
        by: entry.and_then(|entry| entry.manager.clone()),
        at: entry.and_then(|entry| entry.time.as_ref()).map_or(now, |time| time.0).to_string(),
    }
}

fn holds(entry: &ManagedFieldsEntry, field: &[&str; 3]) -> bool {
    let fields = entry.fields_v1.as_ref().map(|fields| &fields.0);
    field.iter().try_fold(fields, |fields, name| Some(Some(fields?.get(name)?))).flatten().is_some()
}

/// The condition Approved. It is about the wanted version, and never true before it was looked at.
#[must_use]
pub fn verdict(observed: &Observed, stage: Stage, release: &ReleaseStatus) -> Verdict {
    let (spec, wanted) = (&observed.cluster.spec, revision::wanted(observed).name);
    let given = release.approval.as_ref().filter(|given| given.version == wanted);
    match (given, stage) {
        (Some(ApprovalStatus { version, by, at }), _) => {
            let by = by.as_deref().map(|by| format!(" by {by}")).unwrap_or_default();
            Verdict::yes("Approved", format!("release {version} was approved{by} at {at}"))
        }
        (None, _) if spec.rollout.approval == Approval::NotRequired => {
            Verdict::yes("NotRequired", "releases need no approval")
        }
        (None, _) if release.current.as_ref() == Some(&wanted) => {
            Verdict::yes("NothingToApprove", "no release waits for approval")
        }
        (None, _) if stage == Stage::Validating || release.target.as_ref() != Some(&wanted) => {
            Verdict::unknown(Stage::Validating.as_str(), "the release was not looked at yet")
        }
        (None, Stage::AwaitingStaging) => {
            Verdict::unknown(stage.as_str(), "another PaymentCluster has to verify the release before anybody is asked")
        }
        (None, Stage::AwaitingApproval) => Verdict::no("ApprovalRequired", waiting_on(observed, &wanted).to_string()),
        (None, _) => Verdict::yes("NothingToApprove", "the release had begun before approval was required"),
    }
}

fn waiting_on(observed: &Observed, wanted: &str) -> WaitingOn {
    let instead = observed.cluster.spec.rollout.approved_version.clone();
    WaitingOn::Approval { version: wanted.to_owned(), instead }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cluster::fixtures::{self, World};
    use crate::cluster::step::Step;
    use crate::owned::Kind;
    use crate::secrets::SecretState;

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
        let waits = "release 0.2.0 waits for approval: `kubectl purser approve`, or set spec.rollout.approvedVersion to 0.2.0 (it is 0.1.0)";
        assert_eq!(status.waiting_on.as_deref(), Some(waits));
        let statuses = ["Approved", "Ready", "Reconciling"].map(|name| world.condition(name).status);
        assert_eq!(statuses, ["False", "True", "True"]);
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
    fn the_release_that_serves_is_looked_after_while_another_one_waits() {
        let mut world = wanted("0.2.0", None);
        world.run_until(|plan| plan.stage == Stage::AwaitingApproval);
        let gateway = "payments-gateway-0-1-0";
        world.observed.live.retain(|live| live.name != gateway || live.kind != Kind::Deployment);
        assert_eq!(world.condition("GatewayAvailable").reason, "Unavailable");
        world.pass();
        assert!(world.names(Kind::Deployment).contains(&gateway), "what was deleted is made again");
        let template = |world: &mut World| world.live_mut(Kind::Deployment, gateway).body["spec"]["template"].clone();
        let before = template(&mut world);
        world.observed.providers[0].credentials = fixtures::present("2");
        world.pass();
        assert_ne!(template(&mut world), before, "a new credential reaches it");
        assert_eq!(world.names(Kind::Deployment).len(), 4);
    }

    #[test]
    fn nothing_counts_as_approved_that_nobody_has_looked_at() {
        let mut world = wanted("0.2.0", None);
        assert_eq!(world.plan().stage, Stage::Validating);
        assert_eq!(world.condition("Approved").status, "Unknown");
        world.run_until(|plan| plan.stage == Stage::AwaitingApproval);
        world.observed.database_secret = SecretState::Missing;
        assert_eq!(world.condition("Approved").reason, "ApprovalRequired", "while something else is wrong as well");

        let mut world = wanted("0.2.0", None);
        world.observed.database_secret = SecretState::Missing;
        assert_eq!(world.pass().stage, Stage::Finished, "nothing is begun while something is wrong");
        assert_eq!(world.condition("Approved").status, "Unknown");
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
        assert_eq!(world.writes, 0, "nothing is made for it");
    }
}
