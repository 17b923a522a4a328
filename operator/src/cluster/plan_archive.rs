//! When months that are over are archived: once for each release that serves, and then once a day. ★ Pure.
//!
//! It holds nothing up, and a failure changes nothing for the release: it is told, and tried again.

use crds::Stage;
use crds::payment_cluster::{Archive, ArchiveStatus, Backup, ReleaseStatus};
use jiff::{SignedDuration, Timestamp};
use runtime_contract::{JobReport, Outcome};

use super::configuration::of_serving;
use super::observed::Observed;
use super::plan_history::{parse, text};
use super::plan_migration::{attempts, component};
use super::step::{Step, Verdict};
use super::validate::Validated;
use crate::archive::{self, COMPONENT};
use crate::jobs::attempt::{self, ATTEMPT};
use crate::jobs::{Attempt, Progress};
use crate::names::Release;
use crate::owned::{Kind, Live};

/// What is done each day.
const EVERY: SignedDuration = SignedDuration::from_hours(24);
/// What failed is tried again sooner, and not so soon that it would be at work all the time.
const AGAIN: SignedDuration = SignedDuration::from_hours(1);

/// Archiving's part of a plan.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ArchivePart {
    /// What to write.
    pub steps: Vec<Step>,
    /// How it went last.
    pub status: Option<ArchiveStatus>,
    /// The condition Archived, where archiving is asked for.
    pub verdict: Option<Verdict>,
}

/// What comes next. It is begun only while nothing else is done to the release that serves.
#[must_use]
pub fn plan(
    validated: Option<&Validated>,
    observed: &Observed,
    stage: Stage,
    release: &ReleaseStatus,
    now: Timestamp,
) -> ArchivePart {
    let spec = &observed.cluster.spec;
    let jobs: Vec<&Live> = observed.live.iter().filter(|live| is_one(live) && !live.is_terminating()).collect();
    let (Some(wanted), Some(backup)) = (&spec.archive, &spec.backup) else {
        return ArchivePart { steps: jobs.iter().map(|job| removed(job)).collect(), ..ArchivePart::default() };
    };
    let tried = attempts(observed, is_one);
    let latest = attempt::latest(&tried);
    let status = latest.and_then(|latest| outcome(observed, latest)).or_else(|| before(observed));
    let mut part = ArchivePart { steps: Vec::new(), verdict: Some(verdict(latest, status.as_ref())), status };
    let at_rest = validated.filter(|cluster| stage.is_end() && !cluster.in_maintenance && !cluster.is_paused);
    let serving = release.current.clone().map(|name| Release { name });
    if let (Some(cluster), Some(serving)) = (at_rest, serving) {
        let cluster = of_serving(cluster, observed, &serving);
        if is_due(&cluster, (wanted, backup), latest, part.status.as_ref(), now) {
            let number = latest.map_or(1, |latest| latest.number.saturating_add(1));
            let job = archive::job(&cluster, wanted, backup, number);
            part.steps.push(Step::Apply { object: Box::new(job), is_new: true });
            part.steps.extend(jobs.iter().map(|job| removed(job)));
            return part;
        }
    }
    let newest = latest.map(|latest| latest.name.as_str());
    part.steps.extend(jobs.iter().filter(|job| Some(job.name.as_str()) != newest).map(|job| removed(job)));
    part
}

/// Whether an object is one of these Jobs, which go by no other rule than those of [`plan`].
#[must_use]
pub fn is_one(live: &Live) -> bool {
    live.kind == Kind::Job && component(live) == Some(COMPONENT) && live.annotation(ATTEMPT).is_some()
}

fn removed(job: &Live) -> Step {
    Step::Delete { kind: job.kind, name: job.name.clone(), uid: job.uid.clone() }
}

fn before(observed: &Observed) -> Option<ArchiveStatus> {
    observed.cluster.status.as_ref()?.archive.clone()
}

fn is_due(
    cluster: &Validated,
    (archive, backup): (&Archive, &Backup),
    latest: Option<&Attempt>,
    status: Option<&ArchiveStatus>,
    now: Timestamp,
) -> bool {
    let has_changed = latest.is_some_and(|latest| latest.inputs != archive::inputs(cluster, archive, backup));
    match (latest.map(|latest| &latest.progress), status) {
        // One that is at work is left to its end; one that cannot start is not, once it is to do something else.
        (Some(Progress::Running(trouble)), _) => trouble.is_some() && has_changed,
        (_, None) => true,
        (_, Some(status)) => {
            let pause = if status.succeeded { EVERY } else { AGAIN };
            let has_passed = parse(&status.at).is_none_or(|at| now.duration_since(at) >= pause);
            has_passed || has_changed || status.release != cluster.release.name
        }
    }
}

/// What a Job that ended has to say.
fn outcome(observed: &Observed, attempt: &Attempt) -> Option<ArchiveStatus> {
    let Progress::Finished { report, at } = &attempt.progress else { return None };
    let JobReport { outcome, reason, message, archived, .. } = report;
    let release = observed.find(Kind::Job, &attempt.name)?.release.clone()?;
    let count = |rows: u64| i64::try_from(rows).unwrap_or(i64::MAX);
    let told = ArchiveStatus {
        release,
        at: text(*at),
        succeeded: *outcome == Outcome::Succeeded,
        reason: format!("{reason:?}"),
        message: message.clone(),
        partitions: archived.map_or(0, |archived| i64::from(archived.partitions)),
        rows: archived.map_or(0, |archived| count(archived.rows)),
        stayed: archived.map_or(0, |archived| i64::from(archived.stayed)),
    };
    // The report of a Job whose pod is gone was read before.
    let is_known = archived.is_none() && told.succeeded;
    Some(before(observed).filter(|before| is_known && before.release == told.release).unwrap_or(told))
}

/// The condition Archived. While it is done, it says how it went last.
fn verdict(latest: Option<&Attempt>, status: Option<&ArchiveStatus>) -> Verdict {
    if let Some(Attempt { progress: Progress::Running(Some(trouble)), .. }) = latest {
        return Verdict::no(trouble.reason, format!("archiving cannot start: {}", trouble.message));
    }
    match status {
        None => Verdict::unknown("NotArchivedYet", "nothing was archived yet: that is done once the release serves"),
        Some(status) if status.succeeded => {
            Verdict::yes("Archived", format!("by release {} at {}: {}", status.release, status.at, status.message))
        }
        Some(status) => {
            let message = format!("archiving failed at {}, and is tried again: {}", status.at, status.message);
            Verdict::no(&status.reason, message)
        }
    }
}

#[cfg(test)]
#[path = "plan_archive_tests.rs"]
mod tests;
