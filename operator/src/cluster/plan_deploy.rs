//! A release beside the one that serves: its workloads, its share of the traffic, and what may go. ★ Pure.

use crds::Stage;
use crds::payment_cluster::{ReleaseStatus, Strategy};
use jiff::Timestamp;
use runtime_contract::Role;

use super::configuration::of_serving;
use super::observed::Observed;
use super::plan::{NEXT_LOOK_AT_REST, NEXT_LOOK_MOVING, NEXT_LOOK_WATCHING, Plan, kept, settings_before, stage_before};
use super::plan_archive::ArchivePart;
use super::plan_configure::Occasion;
use super::plan_migration::Migration;
use super::plan_objects::{differences, replicas_of, rollout_of, traffic, whole_gateway};
use super::plan_shift::{self, Course, WaitingOnRole, Weather, is_at_rest, pods_at};
use super::step::Step;
use super::validate::Validated;
use super::{plan_checks, plan_configure, plan_handover, plan_maintenance, plan_settings, prune};
use crate::names::Release;
use crate::owned::Kind;
use crate::sla::Judgement;
use crate::workloads::{self, Traffic};

/// What comes next for a release whose schema is there.
#[must_use]
pub fn plan(
    cluster: &Validated,
    observed: &Observed,
    migration: Migration,
    serving: &Release,
    judgement: Judgement,
    now: Timestamp,
) -> Plan {
    let stage = stage_before(observed);
    let analytics = plan_configure::plan(cluster, observed, &migration.release, Occasion::Beside, now);
    let settings = plan_settings::plan(cluster, observed, settings_before(observed).as_ref(), now);
    let here = at_weight(cluster, observed, stage, &migration.release);
    let unready = unready(&here, observed, settings.status.is_some(), migration.release.current.as_deref());
    let is_ready = unready.is_none() && !cluster.is_paused;
    let checks = plan_checks::plan(cluster, observed, stage, &migration.release, is_ready, now);
    let weather = Weather { unready, judgement: &judgement, checks: &checks, is_paused: cluster.is_paused, now };
    let mut course = plan_shift::course(cluster, observed, stage, migration.release, &weather);
    // The release has all of the traffic: what the schema was changed for is there.
    if matches!(course.stage, Stage::Monitoring | Stage::Testing) || course.stage.is_end() {
        plan_maintenance::end(&mut course.release, now);
    }

    let next = at_weight(cluster, observed, course.stage, &course.release);
    let traffic_to = traffic_to(cluster, observed, &course, serving, unready.is_none());
    // Whoever has the traffic is reached in its own way: with TLS, or without.
    let has_all = traffic_to == Traffic::To(cluster.release.name.clone());
    let reached = of_serving(cluster, observed, if has_all { &cluster.release } else { serving });
    let wanted = [workloads::shared(&reached, &traffic_to), workloads::of_release(&next)].concat();
    let mut steps = differences(&next, observed, &wanted);
    let rolls = steps.iter().any(|step| matches!(step, Step::Apply { object, .. } if object.kind == Kind::Deployment));
    // A changed Secret rolls the pods of the release that serves.
    let stage = if rolls && is_at_rest(course.stage) { Stage::Deploying } else { course.stage };
    steps.extend(scale_before(cluster, observed, &course, serving));
    steps.extend(settings.steps);
    steps.extend(checks.steps);
    steps.extend(analytics.steps);
    course.release.analytics = analytics.status;
    let (keep, kept) = ([migration.keep, settings.keep, checks.keep, analytics.keep].concat(), kept(&course.release));
    let current = course.release.current.as_deref().unwrap_or(&serving.name);
    let kept_releases = [Some(current), Some(cluster.release.name.as_str()), kept.as_deref()];
    steps.extend(prune::steps(observed, &wanted, &keep, &kept_releases, Some(&cluster.release.name), true));
    let is_settled = settings.verdict.is_true() && analytics.is_done;
    let at_rest = is_at_rest(stage) && steps.is_empty() && is_settled;
    Plan {
        stage,
        waiting_on: course.waiting_on,
        steps,
        schema_verdict: migration.verdict,
        release: course.release,
        settings: settings.status,
        settings_verdict: settings.verdict,
        archive: ArchivePart::default(),
        judgement,
        analytics_verdict: analytics.verdict,
        stalled: settings.stalled.or(checks.stalled).or(analytics.stalled),
        next_look: match stage {
            Stage::Shifting | Stage::Monitoring | Stage::Testing => NEXT_LOOK_WATCHING,
            _ if at_rest => NEXT_LOOK_AT_REST,
            _ => NEXT_LOOK_MOVING,
        },
    }
}

