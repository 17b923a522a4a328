//! Whether another PaymentCluster has verified the wanted version: nothing is begun for it before. ★ Pure.

use crds::payment_cluster::{Environment, PromotionStatus, ReleaseStatus};
use crds::{PaymentCluster, Stage};
use jiff::Timestamp;
use kube::ResourceExt;

use super::observed::{Observed, Upstream};
use super::plan::stage_before;
use super::plan_history::text;
use super::step::WaitingOn;
use super::validate::Validated;
use crate::names::version_of;

/// What stands between a release and its approval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Promotion {
    /// Nothing. The releases, with the proof.
    Open(Box<ReleaseStatus>),
    /// It was not verified, or nobody can tell.
    Closed {
        /// Why it waits.
        waiting_on: WaitingOn,
        /// What a person has to put right, as a reason and a sentence; none when it may come by itself.
        stalled: Option<(String, String)>,
    },
}

/// Whether the wanted release may go on to its approval. What was verified once stays so until another version is wanted, and
/// what has begun is not asked about again.
#[must_use]
pub fn gate(cluster: &Validated, observed: &Observed, before: &ReleaseStatus, now: Timestamp) -> Promotion {
    // It is the version that is verified: settings differ between staging and production.
    let version = &cluster.spec.version;
    let serves = before.current.as_deref().is_some_and(|current| version_of(current) == version);
    let open = |release: ReleaseStatus| Promotion::Open(Box::new(release));
    let has_begun = !stage_before(observed).is_before_start();
    let Some(from) = wanted_from(cluster) else { return open(before.clone()) };
    let is_proved = before.promotion.as_ref().is_some_and(|proof| proof.version == *version && proof.from == from);
    if has_begun || serves || is_proved {
        return open(before.clone());
    }
    match look(cluster, observed, &from) {
        Ok(verified_at) => {
            let proof = PromotionStatus { version: version.clone(), from, verified_at, at: text(now) };
            open(ReleaseStatus { promotion: Some(proof), ..before.clone() })
        }
        Err(Missing { message, reason }) => {
            let message = format!("release {version} waits for {from}: {message}");
            let stalled = reason.map(|reason| (reason.to_owned(), message.clone()));
            Promotion::Closed { waiting_on: WaitingOn::Staging(message), stalled }
        }
    }
}

/// The PaymentCluster that has to have verified the version, as NAMESPACE/NAME.
fn wanted_from(cluster: &Validated) -> Option<String> {
    let from = cluster.spec.rollout.promote_from.as_ref()?;
    Some(format!("{}/{}", from.namespace.as_ref().unwrap_or(&cluster.identity.namespace), from.name))
}

/// Why there is no proof.
struct Missing {
    message: String,
    /// One word, when only a person can change it.
    reason: Option<&'static str>,
}

impl Missing {
    fn for_now(message: impl Into<String>) -> Self {
        Self { message: message.into(), reason: None }
    }

    fn for_good(reason: &'static str, message: impl Into<String>) -> Self {
        Self { message: message.into(), reason: Some(reason) }
    }
}

/// When the version was verified there.
fn look(cluster: &Validated, observed: &Observed, from: &str) -> Result<String, Missing> {
    let me = cluster.identity.owner();
    if from == me {
        return Err(Missing::for_good("PromotedFromItself", "that is this PaymentCluster itself; name another one"));
    }
    let chain = match &observed.upstream {
        Upstream::Seen(chain) => chain,
        Upstream::NotAsked => return Err(Missing::for_now("it was not looked at yet")),
        Upstream::Forbidden => {
            let message = "the operator may not read it: it is restricted to other namespaces, or its role is";
            return Err(Missing::for_good("StagingForbidden", message));
        }
        Upstream::Unreadable(why) => {
            return Err(Missing::for_good("StagingUnreadable", format!("it cannot be read: {why}")));
        }
    };
    let Some(staging) = chain.first() else {
        return Err(Missing::for_good("StagingMissing", "there is no such PaymentCluster"));
    };
    if staging.spec.environment != Environment::Staging {
        let message = "its spec.environment is not Staging, so it verifies nothing";
        return Err(Missing::for_good("NotStaging", message));
    }
    if let Some(last) = chain.iter().find(|found| next_of(found).as_ref() == Some(&me)) {
        let message = format!("{} in turn waits for {me}, so neither can ever go forward", name_of(last));
        return Err(Missing::for_good("PromotionRing", message));
    }
    verified(staging, &cluster.spec.version)
}

/// When a staging PaymentCluster verified exactly this version, which serves there still.
fn verified(staging: &PaymentCluster, version: &str) -> Result<String, Missing> {
    let status = staging.status.as_ref();
    let Some(release) = status.and_then(|status| status.release.as_ref()) else {
        return Err(Missing::for_now("no release is there yet"));
    };
    let stage = status.and_then(|status| status.stage).unwrap_or(Stage::Validating);
    let is_it = |name: &str| version_of(name) == version;
    let current = release.current.as_deref().filter(|current| is_it(current));
    let proof = release.verified.as_ref().filter(|verified| current == Some(&verified.version));
    // Another configuration of this version may have been tried since and taken back: what was verified serves all the same.
    if let Some(proof) = proof.filter(|_| matches!(stage, Stage::Verified | Stage::RolledBack)) {
        return Ok(proof.at.clone());
    }
    if let Some(abandoned) = release.abandoned.as_ref().filter(|abandoned| is_it(&abandoned.version)) {
        return Err(Missing::for_now(abandoned.message.clone()));
    }
    if staging.spec.version != version {
        return Err(Missing::for_now(format!("there {} is wanted", staging.spec.version)));
    }
    let waiting_on = status.and_then(|status| status.waiting_on.as_deref()).map(|words| format!(": {words}"));
    Err(Missing::for_now(format!("there it is {}{}", stage.as_str(), waiting_on.unwrap_or_default())))
}

/// The PaymentCluster that another one waits for.
#[must_use]
pub fn next_of(cluster: &PaymentCluster) -> Option<String> {
    let from = cluster.spec.rollout.promote_from.as_ref()?;
    let own = cluster.namespace().unwrap_or_default();
    Some(format!("{}/{}", from.namespace.as_ref().unwrap_or(&own), from.name))
}

fn name_of(cluster: &PaymentCluster) -> String {
    format!("{}/{}", cluster.namespace().unwrap_or_default(), cluster.name_any())
}

#[cfg(test)]
#[path = "plan_promotion_tests.rs"]
mod tests;
