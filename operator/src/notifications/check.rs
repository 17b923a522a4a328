//! Whether everybody can be told who is to be told. ★ Pure.
//!
//! A release never waits for it: whoever misses a word of it finds the whole in the status.

use crds::Stage;
use crds::payment_cluster::{Notification, NotificationEvent, OwedNotification, ReleaseFiguresStatus};

use super::letter;
use crate::cluster::observed::Observed;
use crate::cluster::step::Verdict;

/// The condition NotificationsReady.
#[must_use]
pub fn verdict(observed: &Observed) -> Verdict {
    let notifications = &observed.cluster.spec.notifications;
    let problem = notifications.iter().find_map(|notification| {
        let (reason, message) = problem(notification, observed)?;
        Some((reason, format!("notification \"{}\" cannot be sent: {message}", notification.name)))
    });
    match problem {
        Some((reason, message)) => Verdict::no(reason, message),
        None if notifications.is_empty() => Verdict::yes("NoneWanted", "nobody is to be told how releases go"),
        None => Verdict::yes("Ready", "everybody in spec.notifications can be told"),
    }
}

fn problem(notification: &Notification, observed: &Observed) -> Option<(&'static str, String)> {
    let tried = samples(notification).into_iter().map(|what| letter::sample(notification, what).body());
    let template = tried.filter_map(Result::err).next().map(|error| ("TemplateInvalid", error));
    template.or_else(|| {
        let state = observed.notifications.secrets.get(&notification.name)?;
        state.problem(notification.secret()?, &observed.identity.namespace)
    })
}

/// Every event that it may be told of, with all that may be known of it and with as little: a template that works for these works.
fn samples(notification: &Notification) -> Vec<OwedNotification> {
    let has_template = notification.webhook.as_ref().is_some_and(|webhook| webhook.template.is_some());
    let wanted = NotificationEvent::ALL.into_iter().filter(|event| has_template && notification.wants(*event));
    let few = |event| OwedNotification {
        id: "0.2.0-Started-2026-01-01T00:00:00Z".into(),
        event,
        version: "0.2.0".into(),
        from: None,
        stage: Stage::Validating,
        message: "a \"word\", a \\ and\na line".into(),
        figures: None,
        at: "2026-01-01T00:00:00Z".into(),
        to: Vec::new(),
    };
    let number = || Some("20.0".to_owned());
    let some = ReleaseFiguresStatus {
        payments: 0,
        tps: "0.0".into(),
        average_ms: None,
        p95_ms: None,
        p99_ms: None,
        success_rate: None,
        fraud_p99_ms: None,
    };
    let all = ReleaseFiguresStatus {
        average_ms: number(),
        p95_ms: number(),
        p99_ms: number(),
        success_rate: number(),
        fraud_p99_ms: number(),
        ..some.clone()
    };
    wanted
        .flat_map(|event| {
            let full = |figures: &ReleaseFiguresStatus| OwedNotification {
                from: Some("0.1.0".into()),
                figures: Some(figures.clone()),
                ..few(event)
            };
            [few(event), full(&some), full(&all)]
        })
        .collect()
}
