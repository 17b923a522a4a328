//! From what is wanted and what is there to the next steps. ★ Pure: the same world gives the same plan.
//!
//! A release goes Validating → (AwaitingApproval →) Migrating → Deploying → Shifting → Finished. Each pass looks at the whole world anew,
//! so an operator that died anywhere is followed by one that goes on there.

use std::time::Duration;

use crds::Stage;
use crds::payment_cluster::{ReleaseStatus, SettingsStatus};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use runtime_contract::{Role, labels};

use super::observed::Observed;
use super::plan_approval::{self, Gate};
use super::plan_migration::{self, Migration};
use super::plan_settings;
use super::prune;
use super::step::{Step, Verdict, WaitingOn};
use super::validate::{Problem, Replicas, Validated};
use crate::names::Release;
use crate::owned::difference::contains;
use crate::owned::{Desired, Kind, Live};
use crate::workloads;
use crate::workloads::rollout::{self, Rollout};

/// How soon to look again while something moves.
const NEXT_LOOK_MOVING: Duration = Duration::from_secs(2);
/// How soon to look again at rest: Secrets are not watched, and pods fall silent without an event.
const NEXT_LOOK_AT_REST: Duration = Duration::from_secs(15);
/// How soon to look again when there is nothing to wait for.
const NEXT_LOOK_AT_ONCE: Duration = Duration::from_millis(50);

/// What to do now, and what to say of it.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where the release is.
    pub stage: Stage,
    /// Why it stands still.
    pub waiting_on: Option<WaitingOn>,
    /// What to write, in order.
    pub steps: Vec<Step>,
    /// The releases.
    pub release: ReleaseStatus,
    /// The live settings in force.
    pub settings: Option<SettingsStatus>,
    /// The condition SchemaReady.
    pub schema_verdict: Verdict,
    /// The condition SettingsApplied.
    pub settings_verdict: Verdict,
    /// What a person has to put right, as a reason and a sentence.
    pub stalled: Option<(String, String)>,
    /// How soon to look again.
    pub next_look: Duration,
}

/// What the next steps are.
#[must_use]
pub fn plan(validated: Result<&Validated, &Problem>, observed: &Observed, now: Timestamp) -> Plan {
    let cluster = match validated {
        Ok(cluster) => cluster,
        Err(problem) => return correction(problem, observed),
    };
    let before = release_before(observed);
    if before.target.as_deref() != Some(&cluster.release.version) {
        return new_target(cluster, observed, before);
    }
    let serving = Release { version: before.current.clone().unwrap_or_else(|| cluster.release.version.clone()) };
    let before = match plan_approval::gate(cluster, observed, &before, now) {
        Gate::Open(release) => release,
        Gate::Closed(waiting_on) => {
            let at_rest = plan_migration::at_rest(cluster, observed, &before, now);
            let migration = Migration { waiting_on: Some(waiting_on), ..at_rest };
            return before_deploying(Stage::AwaitingApproval, cluster, observed, migration, &serving, now);
        }
    };
    let migration = plan_migration::plan(cluster, observed, &before, now);
    if !migration.is_done {
        return before_deploying(Stage::Migrating, cluster, observed, migration, &serving, now);
    }
    deploying(cluster, observed, migration, &serving, now)
}

fn release_before(observed: &Observed) -> ReleaseStatus {
    let told = observed.cluster.status.as_ref().and_then(|status| status.release.clone());
    told.unwrap_or_else(|| ReleaseStatus { current: release_that_serves(observed), ..ReleaseStatus::default() })
}

/// The release that serves as the objects tell it, for a status that was lost, as after a restore from a backup. A
/// release has a Deployment only after its migrations.
fn release_that_serves(observed: &Observed) -> Option<String> {
    let version = traffic_release(observed)?.to_owned();
    let release = Release { version };
    observed.find(Kind::Deployment, &observed.identity.deployment(Role::Gateway, &release))?;
    Some(release.version)
}

fn settings_before(observed: &Observed) -> Option<SettingsStatus> {
    observed.cluster.status.as_ref()?.settings.clone()
}

/// The stage that was told last.
#[must_use]
pub fn stage_before(observed: &Observed) -> Stage {
    observed.cluster.status.as_ref().and_then(|status| status.stage).unwrap_or(Stage::Validating)
}

