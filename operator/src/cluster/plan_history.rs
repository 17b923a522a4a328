//! What is remembered of releases that ended, and how times are written. ★ Pure.

use crds::payment_cluster::{ReleaseFiguresStatus, ReleaseRecord, ReleaseResult, ReleaseStatus};
use jiff::Timestamp;
use runtime_contract::Summary;

use super::configuration;
use super::observed::Observed;
use crate::names::{Release, version_of};
use crate::sla;

/// Writes down how a release ended. The one before is the one that serves, or is kept.
pub fn record(
    release: &mut ReleaseStatus,
    observed: &Observed,
    version: &str,
    result: ReleaseResult,
    message: String,
    now: Timestamp,
) {
    let from = [&release.current, &release.kept.as_ref().map(|kept| kept.version.clone())]
        .into_iter()
        .flatten()
        .find(|other| *other != version)
        .cloned();
    let figures = sla::of_release(observed.figures.as_ref(), version);
    let done = release.preparation.clone().unwrap_or_default();
    let restore_point = done.maintenance.and_then(|maintenance| maintenance.restore_point);
    let record = ReleaseRecord {
        version: version.to_owned(),
        from,
        started_at: release.started_at.clone(),
        ended_at: text(now),
        result,
        message,
        image: Some(format!("{}:{}", image_of(observed, version), version_of(version))),
        // What the last one to end has left is what this one has found, where nobody has looked.
        schema_before: done.plan.as_ref().map(|plan| plan.from).or_else(|| release.history.first()?.schema_after),
        schema_after: release.schema_version,
        approval: release.approval.clone().filter(|given| given.version == version),
        migrations: done.plan,
        backup: restore_point.or(done.backup),
        figures: figures.map(|figures| of_summary(&figures.summary)),
    };
    release.history.insert(0, record);
    release.history.truncate(ReleaseStatus::HISTORY_MAX);
}

/// Where the image of a release comes from: it may have another place than the spec has by now.
fn image_of(observed: &Observed, name: &str) -> String {
    let stored = configuration::stored(observed, &Release { name: name.to_owned() });
    stored.map_or_else(|| observed.cluster.spec.image.repository.clone(), |stored| stored.image.repository)
}

fn of_summary(summary: &Summary) -> ReleaseFiguresStatus {
    let number = |value: f64| format!("{value:.1}");
    let Summary { payments, tps, average_ms, p95_ms, p99_ms, success_rate, fraud_checks: _, fraud_p99_ms } = summary;
    ReleaseFiguresStatus {
        payments: i64::try_from(*payments).unwrap_or(i64::MAX),
        tps: number(*tps),
        average_ms: average_ms.map(number),
        p95_ms: p95_ms.map(number),
        p99_ms: p99_ms.map(number),
        success_rate: success_rate.map(|rate| format!("{rate:.2}")),
        fraud_p99_ms: fraud_p99_ms.map(number),
    }
}

/// A time as the status has it: whole seconds.
#[must_use]
pub fn text(time: Timestamp) -> String {
    Timestamp::from_second(time.as_second()).unwrap_or(time).to_string()
}

/// A time out of the status; `None` when it is none.
#[must_use]
pub fn parse(text: &str) -> Option<Timestamp> {
    text.parse().ok()
}

/// From one time to a later one; nothing when it is not later, as after a step of the clock.
#[must_use]
pub fn millis_between(since: Timestamp, now: Timestamp) -> u64 {
    u64::try_from(now.as_millisecond().saturating_sub(since.as_millisecond())).unwrap_or(0)
}

/// Whether so many milliseconds have passed since a time of the status. A time that is still to come has not, nor has one that
/// cannot be read.
#[must_use]
pub fn has_passed(since: Option<&String>, millis: u64, now: Timestamp) -> bool {
    since.and_then(|since| parse(since)).is_some_and(|since| now >= since && millis_between(since, now) >= millis)
}
