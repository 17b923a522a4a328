//! What has happened to releases between two statuses. ★ Pure.

use crds::Stage;
use crds::conditions::{STALLED, cluster::SLA_MET};
use crds::payment_cluster::{
    NotificationEvent, PaymentClusterStatus, ReleaseFiguresStatus, ReleaseRecord, ReleaseResult, ReleaseStatus,
    WhyAbandoned,
};

use crate::cluster::announce::{self, Announcement, STAGE};
use crate::cluster::plan_sla;

/// Something that has happened to a release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Happened {
    pub(super) event: NotificationEvent,
    /// Why, in one word, for a failure.
    pub(super) reason: String,
    pub(super) version: String,
    pub(super) from: Option<String>,
    pub(super) message: String,
    pub(super) figures: Option<ReleaseFiguresStatus>,
}

/// What has happened between two statuses, when this version is wanted.
pub(super) fn between(before: &PaymentClusterStatus, after: &PaymentClusterStatus, wanted: &str) -> Vec<Happened> {
    let old = before.release.clone().unwrap_or_default();
    let Some(new) = &after.release else { return Vec::new() };
    let announced = announce::of_statuses(before, after);
    let is_given_up = new.abandoned.is_some() && new.abandoned != old.abandoned;
    let breach = if is_given_up { by_breach(new) } else { None };
    let is_told = breach.is_some();
    let others = announced.iter().filter(|one| !(is_told && one.about == SLA_MET));
    let others = others.filter_map(|one| announced_of(one, after, new, wanted));
    started(&old, new).into_iter().chain(breach).chain(others).chain(succeeded(&old, new)).collect()
}

fn started(old: &ReleaseStatus, new: &ReleaseStatus) -> Option<Happened> {
    let is_new = new.started_at.is_some() && new.started_at != old.started_at;
    let version = new.target.clone().filter(|_| is_new && new.current != new.target)?;
    let superseded = new_record(old, new).filter(|record| record.result == ReleaseResult::Superseded);
    let instead = superseded.map(|record| format!("; {}", record.message)).unwrap_or_default();
    let message = match &new.current {
        Some(current) => format!("release {version} is on its way; {current} serves{instead}"),
        None => format!("release {version} is on its way{instead}"),
    };
    Some(Happened { from: new.current.clone(), ..plain(NotificationEvent::Started, version, message) })
}

/// A release that was given up because of its SLA. The condition may have been false before, for another one.
fn by_breach(new: &ReleaseStatus) -> Option<Happened> {
    let abandoned = new.abandoned.as_ref().filter(|abandoned| abandoned.why == WhyAbandoned::SlaBreached)?;
    let breach = plain(NotificationEvent::SlaBreached, abandoned.version.clone(), abandoned.message.clone());
    Some(with_record(breach, new))
}

fn succeeded(old: &ReleaseStatus, new: &ReleaseStatus) -> Option<Happened> {
    let is_success =
        |record: &&ReleaseRecord| matches!(record.result, ReleaseResult::Succeeded | ReleaseResult::Verified);
    let record = new_record(old, new).filter(is_success)?;
    let succeeded = plain(NotificationEvent::Succeeded, record.version.clone(), record.message.clone());
    Some(with_record(succeeded, new))
}

fn announced_of(
    one: &Announcement,
    after: &PaymentClusterStatus,
    new: &ReleaseStatus,
    wanted: &str,
) -> Option<Happened> {
    let stage = after.stage.unwrap_or(Stage::Validating);
    let others = |version: &str| new.current.clone().filter(|current| current != version);
    let condition = after.conditions.iter().find(|condition| condition.type_ == one.about);
    let message = || condition.map_or_else(|| one.note.clone(), |condition| condition.message.clone());
    match (one.about.as_str(), one.is_warning) {
        (STAGE, _) if stage == Stage::AwaitingApproval => {
            let version = new.target.clone()?;
            let message = after.waiting_on.clone().unwrap_or_else(|| one.note.clone());
            Some(Happened { from: others(&version), ..plain(NotificationEvent::ApprovalNeeded, version, message) })
        }
        (STAGE, _) if stage == Stage::RolledBack => {
            let abandoned = new.abandoned.as_ref()?;
            let back = plain(NotificationEvent::RolledBack, abandoned.version.clone(), abandoned.message.clone());
            Some(with_record(back, new))
        }
        (SLA_MET, true) => {
            let version = plan_sla::judged(stage, new)?.to_owned();
            Some(Happened { from: others(&version), ..plain(NotificationEvent::SlaBreached, version, message()) })
        }
        // One that was given up waits for a person as well, and is told by another name. What goes wrong about the release that
        // serves is the matter of its conditions.
        (STALLED, true) if new.current.as_deref() != Some(wanted) && !is_why(new, &one.reason) => {
            let failed = plain(NotificationEvent::Failed, wanted.to_owned(), message());
            Some(Happened { from: others(wanted), reason: one.reason.clone(), ..failed })
        }
        _ => None,
    }
}

fn is_why(release: &ReleaseStatus, reason: &str) -> bool {
    release.abandoned.as_ref().is_some_and(|abandoned| abandoned.why.as_str() == reason)
}

fn plain(event: NotificationEvent, version: String, message: String) -> Happened {
    Happened { event, reason: String::new(), version, from: None, message, figures: None }
}

/// With what the newest record knows of it.
fn with_record(happened: Happened, release: &ReleaseStatus) -> Happened {
    let record = release.history.first().filter(|record| record.version == happened.version);
    Happened {
        from: record.and_then(|record| record.from.clone()).or_else(|| happened.from.clone()),
        figures: record.and_then(|record| record.figures.clone()),
        ..happened
    }
}

/// The record of a release that has ended in between.
fn new_record<'a>(old: &ReleaseStatus, new: &'a ReleaseStatus) -> Option<&'a ReleaseRecord> {
    new.history.first().filter(|record| Some(*record) != old.history.first())
}