/// Nothing is changed while the spec or a Secret is wrong: what runs goes on as it is.
fn correction(problem: &Problem, observed: &Observed) -> Plan {
    let release = release_before(observed);
    let settings = settings_before(observed);
    Plan {
        stage: stage_before(observed),
        waiting_on: Some(WaitingOn::Correction(problem.message.clone())),
        steps: Vec::new(),
        schema_verdict: plan_migration::verdict_at_rest(&release),
        settings_verdict: plan_settings::verdict_at_rest(settings.as_ref()),
        release,
        settings,
        stalled: Some((problem.reason.to_owned(), problem.message.clone())),
        next_look: NEXT_LOOK_MOVING,
    }
}

/// A new release is written down before anything is done for it.
fn new_target(cluster: &Validated, observed: &Observed, before: ReleaseStatus) -> Plan {
    let settings = settings_before(observed);
    // Who agreed to this version before it was given up for another one did not agree to it now.
    let release = ReleaseStatus { target: Some(cluster.release.version.clone()), approval: None, ..before };
    Plan {
        stage: Stage::Validating,
        waiting_on: None,
        steps: Vec::new(),
        schema_verdict: plan_migration::verdict_at_rest(&release),
        settings_verdict: plan_settings::verdict_at_rest(settings.as_ref()),
        release,
        settings,
        stalled: None,
        next_look: NEXT_LOOK_AT_ONCE,
    }
}

/// The release that serves is kept as it is, while nothing but the schema changes for the one that is wanted.
fn before_deploying(
    stage: Stage,
    cluster: &Validated,
    observed: &Observed,
    migration: Migration,
    serving: &Release,
    now: Timestamp,
) -> Plan {
    let Migration { steps, mut keep, verdict, waiting_on, stalled, release, is_done: _ } = migration;
    let of_serving = Validated { release: serving.clone(), ..cluster.clone() };
    let serves = release.current.is_some();
    let wanted = match stage {
        // That may take days, in which the release that serves is looked after as at rest.
        Stage::AwaitingApproval if serves => {
            [workloads::shared(&of_serving, serving), workloads::of_release(&of_serving)].concat()
        }
        Stage::AwaitingApproval => Vec::new(),
        _ => workloads::shared(cluster, serving),
    };
    let mut all = differences(&of_serving, observed, &wanted);
    all.extend(steps);
    let before = settings_before(observed);
    let mut settings_verdict = plan_settings::verdict_at_rest(before.as_ref());
    let mut settings = before;
    // However long a migration takes or fails, a provider of the release that serves can be switched off.
    if serves {
        let part = plan_settings::plan(&of_serving, observed, settings.as_ref(), now);
        all.extend(part.steps);
        keep.extend(part.keep);
        settings_verdict = part.verdict;
        settings = part.status;
    }
    let kept_releases = [Some(serving.version.as_str()), Some(cluster.release.version.as_str())];
    all.extend(prune::steps(observed, &wanted, &keep, &kept_releases, None, serves));
    Plan {
        stage,
        waiting_on,
        steps: all,
        release,
        schema_verdict: verdict,
        settings_verdict,
        settings,
        stalled,
        next_look: NEXT_LOOK_MOVING,
    }
}

fn deploying(
    cluster: &Validated,
    observed: &Observed,
    migration: Migration,
    serving: &Release,
    now: Timestamp,
) -> Plan {
    let mut release = migration.release;
    let settings = plan_settings::plan(cluster, observed, settings_before(observed).as_ref(), now);
    let progress = progress(cluster, observed, settings.status.is_some(), release.current.as_deref());
    // The traffic is with the release that serves until every pod of the new one is ready.
    let traffic_to = if progress.is_ready { &cluster.release } else { serving };
    let wanted = [workloads::shared(cluster, traffic_to), workloads::of_release(cluster)].concat();
    let mut steps = differences(cluster, observed, &wanted);
    let has_shifted = traffic_release(observed) == Some(&cluster.release.version);
    let rolls = steps.iter().any(|step| matches!(step, Step::Apply { object, .. } if object.kind == Kind::Deployment));

    let (stage, waiting_on) = match progress.waiting_on {
        Some(waiting_on) => (Stage::Deploying, Some(waiting_on)),
        None if rolls => (Stage::Deploying, None),
        None if !progress.serves && !has_shifted => (Stage::Shifting, Some(WaitingOn::Traffic)),
        None => (Stage::Finished, None),
    };
    if stage == Stage::Finished {
        release.current = Some(cluster.release.version.clone());
    }
    let current = release.current.as_deref();
    let kept_releases = [current.or(Some(&serving.version)), Some(cluster.release.version.as_str())];
    let keep = [migration.keep, settings.keep].concat();
    steps.extend(settings.steps);
    steps.extend(prune::steps(observed, &wanted, &keep, &kept_releases, Some(&cluster.release.version), true));
    let at_rest = stage == Stage::Finished && steps.is_empty() && settings.verdict.is_true();
    Plan {
        stage,
        waiting_on,
        steps,
        release,
        settings: settings.status,
        schema_verdict: migration.verdict,
        settings_verdict: settings.verdict,
        stalled: settings.stalled,
        next_look: if at_rest { NEXT_LOOK_AT_REST } else { NEXT_LOOK_MOVING },
    }
}