/// The spec with as many gateway pods as the release's share of the traffic takes. An autoscaler would undo the share, and begins
/// when all of the traffic is there.
fn at_weight(cluster: &Validated, observed: &Observed, stage: Stage, release: &ReleaseStatus) -> Validated {
    let weight = plan_shift::weight_of_pods(cluster, observed, stage, release);
    let mut at_weight = cluster.clone();
    if weight < 100 {
        at_weight.spec.gateway.replicas = pods_at(weight, whole_gateway(cluster, observed)).0;
        at_weight.spec.gateway.autoscaling = None;
    }
    at_weight
}

/// What the release's workloads still wait for. A release that serves stays where it is when a pod is lost; only one on its way
/// has to be complete before it goes on.
fn unready(
    cluster: &Validated,
    observed: &Observed,
    has_settings: bool,
    current: Option<&str>,
) -> Option<WaitingOnRole> {
    let serves = current == Some(cluster.release.name.as_str());
    let unfinished = Role::ALL.into_iter().find(|role| {
        let name = cluster.identity.deployment(*role, &cluster.release);
        let rollout = rollout_of(observed, &name, cluster.replicas(*role));
        if serves { rollout.in_progress } else { !rollout.complete }
    });
    match unfinished {
        Some(role) => Some(WaitingOnRole::Pods(role)),
        None if !has_settings => Some(WaitingOnRole::Settings),
        None => None,
    }
}

/// Where the gateway's traffic is to go. It stays with the release before until the pods for the step are there.
fn traffic_to(
    cluster: &Validated,
    observed: &Observed,
    course: &Course,
    serving: &Release,
    is_complete: bool,
) -> Traffic {
    let (old, new) = (Traffic::To(serving.name.clone()), Traffic::To(cluster.release.name.clone()));
    let has_all = traffic(observed).as_ref() == Some(&new);
    let weight = plan_shift::weight(course.stage, &course.release);
    let is_canary = cluster.spec.rollout.strategy == Strategy::Canary;
    let is_split = is_canary && weight > 0 && !plan_shift::is_at_once(cluster, observed, &course.release);
    match (course.stage, weight) {
        (Stage::Monitoring | Stage::Testing | Stage::Finished | Stage::Verified, _) => new,
        (Stage::Shifting, 100) if has_all || (is_complete && pods_are_whole(cluster, observed)) => new,
        (Stage::Shifting, _) if is_split => Traffic::Split,
        _ => old,
    }
}

/// Whether the new release has the pods for all of the traffic, and not only for its last step.
fn pods_are_whole(cluster: &Validated, observed: &Observed) -> bool {
    let name = cluster.identity.deployment(Role::Gateway, &cluster.release);
    rollout_of(observed, &name, cluster.replicas(Role::Gateway)).complete
}

/// The gateway pods of the release before, where its share is less than a half; whole again as soon as it stands by, and as long as
/// it has all of the traffic. None goes before those of the new release are there.
fn scale_before(cluster: &Validated, observed: &Observed, course: &Course, serving: &Release) -> Option<Step> {
    if !matches!(course.stage, Stage::Shifting | Stage::Monitoring | Stage::Testing) {
        let is_beside = *serving != cluster.release;
        return is_beside.then(|| plan_handover::scale_up(cluster, observed, serving)).flatten();
    }
    cluster.replicas(Role::Gateway).fixed()?;
    let weight = plan_shift::weight(course.stage, &course.release);
    let deployment = cluster.identity.deployment(Role::Gateway, serving);
    let replicas = pods_at(weight, whole_gateway(cluster, observed)).1;
    let there = replicas_of(observed.find(Kind::Deployment, &deployment)?);
    let is_ready = course.release.shift.as_ref().is_none_or(|shift| shift.since.is_some());
    let may = there < Some(replicas) || (there > Some(replicas) && is_ready);
    may.then_some(Step::Scale { deployment, replicas })
}
