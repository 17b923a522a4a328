//! What becomes of a command that a release needs done once, as a Job of the runtime's image. ★ Pure.

use jiff::Timestamp;
use runtime_contract::{JobReport, Outcome};

use super::observed::Observed;
use super::plan_migration::{attempts, component};
use super::step::{Step, Verdict, WaitingOn};
use crate::cluster::diagnosis::Trouble;
use crate::jobs::attempt::{self, ATTEMPT};
use crate::jobs::{Attempt, Next, next};
use crate::names::Release;
use crate::owned::{Desired, Kind};

/// A command that a release needs done once.
pub struct Task<'a> {
    /// Label of its Jobs.
    pub component: &'a str,
    /// The release that it is done for.
    pub release: &'a Release,
    /// Hash of all that decides whether it may end differently.
    pub inputs: String,
    /// The Job of an attempt.
    pub job: &'a dyn Fn(u32) -> Desired,
    /// Whether a report of success says all that is needed: that of a Job whose pod is gone does not.
    pub is_whole: fn(&JobReport) -> bool,
    /// Whether only what was started with these very inputs counts: what an earlier try of the release has left does not.
    pub is_anew: bool,
}

/// Where a command stands.
#[derive(Clone, Debug, PartialEq)]
pub enum Standing {
    /// It runs, or starts now; with the reason when its pod cannot start.
    Runs(Option<Trouble>),
    /// It failed, and is tried again by itself.
    Retried(JobReport),
    /// It failed, and something has to change first.
    Stuck(JobReport),
    /// It is done.
    Done(JobReport),
}

/// A command's part of a plan.
#[derive(Clone, Debug)]
pub struct JobPart {
    /// What to write.
    pub steps: Vec<Step>,
    /// Jobs that are not to be removed.
    pub keep: Vec<(Kind, String)>,
    /// Where it stands.
    pub standing: Standing,
}

impl JobPart {
    /// What it says as a condition, unless it is done. `what` is its name within a sentence: `the backup`.
    #[must_use]
    pub fn verdict(&self, what: &str) -> Option<Verdict> {
        match &self.standing {
            Standing::Runs(None) => Some(Verdict::no("Running", format!("{what} runs"))),
            Standing::Runs(Some(trouble)) => {
                Some(Verdict::no(trouble.reason, format!("{what} cannot start: {}", trouble.message)))
            }
            Standing::Retried(report) | Standing::Stuck(report) => {
                Some(Verdict::no(&format!("{:?}", report.reason), format!("{what} failed: {}", report.message)))
            }
            Standing::Done(_) => None,
        }
    }

    /// What the release waits for then.
    #[must_use]
    pub const fn waiting_on(&self, what: &'static str) -> WaitingOn {
        match &self.standing {
            Standing::Retried(_) => WaitingOn::Again(what),
            Standing::Stuck(_) => WaitingOn::Change(what),
            Standing::Runs(_) | Standing::Done(_) => WaitingOn::Job(what),
        }
    }

    /// What a person has to put right, as a reason and a sentence.
    #[must_use]
    pub fn stalled(&self, what: &str) -> Option<(String, String)> {
        let (report, rest) = match &self.standing {
            Standing::Stuck(report) => (
                report,
                "; once the cause is gone, have it tried again with `kubectl purser retry`, or give the annotation \
                 purser.dev/retry a new value",
            ),
            // Somebody has to put this right where the operator sees no change.
            Standing::Retried(report) if report.outcome == Outcome::Failed => (report, ""),
            Standing::Retried(_) | Standing::Runs(_) | Standing::Done(_) => return None,
        };
        Some((format!("{:?}", report.reason), format!("{what} failed: {}{rest}", report.message)))
    }
}

/// What comes next for a command.
#[must_use]
pub fn part(observed: &Observed, task: &Task<'_>, now: Timestamp) -> JobPart {
    let tried = attempts_of(observed, task.component, task.release);
    let keep = attempt::latest(&tried).map(|latest| (Kind::Job, latest.name.clone())).into_iter().collect();
    let start = |number: u32| {
        let job = (task.job)(number);
        JobPart {
            keep: vec![(Kind::Job, job.name.clone())],
            steps: vec![Step::Apply { object: Box::new(job), is_new: true }],
            standing: Standing::Runs(None),
        }
    };
    let stand = |standing| JobPart { steps: Vec::new(), keep, standing };
    match standing(&tried, task, now) {
        Next::Start(number) => start(number),
        Next::Wait(trouble) => stand(Standing::Runs(trouble)),
        Next::Later(report, _) => stand(Standing::Retried(report)),
        Next::Stuck(report) => stand(Standing::Stuck(report)),
        Next::Done(report) => stand(Standing::Done(report)),
    }
}

/// What comes next, if success is not enough.
fn standing(tried: &[Attempt], task: &Task<'_>, now: Timestamp) -> Next {
    match (next(tried, &task.inputs, now), attempt::latest(tried)) {
        (Next::Done(_), Some(latest)) if task.is_anew && latest.inputs != task.inputs => {
            Next::Start(latest.number.saturating_add(1))
        }
        (Next::Done(report), Some(latest)) if !(task.is_whole)(&report) => attempt::anew(latest, now),
        (next, _) => next,
    }
}

/// The newest Job of each command of a release, so that its log can be read as long as the release is on its way.
#[must_use]
pub fn newest(observed: &Observed, components: &[&str], release: &Release) -> Vec<(Kind, String)> {
    let newest = components.iter().filter_map(|component| {
        let tried = attempts_of(observed, component, release);
        attempt::latest(&tried).map(|latest| (Kind::Job, latest.name.clone()))
    });
    newest.collect()
}

/// The Jobs of a command for a release.
#[must_use]
pub fn attempts_of(observed: &Observed, name: &str, release: &Release) -> Vec<Attempt> {
    attempts(observed, |job| {
        job.annotation(ATTEMPT).is_some()
            && component(job) == Some(name)
            && job.release.as_deref() == Some(&release.name)
    })
}
