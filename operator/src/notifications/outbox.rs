//! What is owed to whom. ★ Pure.

use crds::Stage;
use crds::payment_cluster::{NotificationEvent, NotificationsStatus, OwedNotification, PaymentClusterStatus};
use jiff::Timestamp;

use super::Delivery;
use super::happened::{self, Happened};
use crate::cluster::observed::Observed;
use crate::cluster::plan_history::text;
use crate::cluster::revision;

/// Longest message, in letters: a status has limits, and so has the patience of who reads it.
const MESSAGE_LETTERS_MAX: usize = 500;

/// What is remembered of notifications in a status that is about to be written.
#[must_use]
pub fn owed(observed: &Observed, after: &PaymentClusterStatus, now: Timestamp) -> Option<NotificationsStatus> {
    let spec = &observed.cluster.spec;
    let before = observed.cluster.status.clone().unwrap_or_default();
    let NotificationsStatus { owed, mut last_failure } = before.notifications.clone().unwrap_or_default();
    let mut owed: Vec<_> = owed.into_iter().filter_map(|one| still_owed(one, observed)).collect();
    for happened in happened::between(&before, after, &revision::wanted(observed).name) {
        let failure = format!("{} {}", happened.version, happened.reason);
        match happened.event {
            NotificationEvent::Started => last_failure = None,
            NotificationEvent::Failed if last_failure.as_ref() == Some(&failure) => continue,
            NotificationEvent::Failed => last_failure = Some(failure),
            _ => {}
        }
        let wanting = spec.notifications.iter().filter(|notification| notification.wants(happened.event));
        let to: Vec<_> = wanting.map(|notification| notification.name.clone()).collect();
        let new = new_debt(happened, after.stage, to, now);
        if !new.to.is_empty() && owed.iter().all(|other: &OwedNotification| other.id != new.id) {
            owed.push(new);
        }
    }
    owed.drain(..owed.len().saturating_sub(NotificationsStatus::OWED_MAX));
    let last_failure = last_failure.filter(|_| !spec.notifications.is_empty());
    (!owed.is_empty() || last_failure.is_some()).then_some(NotificationsStatus { owed, last_failure })
}

/// Without those who were told, and those whom nobody wants to be told any longer.
fn still_owed(one: OwedNotification, observed: &Observed) -> Option<OwedNotification> {
    let notifications = &observed.cluster.spec.notifications;
    let is_owed = |name: &String| {
        let delivery = Delivery { id: one.id.clone(), to: name.clone() };
        notifications.iter().any(|notification| notification.name == *name)
            && !observed.notifications.ended.contains(&delivery)
    };
    let to: Vec<_> = one.to.iter().filter(|name| is_owed(name)).cloned().collect();
    (!to.is_empty()).then_some(OwedNotification { to, ..one })
}

fn new_debt(happened: Happened, stage: Option<Stage>, to: Vec<String>, now: Timestamp) -> OwedNotification {
    let Happened { event, reason: _, version, from, message, figures } = happened;
    let at = text(now);
    OwedNotification {
        id: format!("{version}-{}-{at}", event.as_str()),
        event,
        version,
        from,
        stage: stage.unwrap_or(Stage::Validating),
        message: message.chars().take(MESSAGE_LETTERS_MAX).collect(),
        figures,
        at,
        to,
    }
}
