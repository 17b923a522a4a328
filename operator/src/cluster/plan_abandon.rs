//! When a release is given up, and what is left of it. ★ Pure.
//!
//! The spec is never written, so the version that was given up stays wanted there: what was decided stands in the status, and
//! holds until another version is wanted or a person asks for another try.

use crds::Stage;
use crds::annotations;
use crds::payment_cluster::{AbandonedRelease, ReleaseResult, ReleaseStatus, ShiftStatus, WhyAbandoned};
use jiff::Timestamp;
use kube::ResourceExt;

use super::observed::Observed;
use super::plan_back;
use super::plan_checks;
use super::plan_configure::{self, Occasion};
use super::plan_history;
use super::plan_maintenance;
use super::plan_migration;
use super::plan_replica;
use super::plan_shift;
use super::step::WaitingOn;
use super::validate::Validated;
use crate::replica;
use crate::sla::{Breach, Judgement, Severity};

/// Whether the wanted version was given up, and nothing has changed since.
#[must_use]
pub fn is_abandoned(observed: &Observed, release: &ReleaseStatus) -> bool {
    release.abandoned.as_ref().is_some_and(|abandoned| {
        release.target.as_ref() == Some(&abandoned.version) && abandoned.retry.as_deref() == retry(observed)
    })
}

/// Whether the wanted version was given up, and a person asks for another try.
#[must_use]
pub fn is_retried(observed: &Observed, release: &ReleaseStatus) -> bool {
    let is_target = |abandoned: &AbandonedRelease| release.target.as_ref() == Some(&abandoned.version);
    release.abandoned.as_ref().is_some_and(is_target) && !is_abandoned(observed, release)
}

fn retry(observed: &Observed) -> Option<&str> {
    observed.cluster.annotations().get(annotations::RETRY).map(String::as_str)
}

/// A release that somebody has held has all of its time anew from when it is let go, unless writes are refused for it.
#[must_use]
pub fn resumed(
    cluster: &Validated,
    observed: &Observed,
    stage: Stage,
    release: ReleaseStatus,
    now: Timestamp,
) -> ReleaseStatus {
    let told = observed.cluster.status.as_ref().and_then(|status| status.waiting_on.as_ref());
    let is_let_go = !cluster.is_paused && told == Some(&WaitingOn::Paused.to_string());
    let is_timed = matches!(stage, Stage::Configuring | Stage::Deploying) && !plan_maintenance::is_on(&release);
    match is_let_go && is_timed {
        true => ReleaseStatus { stage_since: Some(plan_history::text(now)), ..release },
        false => release,
    }
}

/// Why a release is to be given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    why: WhyAbandoned,
    message: String,
    at_once: bool,
}

/// Whether the wanted release has to be given up now. `judgement` is the one on the release that has traffic.
#[must_use]
pub fn reason(
    cluster: &Validated,
    observed: &Observed,
    stage: Stage,
    release: &ReleaseStatus,
    judgement: &Judgement,
    now: Timestamp,
) -> Option<Reason> {
    if stage.is_end() && !can_go_back(release, &cluster.release.name) {
        return None;
    }
    by_person(cluster, observed, stage, release)
        .or_else(|| by_sla(stage, release, judgement))
        .or_else(|| by_configuration(cluster, observed, stage, release, now))
        .or_else(|| by_check(cluster, observed, stage, release, now))
        .or_else(|| by_deadline(cluster, observed, stage, release, now))
        .or_else(|| by_migration(cluster, observed, stage, release, now))
}

/// Another version is wanted while writes are refused for this one.
#[must_use]
pub fn superseded() -> Reason {
    Reason { why: WhyAbandoned::Aborted, message: "another version is wanted".to_owned(), at_once: true }
}

/// Whether there is a release to go back to.
fn can_go_back(release: &ReleaseStatus, wanted: &str) -> bool {
    match release.current.as_deref() {
        _ if plan_maintenance::is_past_return(release) => false,
        Some(current) if current == wanted => release.kept.is_some(),
        Some(_) => true,
        None => false,
    }
}

fn by_person(cluster: &Validated, observed: &Observed, stage: Stage, release: &ReleaseStatus) -> Option<Reason> {
    let version = &cluster.release.name;
    let says = |annotation: &str| observed.cluster.annotations().get(annotation) == Some(version);
    if stage == Stage::AwaitingApproval && says(annotations::REJECTED) {
        let message = "somebody refused to approve it".to_owned();
        return Some(Reason { why: WhyAbandoned::Rejected, message, at_once: true });
    }
    // Without another release to go back to, the only one stays.
    (says(annotations::ABANDONED) && can_go_back(release, version)).then(|| {
        let message = format!("somebody gave it up in stage {}", stage.as_str());
        Reason { why: WhyAbandoned::Aborted, message, at_once: false }
    })
}

fn by_sla(stage: Stage, release: &ReleaseStatus, judgement: &Judgement) -> Option<Reason> {
    let has_traffic =
        matches!(stage, Stage::Shifting | Stage::Monitoring | Stage::Testing | Stage::Finished | Stage::Verified);
    let wanted = release.target.as_deref().unwrap_or_default();
    match judgement {
        Judgement::Breached(Breach { figure, message, severity }) if has_traffic && can_go_back(release, wanted) => {
            let at_once = *severity == Severity::Emergency;
            Some(Reason { why: WhyAbandoned::SlaBreached, message: format!("{figure}: {message}"), at_once })
        }
        Judgement::Breached(_) | Judgement::Healthy | Judgement::Inconclusive(_) => None,
    }
}

