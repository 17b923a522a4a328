//! What a person may hold: a release where it is, and merchants' writes. ★ Pure.

use crds::{Stage, annotations, conditions};

use super::decision::{Decision, Effect, at, set};
use super::subject::Subject;

pub(super) fn pause(subject: Subject<'_>, stage: Stage) -> Result<Decision, String> {
    let name = subject.name();
    if subject.is_paused() {
        return Err(format!("{name} is paused already; `{}` lets it go on", subject.command("resume", "")));
    }
    let holds = if stage.is_end() && subject.is_about_the_wanted() {
        "nothing is on its way, and the next release will be held".to_owned()
    } else {
        format!("release {} is held where it is", subject.wanted())
    };
    let told = format!("{name} is paused: {holds}; `{}` lets it go on", subject.command("resume", ""));
    Ok(Decision { annotations: set(annotations::PAUSED, "true"), told, effect: Effect::AtOnce })
}

pub(super) fn resume(subject: Subject<'_>, stage: Stage) -> Result<Decision, String> {
    if !subject.is_paused() {
        return Err(format!("{} is not paused: {}", subject.name(), at(subject, stage)));
    }
    let told = format!("{} goes on", subject.name());
    Ok(Decision { annotations: [(annotations::PAUSED, None)].into(), told, effect: Effect::AtOnce })
}

pub(super) fn maintenance(subject: Subject<'_>, on: bool) -> Result<Decision, String> {
    let name = subject.name();
    let is_on = subject.annotation(annotations::MAINTENANCE) == Some("true");
    match (on, is_on) {
        (true, true) => Err(format!(
            "{name} is in maintenance already; `{}` has writes accepted again",
            subject.command("maintenance off", "")
        )),
        (true, false) => {
            let told = format!(
                "{name} goes into maintenance: writes get 503 and Retry-After, reads and accepted work go on; `{}` ends it",
                subject.command("maintenance off", "")
            );
            let annotations = set(annotations::MAINTENANCE, "true");
            Ok(Decision { annotations, told, effect: Effect::Writes(false) })
        }
        (false, true) => {
            let told = format!("maintenance of {name} ends: writes are accepted again");
            let annotations = [(annotations::MAINTENANCE, None)].into();
            Ok(Decision { annotations, told, effect: Effect::Writes(true) })
        }
        (false, false) if subject.is_condition(conditions::cluster::WRITES_ACCEPTED, "False") => Err(format!(
            "writes to {name} are refused for release {}, which ends that by itself; `{}` gives the release up",
            subject.target().unwrap_or_else(|| subject.wanted()),
            subject.command("abort", "")
        )),
        (false, false) => Err(format!("{name} is not in maintenance")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::decision::{Wish, decide};
    use super::*;
    use crate::plugin::test_data::{cluster, condition};

    fn decided(on: bool, change: impl FnOnce(&mut serde_json::Value)) -> Result<Decision, String> {
        let cluster = cluster(change);
        decide(&Wish::Maintenance(on), Subject { cluster: &cluster, flags: "" })
    }

    #[test]
    fn maintenance_begins_and_ends_once() {
        let by_hand = |whole: &mut serde_json::Value| {
            whole["metadata"]["annotations"] = json!({ annotations::MAINTENANCE: "true" });
        };
        let begun = decided(true, |_| {}).unwrap();
        assert_eq!(begun.annotations, [(annotations::MAINTENANCE, Some("true".to_owned()))].into());
        assert!(decided(true, by_hand).unwrap_err().contains("already"));
        assert_eq!(decided(false, by_hand).unwrap().annotations, [(annotations::MAINTENANCE, None)].into());
        assert_eq!(decided(false, |_| {}).unwrap_err(), "payments is not in maintenance");
    }

    #[test]
    fn what_a_release_has_refused_is_not_a_persons_to_accept() {
        let refused = decided(false, |whole| {
            whole["status"]["conditions"] = json!([condition("WritesAccepted", "False", "Maintenance", "")]);
        });
        assert!(refused.unwrap_err().contains("abort payments -n shop` gives the release up"));
    }
}
