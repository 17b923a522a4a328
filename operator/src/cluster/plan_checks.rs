//! What a release has to show before it gets traffic, and in staging after. ★ Pure.
//!
//! The first release is not checked before: nobody else could take its traffic meanwhile, so nothing is gained by keeping it. In
//! staging it is tested all the same, once it has the traffic.

use crds::Stage;
use crds::payment_cluster::{Environment, HealthCheck, ReleaseStatus, WarmCache, WhyAbandoned};
use jiff::Timestamp;
use runtime_contract::{JobReport, Outcome};

use super::observed::Observed;
use super::plan_job::{self, JobPart, Standing, Task};
use super::step::{Step, WaitingOn};
use super::validate::Validated;
use crate::checks::{self, Check};
use crate::owned::Kind;

/// What is left to be checked.
#[derive(Clone, Debug, Default)]
pub struct Checks {
    /// The check that is not over yet, by its stage and in words; none when there is none.
    pub open: Option<(Stage, WaitingOn)>,
    /// What to write.
    pub steps: Vec<Step>,
    /// Jobs that are not to be removed.
    pub keep: Vec<(Kind, String)>,
    /// What a person has to put right.
    pub stalled: Option<(String, String)>,
}

/// What comes next for the checks of the wanted release. `is_ready`: its pods are there, and nobody holds it.
#[must_use]
pub fn plan(
    cluster: &Validated,
    observed: &Observed,
    stage: Stage,
    release: &ReleaseStatus,
    is_ready: bool,
    now: Timestamp,
) -> Checks {
    let keep = newest(cluster, observed);
    let serves = release.current.as_ref() == Some(&cluster.release.name);
    let has_one_before = release.current.is_some() && !serves;
    let due = match stage {
        Stage::Testing => &[Check::Smoke, Check::Load][..],
        Stage::Shifting | Stage::Monitoring => &[],
        _ if has_one_before => before_traffic(cluster),
        _ => &[],
    };
    let mut checks = Checks { keep, ..Checks::default() };
    if !is_ready && stage != Stage::Testing {
        return checks;
    }
    for check in due {
        let part = part(cluster, observed, *check, now);
        let is_over = is_over(*check, &part.standing);
        if !is_over {
            checks.stalled = stalled(*check, &part).filter(|_| stage == Stage::Testing && release.current.is_none());
            checks.open = Some((stage_of(*check), waiting_on(*check, &part)));
            checks.keep.extend(part.keep);
            checks.steps = part.steps;
            break;
        }
    }
    checks
}

/// The newest Job of each check, so that its log can be read, also once the release was given up for it.
#[must_use]
pub fn newest(cluster: &Validated, observed: &Observed) -> Vec<(Kind, String)> {
    plan_job::newest(observed, &Check::ALL.map(Check::component), &cluster.release)
}

fn before_traffic(cluster: &Validated) -> &'static [Check] {
    let rollout = &cluster.spec.rollout;
    match (rollout.warm_cache, rollout.health_check) {
        (WarmCache::Enabled, HealthCheck::Enabled) => &[Check::Warmth, Check::Health],
        (WarmCache::Enabled, HealthCheck::Disabled) => &[Check::Warmth],
        (WarmCache::Disabled, HealthCheck::Enabled) => &[Check::Health],
        (WarmCache::Disabled, HealthCheck::Disabled) => &[],
    }
}

const fn stage_of(check: Check) -> Stage {
    match check {
        Check::Warmth => Stage::WarmingCache,
        Check::Health => Stage::CheckingHealth,
        Check::Smoke | Check::Load => Stage::Testing,
    }
}

/// A cache that could not be warmed makes the release slower for a while, and never wrong: it goes on.
fn is_over(check: Check, standing: &Standing) -> bool {
    match standing {
        Standing::Done(_) => true,
        Standing::Runs(_) => false,
        Standing::Retried(_) | Standing::Stuck(_) => check == Check::Warmth,
    }
}

fn waiting_on(check: Check, part: &JobPart) -> WaitingOn {
    let words = part.verdict(check.what()).map(|verdict| verdict.message);
    WaitingOn::Check(words.unwrap_or_else(|| format!("{} runs", check.what())))
}

/// The only release of a staging platform stays: there is no other. It is not Verified.
fn stalled(check: Check, part: &JobPart) -> Option<(String, String)> {
    let (reason, message) = part.stalled(check.what())?;
    let reason = match part.standing {
        Standing::Stuck(_) => WhyAbandoned::NotVerified.as_str().to_owned(),
        _ => reason,
    };
    Some((reason, message))
}

fn part(cluster: &Validated, observed: &Observed, check: Check, now: Timestamp) -> JobPart {
    let task = Task {
        component: check.component(),
        release: &cluster.release,
        inputs: checks::inputs(cluster, check),
        job: &|attempt| checks::job(cluster, check, attempt),
        // A success is a success, whatever figures went away with its pod.
        is_whole: |_: &JobReport| true,
        is_anew: false,
    };
    plan_job::part(observed, &task, now)
}

/// Whether the wanted release has failed a check for good: why it is given up then, and how.
#[must_use]
pub fn failed(
    cluster: &Validated,
    observed: &Observed,
    stage: Stage,
    now: Timestamp,
) -> Option<(WhyAbandoned, String)> {
    let (made, why) = match stage {
        Stage::CheckingHealth => (&[Check::Health][..], WhyAbandoned::HealthCheckFailed),
        Stage::Testing => (&[Check::Smoke, Check::Load][..], WhyAbandoned::NotVerified),
        _ => return None,
    };
    made.iter().find_map(|check| match part(cluster, observed, *check, now).standing {
        Standing::Stuck(report) if report.outcome == Outcome::Failed => {
            Some((why, format!("{} failed: {}", check.what(), report.message)))
        }
        _ => None,
    })
}

/// Whether releases of this PaymentCluster prove themselves here for others.
#[must_use]
pub fn is_staging(cluster: &Validated) -> bool {
    cluster.spec.environment == Environment::Staging
}

#[cfg(test)]
#[path = "plan_checks_tests.rs"]
mod tests;
