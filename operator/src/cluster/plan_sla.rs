//! What is thought of the release that takes payments. ★ Pure.

use std::borrow::Cow;

use crds::Stage;
use crds::conditions::cluster::SLA_MET;
use crds::payment_cluster::ReleaseStatus;
use jiff::Timestamp;
use runtime_contract::{Figures, Slice};

use super::observed::Observed;
use super::plan::stage_before;
use super::plan_checks::is_staging;
use super::plan_history;
use super::plan_maintenance;
use super::plan_shift;
use super::step::Verdict;
use super::validate::Validated;
use crate::sla::{self, Breach, Judgement, Severity};

/// Judges the release that has traffic: the one on its way as soon as it has some, or else the one that serves.
#[must_use]
pub fn judge(
    cluster: &Validated,
    observed: &Observed,
    stage: Stage,
    release: &ReleaseStatus,
    now: Timestamp,
) -> Judgement {
    if let Some(why) = plan_maintenance::clouds(cluster, observed, now) {
        return Judgement::Inconclusive(why.into());
    }
    let version = judged(stage, release);
    let Some(version) = version else { return Judgement::Inconclusive("no release takes payments yet".into()) };
    let before = release.current.as_deref().filter(|current| stage == Stage::Shifting && *current != version);
    // How many payments there are in staging is what its load test asks for, which says so itself.
    let has_all = !is_staging(cluster) && (stage != Stage::Shifting || plan_shift::weight(stage, release) == 100);
    let figures = observed.figures.as_ref().map(|figures| of_this_try(figures, version, stage, release));
    sla::judge(&cluster.sla, figures.as_deref(), version, before, has_all, now.as_second())
}

/// Without what a release did that was tried before, and given up, by the name that it has now as well.
fn of_this_try<'a>(figures: &'a Figures, version: &str, stage: Stage, release: &ReleaseStatus) -> Cow<'a, Figures> {
    let begun = release.started_at.as_deref().filter(|_| is_on_its_way(stage)).and_then(plan_history::parse);
    let Some(begun) = begun.map(Timestamp::as_second) else { return Cow::Borrowed(figures) };
    let is_earlier = |slice: &Slice| slice.second <= begun;
    let mut of_this_try = Cow::Borrowed(figures);
    if sla::of_release(Some(figures), version).is_some_and(|found| found.slices.iter().any(is_earlier)) {
        let releases = &mut of_this_try.to_mut().releases;
        releases
            .iter_mut()
            .filter(|found| found.release == version)
            .for_each(|found| found.slices.retain(|slice| !is_earlier(slice)));
    }
    of_this_try
}

/// Whether so many payments of a release fail that it must not be left with any.
#[must_use]
pub fn is_emergency(cluster: &Validated, observed: &Observed, release: &str, now: Timestamp) -> bool {
    let judgement = sla::judge(&cluster.sla, observed.figures.as_ref(), release, None, false, now.as_second());
    matches!(judgement, Judgement::Breached(Breach { severity: Severity::Emergency, .. }))
}

/// The release that is judged.
#[must_use]
pub fn judged(stage: Stage, release: &ReleaseStatus) -> Option<&str> {
    if is_on_its_way(stage) { release.target.as_deref() } else { release.current.as_deref() }
}

const fn is_on_its_way(stage: Stage) -> bool {
    matches!(stage, Stage::Shifting | Stage::Monitoring | Stage::Testing)
}

/// In the pass that gives a release up, the judgement is still about the one that was looked at before.
fn judged_before(observed: &Observed, stage: Stage) -> Option<&str> {
    let before = stage_before(observed);
    let turns = stage == Stage::RollingBack && before != Stage::RollingBack;
    let release = observed.cluster.status.as_ref().filter(|_| turns)?.release.as_ref()?;
    judged(before, release)
}

/// The condition SLAMet. Its words stay as long as its reason does: with figures that change each second the status would
/// change each second as well.
#[must_use]
pub fn verdict(observed: &Observed, stage: Stage, release: &ReleaseStatus, judgement: &Judgement) -> Verdict {
    let version = judged_before(observed, stage).or_else(|| judged(stage, release));
    let verdict = match (version, judgement) {
        (Some(version), Judgement::Healthy) => Verdict::yes("Met", format!("release {version} keeps to its SLA")),
        (Some(version), Judgement::Breached(Breach { figure, message, .. })) => {
            Verdict::no(reason(figure), format!("release {version} breaks spec.sla: {figure}: {message}"))
        }
        (None, _) => Verdict::unknown("NothingToJudge", "no release takes payments yet"),
        (Some(version), Judgement::Inconclusive(why)) => {
            Verdict::unknown("Inconclusive", format!("release {version} cannot be judged: {why}"))
        }
    };
    let before = observed.cluster.status.iter().flat_map(|status| &status.conditions);
    let mut before = before.filter(|before| before.type_ == SLA_MET && before.reason == verdict.reason);
    match (before.next(), version) {
        (Some(before), Some(version)) if before.message.contains(&format!("release {version} ")) => {
            Verdict { message: before.message.clone(), ..verdict }
        }
        _ => verdict,
    }
}

/// One word for a figure, as reasons are written.
fn reason(figure: &str) -> &'static str {
    match figure {
        "successRate" => "SuccessRateTooLow",
        "averageLatency" => "AverageLatencyTooHigh",
        "p95Latency" => "P95LatencyTooHigh",
        "p99Latency" => "P99LatencyTooHigh",
        "fraudLatency" => "FraudLatencyTooHigh",
        "tpsMin" => "TooFewPayments",
        _ => "WorseThanBefore",
    }
}