/// A release that fails a check, while there is another one to go back to.
fn by_check(
    cluster: &Validated,
    observed: &Observed,
    stage: Stage,
    release: &ReleaseStatus,
    now: Timestamp,
) -> Option<Reason> {
    let can_go_back = can_go_back(release, &cluster.release.name);
    let (why, message) = plan_checks::failed(cluster, observed, stage, now).filter(|_| can_go_back)?;
    // What has no traffic has none to give back step by step.
    Some(Reason { why, message, at_once: stage == Stage::CheckingHealth })
}

/// What lists are to be read from is no replica, or what analytics may know cannot be made to flow. Nothing of the release serves yet.
fn by_configuration(
    cluster: &Validated,
    observed: &Observed,
    stage: Stage,
    release: &ReleaseStatus,
    now: Timestamp,
) -> Option<Reason> {
    let is_asked = stage == Stage::Configuring && can_go_back(release, &cluster.release.name);
    if is_asked && plan_replica::is_due(cluster, release) {
        let failure = plan_replica::failure(cluster, observed, release, now)?;
        let message = format!("{} failed: {failure}", replica::WHAT);
        return Some(Reason { why: WhyAbandoned::NotConfigured, message, at_once: true });
    }
    let asked = || plan_configure::plan(cluster, observed, release, Occasion::Release, now);
    let failure = is_asked.then(asked)?.failure?;
    let message = format!("the replication to analytics failed: {failure}");
    Some(Reason { why: WhyAbandoned::NotConfigured, message, at_once: true })
}

fn by_deadline(
    cluster: &Validated,
    observed: &Observed,
    stage: Stage,
    release: &ReleaseStatus,
    now: Timestamp,
) -> Option<Reason> {
    let (why, what) = late(cluster, stage, release)?;
    let serves = release.current.as_ref() == Some(&cluster.release.name);
    // Merchants do not wait for whoever holds it.
    let is_held = cluster.is_paused && !plan_maintenance::is_on(release);
    if serves || is_held || release.current.is_none() {
        return None;
    }
    let deadline = &cluster.spec.rollout.progress_deadline;
    let since = plan_history::parse(release.stage_since.as_deref()?)?;
    let is_late = plan_history::millis_between(since, now) >= cluster.progress_deadline_ms;
    is_late.then(|| {
        let message = format!("{what} within {} (spec.rollout.progressDeadline)", deadline.0);
        let message = match stage {
            Stage::Configuring if !plan_replica::is_due(cluster, release) => {
                let part = plan_configure::plan(cluster, observed, release, Occasion::Release, now);
                format!("{message}: {}", part.verdict.message)
            }
            _ => message,
        };
        Reason { why, message, at_once: true }
    })
}

/// What is not done in time in a stage that has a deadline.
fn late(cluster: &Validated, stage: Stage, release: &ReleaseStatus) -> Option<(WhyAbandoned, &'static str)> {
    match stage {
        Stage::Deploying => Some((WhyAbandoned::NotReady, "its pods were not ready")),
        // Merchants must not wait for ever for a schema that nobody can touch.
        Stage::EnteringMaintenance => Some((WhyAbandoned::NotDrained, "accepted work was not done and backed up")),
        Stage::Configuring if plan_replica::is_due(cluster, release) => {
            Some((WhyAbandoned::NotConfigured, "the read replica was not checked"))
        }
        Stage::Configuring => Some((WhyAbandoned::NotConfigured, "what analytics may know did not flow")),
        Stage::WarmingCache => Some((WhyAbandoned::NotReady, "its cache was not warm")),
        Stage::CheckingHealth => Some((WhyAbandoned::NotReady, "its health check was not over")),
        _ => None,
    }
}

/// A migration that fails while writes are refused is not waited for: the database goes back, and writes are accepted again.
fn by_migration(
    cluster: &Validated,
    observed: &Observed,
    stage: Stage,
    release: &ReleaseStatus,
    now: Timestamp,
) -> Option<Reason> {
    let in_maintenance = stage == Stage::Migrating && plan_maintenance::is_on(release);
    let failure = in_maintenance.then(|| plan_migration::failure(cluster, observed, now)).flatten()?;
    Some(Reason { why: WhyAbandoned::MigrationFailed, message: failure, at_once: true })
}

/// The status of a release that is given up now: where it was, and how its traffic goes back.
#[must_use]
pub fn abandon(
    cluster: &Validated,
    observed: &Observed,
    stage: Stage,
    before: ReleaseStatus,
    reason: &Reason,
    now: Timestamp,
) -> ReleaseStatus {
    let version = &cluster.release.name;
    let Reason { why, message, at_once } = reason;
    let mut release = before;
    let weight = plan_shift::weight(stage, &release);
    // One that had taken over gives its place back to the one that was kept.
    if release.current.as_ref() == Some(version) {
        release.current = release.kept.as_ref().map(|kept| kept.version.clone());
    }
    release.kept = None;
    let to = release.current.as_deref().map(|current| format!("; {current} serves")).unwrap_or_default();
    let message = format!("release {version} was given up ({}): {message}{to}", why.as_str());
    plan_history::record(&mut release, observed, version, ReleaseResult::RolledBack, message.clone(), now);
    release.approval = None;
    release.promotion = None;
    release.abandoned = Some(AbandonedRelease {
        version: version.clone(),
        why: *why,
        message,
        at: plan_history::text(now),
        retry: retry(observed).map(str::to_owned),
    });
    let is_at_once = *at_once || plan_shift::is_at_once(cluster, observed, &release);
    let back = if is_at_once { 0 } else { plan_back::next_back(cluster, observed, &release, weight, now) };
    release.shift = (back > 0).then_some(ShiftStatus { step: 0, weight: back, since: Some(plan_history::text(now)) });
    release
}