struct Progress {
    /// Whether it has the traffic.
    serves: bool,
    /// Whether the release can take the traffic, or has it.
    is_ready: bool,
    waiting_on: Option<WaitingOn>,
}

/// How far the release's workloads have come. A release that serves stays where it is when a pod is lost; only one on
/// its way has to be complete before it goes on.
fn progress(cluster: &Validated, observed: &Observed, has_settings: bool, current: Option<&str>) -> Progress {
    let serves = current == Some(cluster.release.version.as_str());
    let unfinished = Role::ALL.into_iter().find(|role| {
        let rollout =
            rollout_of(observed, &cluster.identity.deployment(*role, &cluster.release), cluster.replicas(*role));
        if serves { rollout.in_progress } else { !rollout.complete }
    });
    let waiting_on = match unfinished {
        Some(role) => Some(WaitingOn::Workload(role)),
        None if !has_settings => Some(WaitingOn::Settings),
        None => None,
    };
    Progress { serves, is_ready: serves || waiting_on.is_none(), waiting_on }
}

/// A Deployment in figures; nothing at all when it is not there.
#[must_use]
pub fn rollout_of(observed: &Observed, name: &str, replicas: Replicas) -> Rollout {
    let deployment = observed
        .find(Kind::Deployment, name)
        .and_then(|live| serde_json::from_value::<Deployment>(live.body.clone()).ok());
    match deployment {
        Some(deployment) => rollout::of(&deployment, replicas.least()),
        None => Rollout { wanted: replicas.least(), in_progress: true, ..Rollout::default() },
    }
}

/// The release that the gateway's Service sends traffic to.
fn traffic_release(observed: &Observed) -> Option<&str> {
    let service = observed.find(Kind::Service, &observed.identity.gateway_service())?;
    service.body.pointer("/spec/selector")?.get(labels::RELEASE)?.as_str()
}

/// What has to be applied so that the objects are as they are wanted.
fn differences(cluster: &Validated, observed: &Observed, wanted: &[Desired]) -> Vec<Step> {
    let mut steps = Vec::new();
    for object in wanted {
        let live = observed.find(object.kind, &object.name);
        let scale = autoscaled(cluster, object).map(|least| {
            let replicas = live.map_or_else(|| gateway_pods(observed), replicas_of).unwrap_or(least).max(least);
            Step::Scale { deployment: object.name.clone(), replicas }
        });
        match live {
            Some(live) if live.is_terminating() => {}
            Some(live) => {
                // The number of pods is handed over before it is let go, or Kubernetes would fall back to one.
                steps.extend(scale.filter(|_| prune::owns_replicas(live)));
                if !contains(&live.body, &object.body) {
                    steps.push(Step::Apply { object: Box::new(object.clone()), is_new: false });
                }
            }
            None => {
                steps.push(Step::Apply { object: Box::new(object.clone()), is_new: true });
                steps.extend(scale);
            }
        }
    }
    steps
}

/// How many gateway pods serve by now: a new release takes over what the autoscaler has found to be needed.
fn gateway_pods(observed: &Observed) -> Option<i32> {
    let gateways = observed.live.iter().filter(|live| {
        live.kind == Kind::Deployment && plan_migration::component(live) == Some(Role::Gateway.as_str())
    });
    gateways.filter_map(replicas_of).max()
}

fn replicas_of(deployment: &Live) -> Option<i32> {
    deployment.body.pointer("/spec/replicas")?.as_i64().and_then(|replicas| i32::try_from(replicas).ok())
}

/// The fewest pods of a Deployment whose number the autoscaler owns.
fn autoscaled(cluster: &Validated, object: &Desired) -> Option<i32> {
    let gateway = cluster.identity.deployment(Role::Gateway, &cluster.release);
    match cluster.replicas(Role::Gateway) {
        Replicas::Scaled(least) if object.kind == Kind::Deployment && object.name == gateway => Some(least),
        Replicas::Scaled(_) | Replicas::Fixed(_) => None,
    }
}

#[cfg(test)]
#[path = "plan_meanwhile_tests.rs"]
mod meanwhile_tests;
#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
