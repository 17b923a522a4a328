//! What a person may decide about a release now, and which annotations say so. ★ Pure.

use std::collections::BTreeMap;

use crds::payment_cluster::WhyAbandoned;
use crds::{Stage, annotations, conditions};

use super::holding;
use super::subject::Subject;
use crate::cluster::plan_maintenance;

/// What a person wishes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// Agree; to this version, if one is given.
    Approve(Option<String>),
    /// Refuse; this version, if one is given.
    Reject(Option<String>),
    /// Give up what is on its way.
    Abort,
    /// Take back what serves.
    Rollback,
    /// Try again. A value that the annotation has not had before.
    Retry(String),
    Pause,
    Resume,
    /// Have writes refused, or accepted again.
    Maintenance(bool),
}

/// Annotations to set, or to remove where there is no value.
pub(super) type Annotations = BTreeMap<&'static str, Option<String>>;

/// A wish that makes sense.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Decision {
    pub(super) annotations: Annotations,
    /// What was decided, in a sentence.
    pub(super) told: String,
    pub(super) effect: Effect,
}

/// By what one sees that the operator has done it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// The version has begun.
    Begun(String),
    /// The version was given up.
    Abandoned(String),
    /// Nothing is given up, and nothing stalls.
    TriedAgain,
    /// Writes are accepted, or refused.
    Writes(bool),
    /// The annotation itself.
    AtOnce,
}

impl Effect {
    /// Whether it is there.
    pub(super) fn has_come(&self, subject: Subject<'_>) -> bool {
        let Some(stage) = subject.stage() else { return false };
        match self {
            Self::Begun(version) => {
                let begun = !stage.is_before_start();
                subject.target() == Some(version) && begun
            }
            Self::Abandoned(version) => {
                stage.is_end() && is_abandoned(subject, version) && subject.current() != Some(version)
            }
            Self::TriedAgain => stage != Stage::RolledBack && !subject.is_condition(conditions::STALLED, "True"),
            Self::Writes(accepted) => {
                let status = if *accepted { "True" } else { "False" };
                subject.is_condition(conditions::cluster::WRITES_ACCEPTED, status)
                    && subject.is_condition(conditions::cluster::SETTINGS_APPLIED, "True")
            }
            Self::AtOnce => true,
        }
    }
}

/// Whether a wish makes sense now.
pub(super) fn makes_sense(wish: &Wish, subject: Subject<'_>) -> bool {
    decide(wish, subject).is_ok()
}

/// What follows from a wish, or why it makes no sense now.
pub(super) fn decide(wish: &Wish, subject: Subject<'_>) -> Result<Decision, String> {
    let Some(stage) = subject.stage() else {
        return Err(format!("no operator has looked at {} yet: is purser-operator running?", subject.name()));
    };
    match wish {
        Wish::Approve(version) => approve(subject, stage, version.as_deref()),
        Wish::Reject(version) => reject(subject, stage, version.as_deref()),
        Wish::Abort => abort(subject, stage),
        Wish::Rollback => rollback(subject, stage),
        Wish::Retry(fresh) => retry(subject, stage, fresh),
        Wish::Pause => holding::pause(subject, stage),
        Wish::Resume => holding::resume(subject, stage),
        Wish::Maintenance(on) => holding::maintenance(subject, *on),
    }
}

fn approve(subject: Subject<'_>, stage: Stage, meant: Option<&str>) -> Result<Decision, String> {
    let version = waiting(subject, stage, meant)?;
    let mut annotations = set(annotations::APPROVED, version);
    withdraw(&mut annotations, subject, annotations::REJECTED, version);
    let told = format!("release {version} of {} is approved", subject.name());
    Ok(Decision { annotations, told, effect: Effect::Begun(version.to_owned()) })
}

fn reject(subject: Subject<'_>, stage: Stage, meant: Option<&str>) -> Result<Decision, String> {
    let version = waiting(subject, stage, meant)?;
    let mut annotations = set(annotations::REJECTED, version);
    withdraw(&mut annotations, subject, annotations::APPROVED, version);
    let told = format!(
        "release {version} of {} is rejected; it is not tried until another version was wanted in between, or by `{}`",
        subject.name(),
        subject.command("retry", "")
    );
    Ok(Decision { annotations, told, effect: Effect::Abandoned(version.to_owned()) })
}

/// The version that waits for approval.
fn waiting<'a>(subject: Subject<'a>, stage: Stage, meant: Option<&str>) -> Result<&'a str, String> {
    let Some(version) = subject.waits_for_approval() else {
        return Err(nothing_waits(subject, stage));
    };
    match meant {
        Some(meant) if meant != version => Err(format!("release {version} waits for approval, not {meant}")),
        _ => Ok(version),
    }
}

fn nothing_waits(subject: Subject<'_>, stage: Stage) -> String {
    let (name, wanted) = (subject.name(), subject.wanted());
    if !subject.is_about_the_wanted() {
        return unlooked(subject);
    }
    let abandoned = subject.release().and_then(|release| release.abandoned.as_ref());
    if abandoned.is_some_and(|found| found.version == wanted && found.why == WhyAbandoned::Rejected) {
        let retry = subject.command("retry", "");
        return format!("release {wanted} of {name} was rejected; `{retry}` has it asked about again");
    }
    let is = at(subject, stage);
    if subject.needs_approval() {
        format!("nothing waits for approval: {is}")
    } else {
        format!("nothing waits for approval: spec.rollout.approval of {name} is NotRequired, and {is}")
    }
}

