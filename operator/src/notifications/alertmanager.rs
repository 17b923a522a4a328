//! What Alertmanager is sent. ★ Pure.
//!
//! It knows an alert by its labels. Whoever raises one is to send it again and again, or say when it ends; a release that failed
//! stays so, and an operator at rest sends nothing, so each alert ends by itself after a day, or before, when a later release
//! succeeds.

use crds::payment_cluster::NotificationEvent;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::letter::Letter;
use crate::cluster::plan_history::{parse, text};

/// How long an alert fires that nothing ends.
const FIRES: SignedDuration = SignedDuration::from_hours(24);

/// An end is told as a little past: Alertmanager forgets one that its own clock has not reached yet.
const ENDED: SignedDuration = SignedDuration::from_mins(1);

/// The alert that something is, or the end of all alerts that a success ends.
pub(super) fn alerts(letter: &Letter) -> Value {
    let what = &letter.what;
    let at = parse(&what.at).unwrap_or(Timestamp::UNIX_EPOCH);
    if what.event.is_alert() {
        let ends = at.checked_add(FIRES).unwrap_or(Timestamp::MAX);
        return json!([alert(letter, what.event, &what.version, &what.at, &text(ends))]);
    }
    let end = text(at.checked_sub(ENDED).unwrap_or(at));
    let versions = letter.versions.iter().chain((!letter.versions.contains(&what.version)).then_some(&what.version));
    let over = versions.flat_map(|version| {
        let events = NotificationEvent::ALL.into_iter().filter(|event| event.is_alert());
        events.map(|event| alert(letter, event, version, &end, &end))
    });
    Value::Array(over.collect())
}

/// The labels must be the same at the begin and at the end, so there is nothing in them but what both know.
fn alert(letter: &Letter, event: NotificationEvent, version: &str, starts: &str, ends: &str) -> Value {
    let owner = letter.identity.owner();
    json!({
        "labels": {
            "alertname": name(event),
            "namespace": letter.identity.namespace,
            "paymentcluster": letter.identity.name,
            "version": version,
            "severity": severity(event),
        },
        "annotations": {
            "summary": format!("{}: release {version} of {owner}", event.as_str()),
            "description": letter.what.message,
        },
        "startsAt": starts,
        "endsAt": ends,
    })
}

fn name(event: NotificationEvent) -> String {
    format!("PurserRelease{}", event.as_str())
}

/// Where the release before serves again, a person may finish breakfast.
const fn severity(event: NotificationEvent) -> &'static str {
    match event {
        NotificationEvent::RolledBack => "warning",
        _ => "critical",
    }
}
