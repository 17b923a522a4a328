//! How the traffic comes to a new release: at once or step by step, watched, until it serves. ★ Pure.

use crds::Stage;
use crds::payment_cluster::{
    KeptRelease, OnInconclusive, ReleaseResult, ReleaseStatus, ShiftStatus, Strategy, VerifiedRelease,
};
use jiff::{SignedDuration, Timestamp};
use runtime_contract::Role;

use super::configuration::is_reached_like;
use super::observed::Observed;
use super::plan_checks::{Checks, is_staging};
use super::plan_history::{self, has_passed, text};
use super::plan_maintenance;
use super::plan_objects::traffic;
use super::step::WaitingOn;
use super::validate::Validated;
use crate::sla::Judgement;
use crate::workloads::Traffic;

/// All of the traffic.
const WHOLE: i32 = 100;
/// Between two steps back.
pub const STEP_BACK_MS: u64 = 1_000;

/// Where a release is on its way, and what it waits for.
#[derive(Clone, Debug)]
pub struct Course {
    /// The stage.
    pub stage: Stage,
    /// Why it stands still.
    pub waiting_on: Option<WaitingOn>,
    /// The releases.
    pub release: ReleaseStatus,
}

/// What a course is set by.
#[derive(Clone, Copy, Debug)]
pub struct Weather<'a> {
    /// What the release's workloads still wait for.
    pub unready: Option<WaitingOnRole>,
    /// What is thought of it.
    pub judgement: &'a Judgement,
    /// What it still has to show.
    pub checks: &'a Checks,
    /// Whether a person holds it.
    pub is_paused: bool,
    /// The time.
    pub now: Timestamp,
}

/// What the workloads of a release wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitingOnRole {
    /// The pods of a role.
    Pods(Role),
    /// The first live settings.
    Settings,
}

impl From<WaitingOnRole> for WaitingOn {
    fn from(waiting: WaitingOnRole) -> Self {
        match waiting {
            WaitingOnRole::Pods(role) => Self::Workload(role),
            WaitingOnRole::Settings => Self::Settings,
        }
    }
}

/// Percentage of the traffic that the wanted release is to have.
#[must_use]
pub fn weight(stage: Stage, release: &ReleaseStatus) -> i32 {
    match (stage, &release.shift) {
        (Stage::Monitoring | Stage::Testing | Stage::Finished | Stage::Verified, _) => WHOLE,
        (Stage::Shifting | Stage::RollingBack, Some(shift)) => shift.weight,
        _ => 0,
    }
}

/// The next lower weight on the way back.
#[must_use]
pub fn step_back(cluster: &Validated, weight: i32) -> i32 {
    steps(cluster).map(|(weight, _)| weight).filter(|step| *step < weight).max().unwrap_or(0)
}

/// Weight and length of the steps before all traffic is moved.
fn steps(cluster: &Validated) -> impl Iterator<Item = (i32, u64)> {
    let rollout = &cluster.spec.rollout;
    let is_canary = rollout.strategy == Strategy::Canary;
    let steps = rollout.steps.iter().filter(move |_| is_canary);
    steps.map(|step| (step.weight, step.duration.as_millis().unwrap_or(u64::MAX)))
}

/// A step by its number, from 1. After the last one comes all of the traffic.
fn step(cluster: &Validated, number: i32) -> (i32, u64) {
    let index = usize::try_from(number.saturating_sub(1)).unwrap_or(0);
    steps(cluster).nth(index).unwrap_or((WHOLE, 0))
}

/// Whether the release gets all of its traffic in one step, and gives it back in one, whatever the strategy: no two releases work
/// on a schema that writes had to be refused for, and merchants could not reach one that speaks TLS and one that does not at the
/// port of one Service.
#[must_use]
pub fn is_at_once(cluster: &Validated, observed: &Observed, release: &ReleaseStatus) -> bool {
    plan_maintenance::is_on(release) || !is_reached_like_current(cluster, observed, release)
}

fn is_reached_like_current(cluster: &Validated, observed: &Observed, release: &ReleaseStatus) -> bool {
    release.current.as_deref().is_none_or(|current| is_reached_like(cluster, observed, current))
}

/// Gateway pods of the new release and of the one before, out of `whole` that take all of the traffic: there are never fewer than
/// these, and each release has at least one.
#[must_use]
pub fn pods_at(weight: i32, whole: i32) -> (i32, i32) {
    let share = |part: i32, rest: i32| (whole * part + rest / 2).checked_div(rest).unwrap_or(whole).clamp(1, whole);
    match weight {
        ..=0 | WHOLE.. => (whole, whole),
        1..=50 => (share(weight, WHOLE - weight), whole),
        _ => (whole, share(WHOLE - weight, weight)),
    }
}

