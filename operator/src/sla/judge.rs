//! The verdict on a release. ★ Pure.

use runtime_contract::{Figures, ReleaseFigures, Slice};

use super::canary::{Patiently, Tally, Witness};
use super::compare::Baseline;
use super::limits::Limits;
use super::suspicion::{Finding, Patience, broken, count};
use super::tally;

/// Figures that ended longer ago say nothing of now.
const STALE_S: i64 = 10;
/// A mean that lies so many of its own deviations above the limit is no bad luck.
const MEAN_SURE: f64 = 5.0;
/// The fewest seconds with payments by which a mean is judged, and the fewest that have to be slow themselves: a hiccup of
/// fewer must convict nobody.
const MEAN_SECONDS: usize = 5;
/// A second whose mean is less than this part of what that of all is above the limit has no part in that.
const MEAN_PART_MIN: f64 = 0.5;
/// A second counts for so many times the limit at most: one spike must convict nobody.
const MEAN_SECOND_MAX: f64 = 3.0;
/// Half of the payments fail: every further second costs merchants.
const EMERGENCY_PERCENT: f64 = 50.0;

/// What is to be thought of a release.
#[derive(Clone, Debug, PartialEq)]
pub enum Judgement {
    /// It keeps to its limits.
    Healthy,
    /// It breaks one.
    Breached(Breach),
    /// Nobody can tell; why, in a sentence.
    Inconclusive(String),
}

/// A limit that is broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach {
    /// The field of `spec.sla`, or what was compared.
    pub figure: &'static str,
    /// A sentence with the figures.
    pub message: String,
    /// How it has to be answered.
    pub severity: Severity,
}

/// How a breach has to be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Traffic goes back step by step.
    Gradual,
    /// Traffic goes back at once.
    Emergency,
}

/// Judges `release` by its figures. With `before`, it is compared with that release of the same time as well.
/// `has_all_traffic` is whether the platform's throughput is the release's own. `now_s` is the time in Unix seconds.
#[must_use]
pub fn judge(
    limits: &Limits,
    figures: Option<&Figures>,
    release: &str,
    before: Option<&str>,
    has_all_traffic: bool,
    now_s: i64,
) -> Judgement {
    let figures = match usable(figures, now_s) {
        Ok(figures) => figures,
        Err(why) => return Judgement::Inconclusive(why),
    };
    let of = |version: &str| figures.releases.iter().find(|found| found.release == version);
    let slices = of(release).map(|found| found.slices.as_slice()).unwrap_or_default();
    let payments = tally::payments(slices);
    if payments < limits.payments_min {
        let wanted = limits.payments_min;
        let window = limits.window_s;
        return Judgement::Inconclusive(format!(
            "{payments} payments within the last {window} s; a verdict needs {wanted} (spec.sla.minSamples)"
        ));
    }
    let witness = before.and_then(of).map(Witness::new);
    let baseline = witness.as_ref().and_then(|witness| witness.baseline);
    let broken = |patience: &Patiently<'_>| breach(limits, slices, baseline, patience, has_all_traffic);
    let Some(witness) = witness else {
        return broken(&|_, _| Patience::Alone).map_or(Judgement::Healthy, Judgement::Breached);
    };
    if let Some(breach) = broken(&|seconds, allowed| witness.patience(slices, seconds, allowed)) {
        return Judgement::Breached(breach);
    }
    if let Some(Breach { figure, message, .. }) = broken(&|_, _| Patience::Beside) {
        return Judgement::Inconclusive(format!(
            "it is not certain yet that the trouble is its own: {figure}: {message}"
        ));
    }
    witness.too_early(slices).map_or(Judgement::Healthy, Judgement::Inconclusive)
}

/// Figures that tell something of now, and of most pods.
fn usable(figures: Option<&Figures>, now_s: i64) -> Result<&Figures, String> {
    let figures = figures.ok_or("no metrics pod answers")?;
    let age = now_s.saturating_sub(figures.until);
    if age > STALE_S {
        return Err(format!("the newest figures are {age} s old"));
    }
    let Figures { pods, silent_pods, .. } = figures;
    if silent_pods >= pods {
        return Err(format!("{silent_pods} pods tell the metrics pod no figures, and only {pods} do"));
    }
    Ok(figures)
}

