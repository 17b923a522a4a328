//! What flows to the analytics database: its part of a plan. ★ Pure.
//!
//! A release that adds something to the schema has it flow before its pods start. What is changed in the spec without a release, a
//! Secret that is rotated and a database that was restored have it set up anew beside the release that serves. On the way back to a
//! release before nothing is changed: what is published only ever names columns that the schema has, and that stays the newer one.

use crds::payment_cluster::{Analytics, AnalyticsStatus, FlowStatus, ReleaseStatus};
use jiff::Timestamp;
use runtime_contract::{CdcReport, JobReport};

use super::observed::Observed;
use super::plan_history::text;
use super::plan_job::{self, Standing, Task};
use super::step::{Step, Verdict, WaitingOn};
use super::validate::Validated;
use crate::analytics::{self, Work};
use crate::owned::Kind;
use crate::{replica, secrets};

/// The commands whose Jobs are kept, those of the stage Configuring.
const COMPONENTS: [&str; 3] = [analytics::CONFIGURE, analytics::REMOVE, replica::COMPONENT];

/// What becomes of what flows to analytics.
#[derive(Clone, Debug)]
pub struct Configuration {
    /// Whether nothing is left to be done.
    pub is_done: bool,
    /// What to write.
    pub steps: Vec<Step>,
    /// Jobs that are not to be removed.
    pub keep: Vec<(Kind, String)>,
    /// What flows.
    pub status: Option<AnalyticsStatus>,
    /// The condition AnalyticsReady.
    pub verdict: Verdict,
    /// Why a release stands still for it.
    pub waiting_on: Option<WaitingOn>,
    /// What a person has to put right.
    pub stalled: Option<(String, String)>,
    /// Why it failed for good, if it did.
    pub failure: Option<String>,
}

/// For whom it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// A release that is on its way has to have its own columns flow.
    Release,
    /// A release serves, and what is published is right for it.
    Beside,
}

/// What comes next.
#[must_use]
pub fn plan(
    cluster: &Validated,
    observed: &Observed,
    before: &ReleaseStatus,
    occasion: Occasion,
    now: Timestamp,
) -> Configuration {
    let part = at_rest(cluster, observed, before);
    match (&cluster.spec.analytics, &before.analytics) {
        (None, None) => part,
        (Some(wanted), None) => Configuration {
            is_done: false,
            // It is written down before it is begun: whoever dies in between knows that there may be a slot.
            status: Some(begun(wanted, now)),
            waiting_on: Some(WaitingOn::Job(Work::Apply.what())),
            ..part
        },
        (Some(wanted), Some(known)) if is_at(wanted, known) => applied(cluster, observed, known, occasion, part, now),
        (_, Some(known)) => removed(cluster, observed, known, part, now),
    }
}

/// The same when nothing is to be done about it now.
#[must_use]
pub fn at_rest(cluster: &Validated, observed: &Observed, before: &ReleaseStatus) -> Configuration {
    Configuration {
        is_done: true,
        steps: Vec::new(),
        keep: plan_job::newest(observed, &COMPONENTS, &cluster.release),
        status: before.analytics.clone(),
        verdict: verdict(cluster, before),
        waiting_on: None,
        stalled: None,
        failure: None,
    }
}

/// Whether a release that is on its way has to wait for it.
#[must_use]
pub fn is_due(cluster: &Validated, before: &ReleaseStatus) -> bool {
    let (Some(wanted), version) = (&cluster.spec.analytics, &cluster.release.name) else { return false };
    let is_right = |known: &AnalyticsStatus| is_at(wanted, known) && !needs(cluster, known, Occasion::Release);
    before.current.as_ref() != Some(version) && !before.analytics.as_ref().is_some_and(is_right)
}

/// What is wrong with a Secret that it needs, as a reason and a sentence.
#[must_use]
pub fn missing_secret(observed: &Observed) -> Option<(&'static str, String)> {
    secrets::first_problem(&observed.analytics_secrets, &observed.identity.namespace)
}

/// AnalyticsReady as far as the status knows.
#[must_use]
pub fn verdict_at_rest(release: &ReleaseStatus) -> Verdict {
    match release.analytics.as_ref().map(|known| &known.flow) {
        None => Verdict::yes("NotWanted", "nothing flows to an analytics database"),
        Some(Some(flow)) => {
            let FlowStatus { tables, subscription, .. } = flow;
            let message = format!(
                "{tables} tables flow to analytics by the subscription {subscription}, whose replication slot outlives the \
                 PaymentCluster unless spec.analytics is removed first"
            );
            Verdict::yes("Flowing", message)
        }
        Some(None) => not_yet(),
    }
}

