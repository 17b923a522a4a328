//! Which release a spec asks for: a version, and from the second configuration of it on a revision. ★ Pure.
//!
//! What the pods start with has a digest, and the status says which digest goes by which name. An equal configuration is the
//! same release for ever: one that was given up stays given up, and one that serves is no release anew.

use crds::PaymentClusterSpec;
use crds::payment_cluster::{NamedConfiguration, ReleaseStatus};
use serde_json::json;

use super::configuration::{self, Configuration};
use super::observed::Observed;
use super::plan::release_before;
use crate::names::{Release, revision_of, version_of};
use crate::owned::hash_of;

/// The release that the spec asks for.
#[must_use]
pub fn wanted(observed: &Observed) -> Release {
    let (before, spec) = (release_before(observed), &observed.cluster.spec);
    let (known, digest) = (known(observed, &before), digest(&Configuration::of(spec)));
    let is_of_version = |name: &str| version_of(name) == spec.version;
    let is_same = |one: &&NamedConfiguration| one.digest == digest && is_of_version(&one.release);
    if let Some(name) = chosen(known.iter().filter(is_same), &before) {
        return Release { name: name.to_owned() };
    }
    let abandoned = before.abandoned.as_ref().map(|abandoned| &abandoned.version);
    let first = before.target.as_ref().filter(|target| before.current.is_none() && abandoned != Some(target));
    // Nobody could take over from the first release: until it serves, its pods follow the spec.
    if let Some(first) = first.filter(|first| is_of_version(first)) {
        return Release { name: first.clone() };
    }
    let names = known.iter().map(|one| &one.release).chain(named(&before));
    let newest = names.filter(|name| is_of_version(name)).map(|name| revision_of(name)).max();
    Release::of(&spec.version, newest.unwrap_or(0) + 1)
}

/// The name of the release that a spec asks for, as far as a status tells. `None` as long as no operator has named it.
#[must_use]
pub fn told<'a>(
    spec: &'a PaymentClusterSpec,
    is_looked_at: bool,
    release: Option<&'a ReleaseStatus>,
) -> Option<&'a str> {
    let Some(release) = release else { return Some(&spec.version) };
    let digest = digest(&Configuration::of(spec));
    let of_version = || release.configurations.iter().filter(|one| version_of(&one.release) == spec.version);
    if let Some(name) = chosen(of_version().filter(|one| one.digest == digest), release) {
        return Some(name);
    }
    // Whoever asks may be of another time than the operator, and know other fields.
    let target = release.target.as_deref().filter(|target| is_looked_at && version_of(target) == spec.version);
    target.or_else(|| of_version().next().is_none().then_some(spec.version.as_str()))
}

/// The names of configurations, with that of the release that the spec asks for; without those that nothing speaks of.
#[must_use]
pub fn remembered(observed: &Observed, wanted: &Release, after: &ReleaseStatus) -> Vec<NamedConfiguration> {
    let digest = digest(&Configuration::of(&observed.cluster.spec));
    let mut known = known(observed, &release_before(observed));
    if after.target.as_ref() == Some(&wanted.name) {
        known.retain(|one| one.release != wanted.name);
        known.push(NamedConfiguration { release: wanted.name.clone(), digest });
    }
    // The newest of the wanted version as well: its number is not given away twice.
    let of_version = known.iter().filter(|one| version_of(&one.release) == wanted.version());
    let newest = of_version.max_by_key(|one| revision_of(&one.release)).map(|one| one.release.clone());
    let spoken: Vec<_> = named(after).chain(&newest).cloned().collect();
    known.retain(|one| spoken.contains(&one.release));
    known.sort_by(|one, other| one.release.cmp(&other.release));
    known
}

/// Of the releases with the wanted configuration the one that serves or is on its way, else the newest.
fn chosen<'a>(same: impl Iterator<Item = &'a NamedConfiguration>, before: &ReleaseStatus) -> Option<&'a str> {
    let rank = |name: &&str| {
        let is = |other: &Option<String>| other.as_deref() == Some(*name);
        (is(&before.current), is(&before.target), revision_of(name))
    };
    same.map(|one| one.release.as_str()).max_by_key(rank)
}

/// The releases that a status speaks of.
fn named(release: &ReleaseStatus) -> impl Iterator<Item = &String> {
    let kept = release.kept.as_ref().map(|kept| &kept.version);
    let abandoned = release.abandoned.as_ref().map(|abandoned| &abandoned.version);
    let ended = release.history.iter().map(|record| &record.version);
    release.current.iter().chain(&release.target).chain(kept).chain(abandoned).chain(ended)
}

/// What is known of configurations. A status that tells nothing of those of its releases, because it was lost or an operator
/// wrote it that knew of none, is no reason for a release: they have what they were started with, or what the spec says.
fn known(observed: &Observed, before: &ReleaseStatus) -> Vec<NamedConfiguration> {
    let mut known = before.configurations.clone();
    let spec = &observed.cluster.spec;
    for name in before.current.iter().chain(&before.target) {
        if known.iter().any(|one| one.release == *name) {
            continue;
        }
        let stored = configuration::stored(observed, &Release { name: name.clone() });
        let of_spec = || (version_of(name) == spec.version).then(|| Configuration::of(spec));
        if let Some(configuration) = stored.or_else(of_spec) {
            known.push(NamedConfiguration { release: name.clone(), digest: digest(&configuration) });
        }
    }
    known
}

/// It must stay what it is for an equal spec: a field that comes later is left out where it is not set.
fn digest(configuration: &Configuration) -> String {
    hash_of(&json!(configuration))
}

#[cfg(test)]
#[path = "revision_tests.rs"]
mod tests;
