//! The replica that lists are read from: its part of a plan. ★ Pure.
//!
//! A release looks at it once, before its pods start: what is no replica of the database ends the release, and one that is merely late
//! or away does not, for the pods judge for themselves, all the time, whether to read from it. What they say is the condition.

use crds::payment_cluster::{ReleaseStatus, ReplicaStatus};
use crds::{SecretKey, Stage};
use jiff::Timestamp;
use runtime_contract::health::names;
use runtime_contract::{JobReport, Outcome, Reason};

use super::configuration;
use super::observed::Observed;
use super::plan::Plan;
use super::plan_history::text;
use super::plan_job::{self, JobPart, Standing, Task};
use super::plan_migration::Migration;
use super::step::Verdict;
use super::validate::Validated;
use crate::jobs::{Progress, attempt};
use crate::names::Release;
use crate::replica::{self, COMPONENT, WHAT};
use crate::secrets;

/// Whether a release that is on its way has to wait for it.
#[must_use]
pub fn is_due(cluster: &Validated, before: &ReleaseStatus) -> bool {
    let is_checked = before.preparation.as_ref().is_some_and(|done| done.replica.is_some());
    let is_on_its_way = before.current.as_ref() != Some(&cluster.release.name);
    cluster.spec.database.read_url_secret_ref.is_some() && is_on_its_way && !is_checked
}

/// What comes next for it, on top of a migration that is done.
#[must_use]
pub fn plan(cluster: &Validated, observed: &Observed, mut part: Migration, now: Timestamp) -> Migration {
    let ran = run(cluster, observed, &part.release, now);
    part.is_done = false;
    part.waiting_on = Some(ran.waiting_on(WHAT));
    part.stalled = ran.stalled(WHAT);
    if let Standing::Done(report) = &ran.standing {
        part.release.preparation.get_or_insert_default().replica = Some(found(report, now));
    }
    part.steps.extend(ran.steps);
    part.keep.extend(ran.keep);
    part
}

fn run(cluster: &Validated, observed: &Observed, before: &ReleaseStatus, now: Timestamp) -> JobPart {
    let inputs = replica::inputs(cluster, before.started_at.as_deref().unwrap_or_default());
    let job = |attempt| replica::job(cluster, &inputs, attempt);
    let task = Task {
        component: COMPONENT,
        release: &cluster.release,
        inputs: inputs.clone(),
        job: &job,
        is_whole: replica::is_whole,
        is_anew: true,
    };
    plan_job::part(observed, &task, now)
}

fn found(report: &JobReport, now: Timestamp) -> ReplicaStatus {
    let is_current = report.reason == Reason::ReplicaReady;
    ReplicaStatus { is_current, message: report.message.clone(), at: text(now) }
}

/// Why it failed for good, if it did.
#[must_use]
pub fn failure(cluster: &Validated, observed: &Observed, before: &ReleaseStatus, now: Timestamp) -> Option<String> {
    match run(cluster, observed, before, now).standing {
        Standing::Stuck(report) => Some(report.message),
        Standing::Runs(_) | Standing::Retried(_) | Standing::Done(_) => None,
    }
}

/// What is wrong with its Secret, as a reason and a sentence.
#[must_use]
pub fn missing_secret(observed: &Observed) -> Option<(&'static str, String)> {
    secrets::first_problem(&observed.replica_secrets, &observed.identity.namespace)
}

/// The condition ReplicaReady: what is so of the release that serves, unless the one on its way cannot have its replica. None where
/// neither reads from one.
#[must_use]
pub fn verdict(observed: &Observed, plan: &Plan) -> Option<Verdict> {
    let release = &plan.release;
    let named = observed.cluster.spec.database.read_url_secret_ref.as_ref();
    let used = of_serving(observed, release);
    if named.is_none() && used.is_none() {
        return None;
    }
    let is_wanted = named.is_some() && given_up(release).is_none();
    let of_wanted = || {
        let missing = missing_secret(observed).map(|(reason, message)| (reason.to_owned(), message));
        missing.or_else(|| held_up(observed, plan))
    };
    let trouble = is_wanted.then(of_wanted).flatten().or_else(|| missing_in_serving(observed, release, used.as_ref()));
    if let Some((reason, message)) = trouble {
        return Some(Verdict::no(&reason, message));
    }
    let otherwise = || match (&used, is_wanted) {
        (Some(_), _) => by_check(release)
            .unwrap_or_else(|| Verdict::unknown("NotAsked", "no pod has said anything of the replica yet")),
        (None, true) => Verdict::unknown("NotAsked", reads_from_none(release)),
        (None, false) => Verdict::no("NotUsed", reads_from_none(release)),
    };
    Some(by_pods(observed, release).unwrap_or_else(otherwise))
}

