//! The record of each release that ended, as a ConfigMap that a person and a program can read. ★ Pure.
//!
//! It is made of the history alone, so one that is deleted comes back for as long as the release is in there, and goes with it.

use crds::payment_cluster::{ReleaseRecord, ReleaseStatus};
use serde_json::{Value, json};

use super::observed::Observed;
use super::plan_migration::component;
use super::record_text;
use super::step::Step;
use crate::names::{Identity, Release};
use crate::owned::difference::contains;
use crate::owned::{Desired, Kind, Live};

/// Label of records.
pub const COMPONENT: &str = "release-record";

/// The newest record of a version, with what is known of earlier tries.
#[must_use]
pub fn of(identity: &Identity, record: &ReleaseRecord, earlier: &[&ReleaseRecord]) -> Desired {
    let release = Release { name: record.version.clone() };
    let mut document = json!(record);
    document["namespace"] = json!(identity.namespace);
    document["name"] = json!(identity.name);
    if !earlier.is_empty() {
        document["earlier"] = json!(earlier);
    }
    let content = json!({ "data": {
        "release.json": format!("{document:#}\n"),
        "release.md": record_text::markdown(identity, record, earlier),
    } });
    Desired::new(Kind::ConfigMap, identity, identity.release_record(&release), COMPONENT, Some(&release), content)
}

/// What has to be written so that the records are those of the history.
#[must_use]
pub fn steps(observed: &Observed, release: &ReleaseStatus) -> Vec<Step> {
    let wanted = wanted(&observed.identity, release);
    let is_missing = |object: &&Desired| match observed.find(object.kind, &object.name) {
        Some(live) => !live.is_terminating() && !contains(&live.body, &object.body),
        None => true,
    };
    let written = wanted.iter().filter(is_missing).map(|object| {
        let is_new = observed.find(object.kind, &object.name).is_none();
        Step::Apply { object: Box::new(object.clone()), is_new }
    });
    let is_wanted = |live: &&Live| wanted.iter().any(|object| object.name == live.name);
    let over = observed.live.iter().filter(|live| is_record(live) && !live.is_terminating() && !is_wanted(live));
    let removed = over.map(|live| Step::Delete { kind: live.kind, name: live.name.clone(), uid: live.uid.clone() });
    written.chain(removed).collect()
}

/// Whether an object is a record, which goes by no other rule than that of [`steps`].
#[must_use]
pub fn is_record(live: &Live) -> bool {
    live.kind == Kind::ConfigMap && component(live) == Some(COMPONENT)
}

/// One record a version: a version may have been tried more than once.
fn wanted(identity: &Identity, release: &ReleaseStatus) -> Vec<Desired> {
    let history = &release.history;
    let newest = history
        .iter()
        .enumerate()
        .filter(|(index, record)| history.iter().position(|other| other.version == record.version) == Some(*index));
    newest
        .map(|(index, record)| {
            let older = history.iter().skip(index + 1).filter(|other| other.version == record.version);
            of(identity, record, &older.collect::<Vec<_>>())
        })
        .collect()
}

/// The fields of a record besides those that [`record_text`] has a place for.
pub(super) fn others(record: &ReleaseRecord) -> Vec<(String, Value)> {
    let Value::Object(fields) = json!(record) else { return Vec::new() };
    fields.into_iter().filter(|(name, _)| !record_text::PLACED.contains(&name.as_str())).collect()
}

#[cfg(test)]
#[path = "record_tests.rs"]
mod tests;
