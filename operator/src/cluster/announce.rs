//! Which Events a change of status is worth. ★ Pure.
//!
//! Events come from the difference of two statuses and from nothing else, so there is one for each change and none
//! for each look.

use crds::{PaymentClusterStatus, Stage};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::runtime::events::{Event, EventType};

/// Longest note that Kubernetes takes, in bytes.
const NOTE_BYTES_MAX: usize = 1_000;

/// What an announcement of a new stage is about; any other is about a condition.
pub const STAGE: &str = "Stage";

/// One thing to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// Whether a person should look.
    pub is_warning: bool,
    /// What it is about. Kubernetes counts events of the same reason and action as one.
    pub about: String,
    /// One word.
    pub reason: String,
    /// A sentence.
    pub note: String,
}

impl Announcement {
    /// As Kubernetes takes it.
    #[must_use]
    pub fn event(&self) -> Event {
        let mut end = self.note.len().min(NOTE_BYTES_MAX);
        while !self.note.is_char_boundary(end) {
            end -= 1;
        }
        Event {
            type_: if self.is_warning { EventType::Warning } else { EventType::Normal },
            reason: self.reason.clone(),
            note: Some(self.note[..end].to_owned()),
            action: self.about.clone(),
            secondary: None,
        }
    }
}

/// What changed between two statuses.
#[must_use]
pub fn of_statuses(before: &PaymentClusterStatus, after: &PaymentClusterStatus) -> Vec<Announcement> {
    let stage = after.stage.filter(|stage| before.stage != Some(*stage)).map(|stage| {
        let target = after.release.as_ref().and_then(|release| release.target.as_deref()).unwrap_or_default();
        let note = format!("release {target} is {}", stage.as_str());
        Announcement { is_warning: false, about: STAGE.into(), reason: stage.as_str().into(), note }
    });
    stage.into_iter().chain(of_conditions(&before.conditions, &after.conditions)).collect()
}

/// What changed between two lists of conditions. Summaries are left to themselves: what they sum up is told already,
/// except that somebody has to act, or that all is well again.
#[must_use]
pub fn of_conditions(before: &[Condition], after: &[Condition]) -> Vec<Announcement> {
    after
        .iter()
        .filter_map(|after| of_condition(before.iter().find(|before| before.type_ == after.type_), after))
        .collect()
}

fn of_condition(before: Option<&Condition>, after: &Condition) -> Option<Announcement> {
    let status_before = before.map_or("Unknown", |before| before.status.as_str());
    let reason_before = before.map_or("", |before| before.reason.as_str());
    let changed = status_before != after.status || reason_before != after.reason;
    // What merely has not happened yet is no news.
    let is_on_its_way = matches!(after.reason.as_str(), "Starting" | "Applying" | "Migrating" | "Configuring")
        || Stage::ALL.iter().any(|stage| stage.as_str() == after.reason);
    let tell = |is_warning| Announcement {
        is_warning,
        about: after.type_.clone(),
        reason: after.reason.clone(),
        note: format!("{}: {}", after.type_, after.message),
    };
    match (after.type_.as_str(), after.status.as_str()) {
        ("Reconciling", "True") => (changed && !is_on_its_way).then(|| tell(true)),
        ("Reconciling", _) | ("Stalled", "False") => None,
        ("Stalled", "True") => changed.then(|| tell(true)),
        ("Ready", "True") => (status_before != "True").then(|| tell(false)),
        ("Ready", _) => (status_before == "True").then(|| tell(true)),
        (_, "False") => (changed && !is_on_its_way).then(|| tell(true)),
        (_, "True") if after.reason == "Degraded" => changed.then(|| tell(true)),
        (_, "True") => (status_before == "False" || (changed && reason_before == "Degraded")).then(|| tell(false)),
        (_, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::fixtures;

    fn condition(type_: &str, status: &str, reason: &str) -> Condition {
        Condition {
            type_: type_.into(),
            status: status.into(),
            reason: reason.into(),
            message: "why".into(),
            observed_generation: None,
            last_transition_time: fixtures::time(0),
        }
    }

    #[test]
    fn each_change_is_told_once_and_no_look_is() {
        let cases = [
            // before, after, (warning, reason) or nothing
            (None, ("CacheReachable", "Unknown", "NotAsked"), None),
            (None, ("GatewayAvailable", "False", "Starting"), None),
            (None, ("Reconciling", "True", "Deploying"), None),
            (
                Some(("Reconciling", "True", "Deploying")),
                ("Reconciling", "True", "ImagePullFailed"),
                Some((true, "ImagePullFailed")),
            ),
            (None, ("Stalled", "True", "SecretMissing"), Some((true, "SecretMissing"))),
            (Some(("Stalled", "True", "SecretMissing")), ("Stalled", "True", "SecretMissing"), None),
            (Some(("Stalled", "True", "SecretMissing")), ("Stalled", "False", "NotStalled"), None),
            (
                Some(("CacheReachable", "True", "Reachable")),
                ("CacheReachable", "False", "Unreachable"),
                Some((true, "Unreachable")),
            ),
            (
                Some(("CacheReachable", "False", "Unreachable")),
                ("CacheReachable", "True", "Reachable"),
                Some((false, "Reachable")),
            ),
            (Some(("Ready", "False", "Starting")), ("Ready", "True", "Serving"), Some((false, "Serving"))),
            (Some(("Ready", "True", "Serving")), ("Ready", "True", "Serving"), None),
            (Some(("Ready", "True", "Serving")), ("Ready", "False", "Unavailable"), Some((true, "Unavailable"))),
        ];
        for (before, after, expected) in cases {
            let before = before.map(|(name, status, reason)| condition(name, status, reason));
            let told = of_condition(before.as_ref(), &condition(after.0, after.1, after.2));
            let told = told.as_ref().map(|told| (told.is_warning, told.reason.as_str()));
            assert_eq!(told, expected, "{before:?} -> {after:?}");
        }
    }

    #[test]
    fn a_long_note_is_cut_between_letters() {
        let told = Announcement { is_warning: true, about: "A".into(), reason: "R".into(), note: "ä".repeat(900) };
        assert_eq!(told.event().note.unwrap().len(), NOTE_BYTES_MAX);
    }
}