/// The Secret of the replica that the release which serves reads from, or the first one on its way.
fn of_serving(observed: &Observed, release: &ReleaseStatus) -> Option<SecretKey> {
    let current = release.current.clone().map(|name| Release { name });
    match current.and_then(|current| configuration::stored(observed, &current)) {
        Some(stored) => stored.replica_secret().cloned(),
        None => observed.cluster.spec.database.read_url_secret_ref.clone(),
    }
}

/// What is wrong with the Secret of the release that serves.
fn missing_in_serving(
    observed: &Observed,
    release: &ReleaseStatus,
    used: Option<&SecretKey>,
) -> Option<(String, String)> {
    let (key, current) = (used?, release.current.as_ref()?);
    let (reason, message) = observed.secret(key)?.problem(key, &observed.identity.namespace)?;
    Some((reason.to_owned(), format!("{message}, with which release {current} was started")))
}

fn reads_from_none(release: &ReleaseStatus) -> String {
    let current = release.current.as_deref().unwrap_or_default();
    format!("release {current} serves, which reads from no replica")
}

/// The release that is wanted, and was given up.
fn given_up(release: &ReleaseStatus) -> Option<&str> {
    let abandoned = release.abandoned.as_ref().map(|abandoned| abandoned.version.as_str());
    abandoned.filter(|version| release.target.as_deref() == Some(*version))
}

/// What keeps a release from being done with its check, as a reason and a sentence; none while the check merely runs.
#[must_use]
pub fn held_up(observed: &Observed, plan: &Plan) -> Option<(String, String)> {
    let is_checked = plan.release.preparation.as_ref().is_some_and(|done| done.replica.is_some());
    let version = plan.release.target.clone().filter(|_| plan.stage == Stage::Configuring && !is_checked)?;
    let tried = plan_job::attempts_of(observed, COMPONENT, &Release { name: version });
    match &attempt::latest(&tried)?.progress {
        Progress::Running(Some(trouble)) => {
            Some((trouble.reason.to_owned(), format!("{WHAT} cannot start: {}", trouble.message)))
        }
        Progress::Finished { report, .. } if report.outcome != Outcome::Succeeded => {
            Some((format!("{:?}", report.reason), format!("{WHAT} failed: {}", report.message)))
        }
        Progress::Running(None) | Progress::Finished { .. } => None,
    }
}

/// What the pods that read from it say. Those of a release that was given up are on their way out.
fn by_pods(observed: &Observed, release: &ReleaseStatus) -> Option<Verdict> {
    let stay = observed.health.values().filter(|health| given_up(release) != Some(health.release.as_str()));
    let said: Vec<_> = stay.flat_map(|health| &health.checks).filter(|check| check.name == names::REPLICA).collect();
    match said.iter().find(|check| !check.ok) {
        Some(failing) => Some(Verdict::no("NotUsed", format!("lists are read from the database: {}", failing.message))),
        None if said.is_empty() => None,
        None => Some(Verdict::yes("Used", "lists are read from the replica")),
    }
}

/// What the release that serves found before it had pods, or the first one on its way.
fn by_check(release: &ReleaseStatus) -> Option<Verdict> {
    let is_its_own = release.current.is_none() || release.current == release.target;
    let found = release.preparation.as_ref().filter(|_| is_its_own)?.replica.as_ref()?;
    let ReplicaStatus { is_current, message, .. } = found;
    Some(if *is_current { Verdict::yes("Checked", message.clone()) } else { Verdict::no("Behind", message.clone()) })
}

#[cfg(test)]
#[path = "plan_replica_tests.rs"]
mod tests;