/// The weight for which the pods of the new release are made: those of the first step while it starts.
#[must_use]
pub fn weight_of_pods(cluster: &Validated, observed: &Observed, stage: Stage, release: &ReleaseStatus) -> i32 {
    match (stage, &release.shift) {
        (Stage::Shifting, Some(shift)) => shift.weight,
        (Stage::Monitoring | Stage::Testing | Stage::Finished | Stage::Verified, _) => WHOLE,
        _ if is_at_once(cluster, observed, release) => WHOLE,
        _ if release.current.is_none() || release.current == release.target => WHOLE,
        _ => step(cluster, 1).0,
    }
}

/// Where a release goes from where it is, once its schema is there.
#[must_use]
pub fn course(
    cluster: &Validated,
    observed: &Observed,
    stage: Stage,
    release: ReleaseStatus,
    weather: &Weather<'_>,
) -> Course {
    let version = &cluster.release.name;
    let unready = weather.unready.map(WaitingOn::from);
    if release.current.as_ref() == Some(version) {
        return serving(release, unready, weather.now);
    }
    let stay = |waiting_on: WaitingOn, release| Course { stage, waiting_on: Some(waiting_on), release };
    match (stage, unready) {
        (Stage::Shifting, _) => shifting(cluster, observed, release, weather),
        (Stage::Monitoring | Stage::Testing, _) if weather.is_paused => stay(WaitingOn::Paused, release),
        (Stage::Monitoring, _) => monitoring(cluster, observed, release, weather),
        (Stage::Testing, _) => match &weather.checks.open {
            Some((stage, waiting_on)) => Course { stage: *stage, waiting_on: Some(waiting_on.clone()), release },
            None => finished(cluster, observed, release, weather.now),
        },
        // Also while its pods are not ready: who holds it is told, so that its time begins anew once it is let go.
        _ if weather.is_paused && release.current.is_some() => {
            Course { stage: Stage::Deploying, waiting_on: Some(WaitingOn::Paused), release }
        }
        (_, Some(unready)) => Course { stage: Stage::Deploying, waiting_on: Some(unready), release },
        // Nobody could be asked to take the payments of the first release, so nothing is gained by watching it.
        (_, None) if release.current.is_none() && !is_staging(cluster) => {
            finished(cluster, observed, release, weather.now)
        }
        (_, None) if release.current.is_none() => to_tests(release),
        (_, None) if let Some((stage, waiting_on)) = &weather.checks.open => {
            Course { stage: *stage, waiting_on: Some(waiting_on.clone()), release }
        }
        (_, None) => to_step(cluster, observed, release, 1),
    }
}

/// The release serves; the one before it goes when its time is over.
fn serving(mut release: ReleaseStatus, unready: Option<WaitingOn>, now: Timestamp) -> Course {
    if release.kept.as_ref().is_some_and(|kept| has_passed(kept.until.as_ref(), 0, now)) {
        release.kept = None;
    }
    match unready {
        Some(waiting_on) => Course { stage: Stage::Deploying, waiting_on: Some(waiting_on), release },
        None => Course { stage: rest_of(&release), waiting_on: None, release },
    }
}

/// The stage of a release that serves.
fn rest_of(release: &ReleaseStatus) -> Stage {
    let is_verified =
        release.verified.as_ref().is_some_and(|verified| release.current.as_ref() == Some(&verified.version));
    if is_verified { Stage::Verified } else { Stage::Finished }
}

/// Whether a release serves, and nothing of it is on its way.
#[must_use]
pub const fn is_at_rest(stage: Stage) -> bool {
    matches!(stage, Stage::Finished | Stage::Verified)
}

/// A release in staging is not watched: payments are made for it.
fn to_tests(release: ReleaseStatus) -> Course {
    Course { stage: Stage::Testing, waiting_on: Some(WaitingOn::Check("the smoke test begins".into())), release }
}

fn to_step(cluster: &Validated, observed: &Observed, mut release: ReleaseStatus, number: i32) -> Course {
    let (weight, _) = if is_at_once(cluster, observed, &release) { (WHOLE, 0) } else { step(cluster, number) };
    release.shift = Some(ShiftStatus { step: number, weight, since: None });
    Course { stage: Stage::Shifting, waiting_on: Some(moving(cluster, observed, &release)), release }
}

/// Why the steps of a canary are passed over is told where they are looked for.
fn moving(cluster: &Validated, observed: &Observed, release: &ReleaseStatus) -> WaitingOn {
    let has_steps = steps(cluster).next().is_some();
    match has_steps && !is_reached_like_current(cluster, observed, release) {
        true => WaitingOn::TrafficAtOnce,
        false => WaitingOn::Traffic,
    }
}

