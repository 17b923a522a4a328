//! The migrations' part of a plan. ★ Pure.

use crds::annotations;
use crds::payment_cluster::ReleaseStatus;
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use runtime_contract::labels;

use super::observed::Observed;
use super::plan_job;
use super::step::{Step, Verdict, WaitingOn};
use super::validate::Validated;
use crate::jobs::attempt::{self, ATTEMPT, INPUTS};
use crate::jobs::{Attempt, Next, next, progress};
use crate::migration;
use crate::names::{Release, version_of};
use crate::owned::{Kind, Live};

/// Label that Kubernetes gives to the pods of a Job. The pods of a Job that was deleted do not count for its successor
/// of the same name.
const JOB_UID: &str = "batch.kubernetes.io/controller-uid";

/// What becomes of the migrations.
#[derive(Clone, Debug)]
pub struct Migration {
    /// Whether the release may be deployed.
    pub is_done: bool,
    /// What to write.
    pub steps: Vec<Step>,
    /// Objects that are not to be removed.
    pub keep: Vec<(Kind, String)>,
    /// The condition SchemaReady.
    pub verdict: Verdict,
    /// Why the release stands still.
    pub waiting_on: Option<WaitingOn>,
    /// What a person has to put right.
    pub stalled: Option<(String, String)>,
    /// The releases, with what is known of the schema now.
    pub release: ReleaseStatus,
}

/// What comes next for the migrations of the wanted release.
#[must_use]
pub fn plan(cluster: &Validated, observed: &Observed, before: &ReleaseStatus, now: Timestamp) -> Migration {
    let mut part = at_rest(cluster, observed, before, now);
    // The release that serves stands on the schema already, whatever was added to it since.
    if is_there(before, &cluster.release) {
        return part;
    }
    part.is_done = false;
    part.waiting_on = Some(WaitingOn::Migration);
    match next(&attempts_of(cluster, observed), &migration::inputs(cluster), now) {
        Next::Start(number) => match running(observed, now).first() {
            Some(pod) => {
                let message = format!(
                    "pod \"{}\" runs an earlier migration; it is left to its end before that of this release starts",
                    pod.name_any()
                );
                part.verdict = Verdict::no("Migrating", message);
            }
            None => start(&mut part, cluster, number),
        },
        Next::Wait(None) => part.verdict = Verdict::no("Migrating", "the migration Job runs"),
        Next::Wait(Some(trouble)) => {
            part.verdict = Verdict::no(trouble.reason, format!("the migration Job cannot start: {}", trouble.message));
        }
        Next::Later(report, _) => {
            let reason = format!("{:?}", report.reason);
            if report.outcome == runtime_contract::Outcome::Failed {
                part.stalled = Some((reason.clone(), report.message.clone()));
            }
            part.waiting_on = Some(WaitingOn::MigrationRetry);
            part.verdict = Verdict::no(&reason, report.message);
        }
        Next::Stuck(report) => {
            let reason = format!("{:?}", report.reason);
            part.waiting_on = Some(WaitingOn::MigrationCorrection);
            let message = format!(
                "{}; once the cause is gone, give the PaymentCluster's annotation {} a new value",
                report.message,
                annotations::RETRY
            );
            part.stalled = Some((reason.clone(), message.clone()));
            part.verdict = Verdict::no(&reason, message);
        }
        Next::Done(report) => {
            part.is_done = true;
            part.waiting_on = None;
            part.release.migrated = Some(cluster.release.name.clone());
            part.release.schema_version = report.schema_version.or(before.schema_version);
            part.verdict = verdict_at_rest(&part.release);
        }
    }
    part
}

/// Whether the schema of a release is there: it was migrated, or another configuration of its version serves.
#[must_use]
pub fn is_there(before: &ReleaseStatus, release: &Release) -> bool {
    let serves = before.current.as_deref().is_some_and(|current| version_of(current) == release.version());
    serves || before.migrated.as_ref() == Some(&release.name)
}