fn abort(subject: Subject<'_>, stage: Stage) -> Result<Decision, String> {
    let (name, wanted, current) = (subject.name(), subject.wanted(), subject.current());
    if !subject.is_about_the_wanted() {
        return Err(unlooked(subject));
    }
    let serves = current == Some(wanted);
    match stage {
        Stage::Validating => Err(format!(
            "release {wanted} of {name} has not begun, so there is nothing to give up: put the spec back instead"
        )),
        Stage::RollingBack | Stage::Restoring | Stage::RolledBack | Stage::Finished | Stage::Verified => {
            Err(with_way_back(subject, at(subject, stage)))
        }
        Stage::Monitoring if serves && subject.kept().is_none() => {
            Err(format!("release {wanted} of {name} serves, and no release before it is kept to go back to"))
        }
        _ if subject.release().is_some_and(plan_maintenance::is_past_return) => Err(format!(
            "release {wanted} of {name} has changed the schema offline, and payments were accepted since: the release before it \
             cannot work with that, and the database cannot go back without losing them"
        )),
        _ if serves && stage != Stage::Monitoring => {
            let is = format!("release {wanted} of {name} serves already, and only follows a change of its settings");
            Err(with_way_back(subject, is))
        }
        _ => {
            let before = subject.kept().map(|kept| kept.version.as_str()).filter(|_| serves).or(current);
            Ok(abandon(subject, wanted, before))
        }
    }
}

/// A release that serves is taken back by another command, if at all.
fn with_way_back(subject: Subject<'_>, is: String) -> String {
    match subject.kept().filter(|_| subject.current() == Some(subject.wanted())) {
        Some(kept) => {
            format!("nothing is on its way: {is}; `{}` brings {} back", subject.command("rollback", ""), kept.version)
        }
        None => format!("nothing is on its way that could be given up: {is}"),
    }
}

fn rollback(subject: Subject<'_>, stage: Stage) -> Result<Decision, String> {
    let name = subject.name();
    let Some(current) = subject.current() else {
        return Err(format!("no release of {name} serves yet, so there is none to take back"));
    };
    if matches!(stage, Stage::RollingBack | Stage::Restoring | Stage::RolledBack) {
        return Err(format!("{}: release {current} serves", at(subject, stage)));
    }
    if !subject.is_about_the_wanted() {
        return Err(unlooked(subject));
    }
    if subject.wanted() != current {
        let abort = subject.command("abort", "");
        return Err(format!("{}, and {current} still serves: `{abort}` gives it up", at(subject, stage)));
    }
    match subject.kept() {
        Some(kept) => Ok(abandon(subject, current, Some(&kept.version))),
        None => Err(format!(
            "no release before {current} of {name} is kept any more; to go back, set spec.version and its settings as they are wanted"
        )),
    }
}

fn abandon(subject: Subject<'_>, version: &str, before: Option<&str>) -> Decision {
    let then = before.map_or_else(|| "nothing served before it".to_owned(), |before| format!("{before} serves"));
    let told = format!(
        "release {version} of {} is given up, and {then}; it is not tried again until another version is wanted, or by `{}`",
        subject.name(),
        subject.command("retry", "")
    );
    let annotations = set(annotations::ABANDONED, version);
    Decision { annotations, told, effect: Effect::Abandoned(version.to_owned()) }
}

fn retry(subject: Subject<'_>, stage: Stage, fresh: &str) -> Result<Decision, String> {
    let wanted = subject.wanted();
    if matches!(stage, Stage::RollingBack | Stage::Restoring) {
        return Err(format!("{}: try again when that is done", at(subject, stage)));
    }
    let concerns = [
        conditions::cluster::SCHEMA_READY,
        conditions::cluster::SETTINGS_APPLIED,
        conditions::cluster::ANALYTICS_READY,
    ];
    let failed = concerns.iter().any(|name| subject.is_condition(name, "False"));
    let stands = stage == Stage::RolledBack || is_abandoned(subject, wanted);
    if !(stands || failed || subject.is_condition(conditions::STALLED, "True")) {
        return Err(format!("nothing failed that could be tried again: {}", at(subject, stage)));
    }
    let mut annotations = set(annotations::RETRY, fresh);
    for key in [annotations::ABANDONED, annotations::REJECTED] {
        if subject.annotation(key).is_some() {
            annotations.insert(key, None);
        }
    }
    let told = format!("release {wanted} of {} is tried again", subject.name());
    Ok(Decision { annotations, told, effect: Effect::TriedAgain })
}

pub(super) fn set(key: &'static str, value: &str) -> Annotations {
    [(key, Some(value.to_owned()))].into()
}

/// The last word counts: what was said of this version before is taken back.
fn withdraw(annotations: &mut Annotations, subject: Subject<'_>, key: &'static str, version: &str) {
    if subject.annotation(key) == Some(version) {
        annotations.insert(key, None);
    }
}

fn is_abandoned(subject: Subject<'_>, version: &str) -> bool {
    let abandoned = subject.release().and_then(|release| release.abandoned.as_ref());
    abandoned.is_some_and(|found| found.version == version)
}

pub(super) fn at(subject: Subject<'_>, stage: Stage) -> String {
    let version = subject.target().unwrap_or_else(|| subject.wanted());
    format!("release {version} of {} is {}", subject.name(), stage.as_str())
}

fn unlooked(subject: Subject<'_>) -> String {
    format!(
        "version {} of {} is wanted, and the operator has not begun with it: `{}` tells why",
        subject.wanted(),
        subject.name(),
        subject.command("status", "")
    )
}

#[cfg(test)]
#[path = "decision_tests.rs"]
mod tests;