fn shifting(cluster: &Validated, observed: &Observed, release: ReleaseStatus, weather: &Weather<'_>) -> Course {
    let Some(shift) = release.shift.clone() else { return to_step(cluster, observed, release, 1) };
    let stay = |waiting_on, release| Course { stage: Stage::Shifting, waiting_on: Some(waiting_on), release };
    let (_, millis) = step(cluster, shift.step);
    if shift.weight >= WHOLE {
        let has_all = traffic(observed) == Some(Traffic::To(cluster.release.name.clone()));
        return if has_all {
            let release = ReleaseStatus { shift: None, ..release };
            if is_staging(cluster) {
                return to_tests(release);
            }
            let waiting_on = Some(watching(cluster));
            Course { stage: Stage::Monitoring, waiting_on, release }
        } else {
            let waiting_on = weather.unready.map(WaitingOn::from);
            stay(waiting_on.unwrap_or_else(|| moving(cluster, observed, &release)), release)
        };
    }
    if shift.since.is_none() {
        let Some(unready) = weather.unready else {
            let shift = ShiftStatus { since: Some(text(weather.now)), ..shift };
            let waiting_on = on_step(cluster, &shift);
            return stay(waiting_on, ReleaseStatus { shift: Some(shift), ..release });
        };
        return stay(unready.into(), release);
    }
    if weather.is_paused {
        return stay(WaitingOn::Paused, release);
    }
    match has_passed(shift.since.as_ref(), millis, weather.now) {
        true if may_go_on(cluster, weather.judgement) => to_step(cluster, observed, release, shift.step + 1),
        true => stay(WaitingOn::Judgement, release),
        false => stay(on_step(cluster, &shift), release),
    }
}

fn on_step(cluster: &Validated, shift: &ShiftStatus) -> WaitingOn {
    let index = usize::try_from(shift.step.saturating_sub(1)).unwrap_or(0);
    let rollout = &cluster.spec.rollout;
    let lasts = rollout.steps.get(index).map(|step| step.duration.0.clone()).unwrap_or_default();
    WaitingOn::Step { number: shift.step, of: rollout.steps.len(), weight: shift.weight, lasts }
}

fn watching(cluster: &Validated) -> WaitingOn {
    WaitingOn::Watch { lasts: cluster.spec.sla.window.0.clone() }
}

fn may_go_on(cluster: &Validated, judgement: &Judgement) -> bool {
    match judgement {
        Judgement::Healthy => true,
        Judgement::Inconclusive(_) => cluster.spec.sla.on_inconclusive == OnInconclusive::Proceed,
        Judgement::Breached(_) => false,
    }
}

fn monitoring(cluster: &Validated, observed: &Observed, release: ReleaseStatus, weather: &Weather<'_>) -> Course {
    let millis = u64::from(cluster.sla.window_s) * 1_000;
    let is_over = has_passed(release.stage_since.as_ref(), millis, weather.now);
    let waiting_on = match (is_over, may_go_on(cluster, weather.judgement)) {
        (true, true) => return finished(cluster, observed, release, weather.now),
        (true, false) => WaitingOn::Judgement,
        (false, _) => watching(cluster),
    };
    Course { stage: Stage::Monitoring, waiting_on: Some(waiting_on), release }
}

/// The release takes over for good. The one before it is kept for a while.
fn finished(cluster: &Validated, observed: &Observed, mut release: ReleaseStatus, now: Timestamp) -> Course {
    let version = &cluster.release.name;
    let (result, tested) = match is_staging(cluster) {
        true => (ReleaseResult::Verified, " and passed its tests"),
        false => (ReleaseResult::Succeeded, ""),
    };
    let message = match &release.current {
        Some(before) => format!("release {version} has taken over from {before}{tested}"),
        None => format!("release {version} serves{tested}"),
    };
    plan_history::record(&mut release, observed, version, result, message, now);
    if result == ReleaseResult::Verified {
        release.verified = Some(VerifiedRelease { version: version.clone(), at: text(now) });
    }
    let keep = i64::try_from(cluster.retire_after_ms).unwrap_or(i64::MAX);
    let until = now.checked_add(SignedDuration::from_millis(keep)).unwrap_or(Timestamp::MAX);
    let before = release.current.take().filter(|_| !plan_maintenance::is_past_return(&release));
    release.kept = before.map(|version| KeptRelease { version, until: Some(text(until)) });
    release.current = Some(version.clone());
    release.shift = None;
    Course { stage: rest_of(&release), waiting_on: None, release }
}