/// The same for one who knows what is wanted.
fn verdict(cluster: &Validated, release: &ReleaseStatus) -> Verdict {
    let is_begun = cluster.spec.analytics.is_none() || release.analytics.is_some();
    if is_begun { verdict_at_rest(release) } else { not_yet() }
}

fn not_yet() -> Verdict {
    Verdict::no("Configuring", "nothing flows to analytics yet")
}

fn begun(wanted: &Analytics, now: Timestamp) -> AnalyticsStatus {
    let Analytics { url_secret_ref, source_url_secret_ref } = wanted.clone();
    AnalyticsStatus { since: text(now), url_secret_ref, source_url_secret_ref, flow: None, restored_at: None }
}

/// Whether it is the analytics database that is wanted.
fn is_at(wanted: &Analytics, known: &AnalyticsStatus) -> bool {
    wanted.url_secret_ref == known.url_secret_ref && wanted.source_url_secret_ref == known.source_url_secret_ref
}

fn needs(cluster: &Validated, known: &AnalyticsStatus, occasion: Occasion) -> bool {
    let Some(flow) = &known.flow else { return true };
    flow.inputs != analytics::setup(cluster, known)
        || (occasion == Occasion::Release && flow.version != cluster.release.name)
}

fn applied(
    cluster: &Validated,
    observed: &Observed,
    known: &AnalyticsStatus,
    occasion: Occasion,
    part: Configuration,
    now: Timestamp,
) -> Configuration {
    if !needs(cluster, known, occasion) {
        return part;
    }
    if let Some((reason, message)) = missing_secret(observed) {
        return Configuration {
            is_done: false,
            verdict: Verdict::no(reason, message.clone()),
            waiting_on: Some(WaitingOn::Correction(message.clone())),
            stalled: Some((reason.to_owned(), message)),
            ..part
        };
    }
    let done = |report: &JobReport| {
        let flow = report.cdc.as_ref().map(|report| flow(cluster, known, report, now));
        Some(AnalyticsStatus { flow, ..known.clone() })
    };
    run(cluster, observed, known, Work::Apply, part, done, now)
}

fn flow(cluster: &Validated, known: &AnalyticsStatus, report: &CdcReport, now: Timestamp) -> FlowStatus {
    let CdcReport { publication, subscription, tables, lag_bytes } = report.clone();
    FlowStatus {
        version: cluster.release.name.clone(),
        inputs: analytics::setup(cluster, known),
        publication,
        subscription,
        tables: i32::try_from(tables).unwrap_or(i32::MAX),
        lag_bytes,
        at: text(now),
    }
}

fn removed(
    cluster: &Validated,
    observed: &Observed,
    known: &AnalyticsStatus,
    part: Configuration,
    now: Timestamp,
) -> Configuration {
    run(cluster, observed, known, Work::Remove, part, |_| None, now)
}

fn run(
    cluster: &Validated,
    observed: &Observed,
    known: &AnalyticsStatus,
    work: Work,
    mut part: Configuration,
    done: impl FnOnce(&JobReport) -> Option<AnalyticsStatus>,
    now: Timestamp,
) -> Configuration {
    let inputs = analytics::inputs(cluster, work, known);
    let job = |attempt| analytics::job(cluster, work, known, &inputs, attempt);
    let is_whole: fn(&JobReport) -> bool = match work {
        Work::Apply => |report| report.cdc.is_some(),
        Work::Remove => |_| true,
    };
    let (component, release) = (work.component(), &cluster.release);
    let task = Task { component, release, inputs: inputs.clone(), job: &job, is_whole, is_anew: true };
    let ran = plan_job::part(observed, &task, now);
    part.is_done = false;
    part.waiting_on = Some(ran.waiting_on(work.what()));
    part.stalled = ran.stalled(work.what());
    match (&ran.standing, ran.verdict(work.what())) {
        (Standing::Done(report), _) => {
            part.status = done(report);
            let then = ReleaseStatus { analytics: part.status.clone(), ..ReleaseStatus::default() };
            part.verdict = verdict(cluster, &then);
        }
        // What merely has not happened yet is no news, and no warning.
        (Standing::Runs(None), Some(verdict)) => part.verdict = Verdict::no("Configuring", verdict.message),
        (standing, verdict) => {
            if let Standing::Stuck(report) = standing {
                part.failure = Some(report.message.clone());
            }
            part.verdict = verdict.unwrap_or(part.verdict);
        }
    }
    part.steps.extend(ran.steps);
    part.keep.extend(ran.keep);
    part
}

#[cfg(test)]
#[path = "plan_configure_tests.rs"]
mod tests;
