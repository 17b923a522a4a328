//! Whether writes are refused, for whom, and until when. ★ Pure.

use crds::annotations::MAINTENANCE;
use crds::conditions::cluster::WRITES_ACCEPTED;
use crds::payment_cluster::{MaintenanceStatus, PreparationStatus, ReleaseStatus};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt;

use super::observed::Observed;
use super::plan_history::{millis_between, text};
use super::step::Verdict;
use super::validate::Validated;

/// Reason of the condition after a maintenance.
const REOPENED: &str = "AcceptedAgain";

/// Whether writes are to be refused. What a release needs is written into the status first, and done then.
#[must_use]
pub fn is_wanted(observed: &Observed) -> bool {
    let release = observed.cluster.status.as_ref().and_then(|status| status.release.as_ref());
    by_person(observed) || release.is_some_and(is_on)
}

fn by_person(observed: &Observed) -> bool {
    observed.cluster.annotations().get(MAINTENANCE).is_some_and(|value| value == "true")
}

/// The maintenance of the release that is on its way.
#[must_use]
pub fn of(release: &ReleaseStatus) -> Option<&MaintenanceStatus> {
    release.preparation.as_ref()?.maintenance.as_ref()
}

/// Whether writes are refused for a release.
#[must_use]
pub fn is_on(release: &ReleaseStatus) -> bool {
    of(release).is_some_and(MaintenanceStatus::is_on)
}

/// Whether the release before cannot come back: the schema was changed in a way that it does not know, and payments were accepted
/// since, so the database cannot go back either.
#[must_use]
pub fn is_past_return(release: &ReleaseStatus) -> bool {
    of(release).is_some_and(|maintenance| {
        maintenance.is_migrating && maintenance.restored_at.is_none() && maintenance.until.is_some()
    })
}

/// Changes what is known of a release's maintenance.
pub fn change(release: &mut ReleaseStatus, change: impl FnOnce(&mut MaintenanceStatus)) {
    let preparation = release.preparation.get_or_insert_with(PreparationStatus::default);
    change(preparation.maintenance.get_or_insert_with(MaintenanceStatus::default));
}

/// Accepts writes again.
pub fn end(release: &mut ReleaseStatus, now: Timestamp) {
    if is_on(release) {
        change(release, |maintenance| maintenance.until = Some(text(now)));
    }
}

/// The condition WritesAccepted.
#[must_use]
pub fn verdict(observed: &Observed, release: &ReleaseStatus) -> Verdict {
    match of(release).filter(|maintenance| maintenance.is_on()) {
        Some(maintenance) => {
            let version = release.target.as_deref().unwrap_or_default();
            let message = format!("writes are refused since {} for release {version}", maintenance.since);
            Verdict::no("Maintenance", message)
        }
        None if by_person(observed) => {
            let message = "somebody has writes refused: `kubectl purser maintenance off`, or remove the annotation \
                           purser.dev/maintenance";
            Verdict::no("Maintenance", message)
        }
        None if was_closed(observed) => Verdict::yes(REOPENED, "writes are accepted again"),
        None => Verdict::yes("Accepted", "writes are accepted"),
    }
}

fn told(observed: &Observed) -> Option<&Condition> {
    let status = observed.cluster.status.as_ref()?;
    status.conditions.iter().find(|condition| condition.type_ == WRITES_ACCEPTED)
}

fn was_closed(observed: &Observed) -> bool {
    told(observed).is_some_and(|told| told.status == "False" || told.reason == REOPENED)
}

/// Why figures say nothing of a release: while writes are refused nobody pays, and a little later that is still in the window.
#[must_use]
pub fn clouds(cluster: &Validated, observed: &Observed, now: Timestamp) -> Option<&'static str> {
    let window_ms = u64::from(cluster.sla.window_s) * 1_000;
    let just_reopened = told(observed).is_some_and(|told| {
        let is_over = millis_between(told.last_transition_time.0, now) >= window_ms;
        told.status == "False" || (told.reason == REOPENED && !is_over)
    });
    match (cluster.in_maintenance, just_reopened) {
        (true, _) => Some("writes are refused"),
        (false, true) => Some("writes were refused until just now"),
        (false, false) => None,
    }
}