/// Why the migrations of the wanted release failed for good, if they did.
#[must_use]
pub fn failure(cluster: &Validated, observed: &Observed, now: Timestamp) -> Option<String> {
    match next(&attempts_of(cluster, observed), &migration::inputs(cluster), now) {
        Next::Stuck(report) => Some(report.message),
        Next::Start(_) | Next::Wait(_) | Next::Later(..) | Next::Done(_) => None,
    }
}

/// The migrations when nothing is to be done about them now. One that runs is never stopped half-way, whatever is wanted in the
/// meantime, and never gets company.
#[must_use]
pub fn at_rest(cluster: &Validated, observed: &Observed, before: &ReleaseStatus, now: Timestamp) -> Migration {
    let attempts = attempts_of(cluster, observed);
    let latest = attempt::latest(&attempts).map(|latest| (Kind::Job, latest.name.clone()));
    let still_runs = running(observed, now).into_iter().filter_map(|pod| job_of(observed, pod));
    Migration {
        is_done: true,
        steps: Vec::new(),
        keep: latest.into_iter().chain(still_runs).collect(),
        verdict: verdict_at_rest(before),
        waiting_on: None,
        stalled: None,
        release: before.clone(),
    }
}

/// The migration Jobs of the wanted release.
fn attempts_of(cluster: &Validated, observed: &Observed) -> Vec<Attempt> {
    plan_job::attempts_of(observed, migration::COMPONENT, &cluster.release)
}

fn start(part: &mut Migration, cluster: &Validated, number: u32) {
    let job = migration::job(cluster, number);
    part.keep = vec![(Kind::Job, job.name.clone())];
    part.steps.push(Step::Apply { object: Box::new(job), is_new: true });
    part.verdict = Verdict::no("Migrating", "the migration Job runs");
}

/// The pods of migrations that are at work. One whose time to end is over is on a node that is gone.
fn running(observed: &Observed, now: Timestamp) -> Vec<&Pod> {
    let is_running = |pod: &&Pod| {
        let containers = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
        let mut states = containers.filter_map(|container| container.state.as_ref());
        states.any(|state| state.running.is_some())
            && pod.metadata.deletion_timestamp.as_ref().is_none_or(|end| end.0 > now)
    };
    observed.pods_with(labels::COMPONENT, migration::COMPONENT).filter(is_running).collect()
}

/// The Job of a pod.
fn job_of(observed: &Observed, pod: &Pod) -> Option<(Kind, String)> {
    let uid = pod.labels().get(JOB_UID)?;
    let job = observed.live.iter().find(|live| live.kind == Kind::Job && live.uid == *uid)?;
    Some((Kind::Job, job.name.clone()))
}

/// SchemaReady as far as the status knows.
#[must_use]
pub fn verdict_at_rest(release: &ReleaseStatus) -> Verdict {
    let target = release.target.clone().map(|name| Release { name });
    match (target.is_some_and(|target| is_there(release, &target)), release.schema_version) {
        (true, Some(version)) => Verdict::yes("Migrated", format!("the schema is at version {version}")),
        (true, None) => Verdict::yes("Migrated", "the schema is that of the release"),
        (false, _) => Verdict::unknown("NotMigrated", "the migrations of the release have not run yet"),
    }
}

/// The Jobs that `is_one` picks, with where each of them stands.
#[must_use]
pub fn attempts(observed: &Observed, is_one: impl Fn(&Live) -> bool) -> Vec<Attempt> {
    let jobs = observed.live.iter().filter(|live| live.kind == Kind::Job && is_one(live));
    jobs.filter_map(|live| {
        let job: Job = serde_json::from_value(live.body.clone()).ok()?;
        let pods: Vec<_> = observed.pods_with(JOB_UID, &live.uid).collect();
        Some(Attempt {
            name: live.name.clone(),
            number: live.annotation(ATTEMPT)?.parse().ok()?,
            created: job.creation_timestamp()?.0,
            inputs: live.annotation(INPUTS)?.to_owned(),
            progress: progress::of(&job, &pods),
        })
    })
    .collect()
}

/// What an object is for.
#[must_use]
pub fn component(live: &Live) -> Option<&str> {
    live.body.pointer("/metadata/labels")?.get(labels::COMPONENT)?.as_str()
}