fn breach(
    limits: &Limits,
    slices: &[Slice],
    baseline: Option<Baseline>,
    patience: &Patiently<'_>,
    has_all_traffic: bool,
) -> Option<Breach> {
    let broken = |seconds: &Tally<'_>, allowed| broken(&seconds(slices), allowed, patience(seconds, allowed));
    let slow = |figure, us: u64, allowed: f64, share: &str| {
        let found = broken(&|slices| tally::payments_over(slices, us), allowed)?;
        Some(gradual(figure, slower(found, "payments", us, share)))
    };
    let failing = |figure, allowed, by| {
        let found = broken(&tally::failures, allowed)?;
        Some(too_many_fail(figure, found, allowed, by))
    };
    let many = baseline.and_then(|found| found.of_many);
    let than_before =
        |us, allowed, share: &str| slow("comparison", us, allowed, &format!("{share}, after the release before it"));
    let failures = || limits.failures.and_then(|allowed| failing("successRate", allowed, "spec.sla"));
    let fraud = || {
        let found = broken(&|slices| tally::fraud_over(slices, limits.fraud_us), 0.01)?;
        Some(gradual("fraudLatency", slower(found, "fraud checks", limits.fraud_us, "1 %")))
    };
    // Those that cost a merchant most come first.
    failures()
        .or_else(|| many.and_then(|found| failing("comparison", found.failures, "the release before")))
        .or_else(fraud)
        .or_else(|| limits.p95_us.and_then(|us| slow("p95Latency", us, 0.05, "5 %")))
        .or_else(|| limits.p99_us.and_then(|us| slow("p99Latency", us, 0.01, "1 %")))
        .or_else(|| limits.average_us.and_then(|us| too_slow_on_average(slices, us)))
        .or_else(|| many.and_then(|found| than_before(found.p95_us, 0.05, "5 %")))
        .or_else(|| baseline.and_then(|found| than_before(found.p75_us, 0.25, "25 %")))
        .or_else(|| limits.tps_min.filter(|_| has_all_traffic).and_then(|tps| too_few(limits, slices, tps)))
}

fn gradual(figure: &'static str, message: String) -> Breach {
    Breach { figure, message, severity: Severity::Gradual }
}

fn slower(found: Finding, what: &str, us: u64, allowed: &str) -> String {
    let (percent, limit, Finding { cases, seconds, .. }) = (found.bad_percent(), us / 1_000, found);
    format!("{percent:.1} % of {cases} {what} in {seconds} s took longer than {limit} ms (allowed: {allowed})")
}

fn too_many_fail(figure: &'static str, found: Finding, allowed: f64, by: &str) -> Breach {
    let (percent, Finding { cases, seconds, .. }) = (found.bad_percent(), found);
    let severity = if percent >= EMERGENCY_PERCENT { Severity::Emergency } else { Severity::Gradual };
    let allowed = allowed * 100.0;
    let message =
        format!("{percent:.1} % of {cases} payments in {seconds} s did not succeed (allowed by {by}: {allowed:.1} %)");
    Breach { figure, message, severity }
}

/// Seconds are the cases here: their means scatter around the mean of all, and by that one knows how well it is known.
fn too_slow_on_average(slices: &[Slice], limit_us: u64) -> Option<Breach> {
    let limit = count(limit_us);
    let means: Vec<(f64, f64)> = slices
        .iter()
        .filter_map(|slice| tally::mean_us(&slice.counts.payment_us))
        .map(|(cases, mean)| (count(cases), mean.min(MEAN_SECOND_MAX * limit)))
        .collect();
    let mut seconds = MEAN_SECONDS;
    while seconds <= means.len() {
        let latest = &means[means.len() - seconds..];
        let (mean, deviation) = mean_and_deviation(latest);
        // After four seconds of a hiccup, one that is a little slow is no fifth.
        let slow = latest.iter().filter(|(_, own)| *own - limit > MEAN_PART_MIN * (mean - limit).max(0.0)).count();
        if mean - MEAN_SURE * deviation > limit && slow >= MEAN_SECONDS.max(seconds / 2) {
            let (mean, limit) = (mean / 1_000.0, limit_us / 1_000);
            let message =
                format!("payments of the last {seconds} s took {mean:.0} ms on average (allowed: {limit} ms)");
            return Some(gradual("averageLatency", message));
        }
        seconds = if seconds == means.len() { usize::MAX } else { (seconds * 2).min(means.len()) };
    }
    None
}

/// The mean of weighted values, and the deviation of that mean.
fn mean_and_deviation(weighted: &[(f64, f64)]) -> (f64, f64) {
    let all: f64 = weighted.iter().map(|(weight, _)| weight).sum();
    let mean = weighted.iter().map(|(weight, value)| weight * value).sum::<f64>() / all;
    let squares: f64 = weighted.iter().map(|(weight, value)| (weight * (value - mean)).powi(2)).sum();
    (mean, squares.sqrt() / all)
}

/// Whole windows only: a release that has just got its traffic has not had the time.
fn too_few(limits: &Limits, slices: &[Slice], tps_min: f64) -> Option<Breach> {
    let (first, last) = (slices.first()?, slices.last()?);
    // The first slice ended when the rest began.
    let seconds = last.second.saturating_sub(first.second);
    if seconds + 1 < i64::from(limits.window_s) {
        return None;
    }
    let payments = tally::payments(&slices[1..]);
    let seconds = u32::try_from(seconds).map(f64::from).ok()?;
    let expected = tps_min * seconds;
    let is_short = count(payments) < expected - MEAN_SURE * expected.sqrt();
    is_short.then(|| {
        let tps = count(payments) / seconds;
        gradual("tpsMin", format!("{tps:.1} payments per second in {seconds} s (at least: {tps_min})"))
    })
}

/// The figures of a release.
#[must_use]
pub fn of_release<'a>(figures: Option<&'a Figures>, release: &str) -> Option<&'a ReleaseFigures> {
    figures?.releases.iter().find(|found| found.release == release)
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
