//! Fingerprints of what a look rests on. ★ Pure.
//!
//! An object's fingerprint is made of its UID and its resourceVersion: the API server gives a new one of the latter to each
//! change, whoever makes it and in whatever part. Of an autoscaler that is too much: a platform whose figures move each minute would
//! never be at rest. The fingerprint of several objects is their sum, so that it does not depend on an order, and that one of them
//! can be exchanged without knowing the others.

use std::fmt::Write as _;

use jiff::Timestamp;
use kube::ResourceExt;
use kube::core::ObjectMeta;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::cluster::observed::{Observed, Upstream};
use crate::cluster::plan::stage_before;
use crate::cluster::{diagnosis, plan_sla, validate};
use crate::owned::Kind;
use crate::sla::Judgement;

/// Fingerprints are compared, never shown.
pub type Print = u128;

/// What a watch sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// PaymentClusters, each for itself.
    Cluster,
    /// PaymentClusters, as far as the others of the namespace are concerned: their specs select providers.
    Claim,
    /// PaymentProviders.
    Provider,
    /// Pods.
    Pod,
    /// Objects that the operator makes.
    Made(Kind),
}

impl Source {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Cluster,
        Self::Claim,
        Self::Provider,
        Self::Pod,
        Self::Made(Kind::ServiceAccount),
        Self::Made(Kind::ConfigMap),
        Self::Made(Kind::Service),
        Self::Made(Kind::Deployment),
        Self::Made(Kind::PodDisruptionBudget),
        Self::Made(Kind::HorizontalPodAutoscaler),
        Self::Made(Kind::Job),
    ];
}

/// Of one object in one version.
#[must_use]
pub fn of_object(source: Source, meta: &ObjectMeta) -> Print {
    of(&format!("{source:?} {:?} {}", meta.uid, version(source, meta)))
}

/// The version of an object, as far as it matters to whoever watches it there.
fn version(source: Source, meta: &ObjectMeta) -> String {
    let is_going = meta.deletion_timestamp.is_some();
    match source {
        // Others are concerned by its spec, and by its end.
        Source::Claim => format!("{:?} {is_going}", meta.generation),
        // It has no generation. Who wrote what and when is told of its status apart, and what it comes to is a change of the
        // Deployment.
        Source::Made(Kind::HorizontalPodAutoscaler) => {
            let fields = meta.managed_fields.iter().flatten();
            let wished: Vec<_> = fields.filter(|entry| entry.subresource.is_none()).collect();
            format!("{wished:?} {is_going}")
        }
        _ => meta.resource_version.clone().unwrap_or_default(),
    }
}

/// Of a text.
#[must_use]
pub fn of(text: &str) -> Print {
    of_bytes(text.as_bytes())
}

/// Of bytes.
#[must_use]
pub fn of_bytes(bytes: &[u8]) -> Print {
    let digest = Sha256::digest(bytes);
    digest.iter().take(16).fold(0, |print, byte| (print << 8) | Print::from(*byte))
}

/// Of a PaymentCluster, what was made for it, and its pods: what watches see as well.
#[must_use]
pub fn of_watched(observed: &Observed) -> Print {
    let own = of_object(Source::Cluster, &observed.cluster.metadata);
    let made = observed.live.iter().map(|live| {
        let meta = ObjectMeta::deserialize(&live.body["metadata"]).unwrap_or_default();
        of_object(Source::Made(live.kind), &meta)
    });
    made.chain(of_pods(observed)).fold(own, Print::wrapping_add)
}

fn of_pods(observed: &Observed) -> impl Iterator<Item = Print> {
    observed.pods.iter().map(|pod| of_object(Source::Pod, &pod.metadata))
}

/// Of all the rest that a plan rests on, what was made excepted: Secrets, providers, what pods say, and what is thought of the
/// release that serves. The PaymentCluster and its pods are in it as well, for a watch may be blind.
#[must_use]
pub fn of_referred(observed: &Observed, now: Timestamp) -> Print {
    let Observed {
        cluster,
        identity,
        database_secret,
        cache_secret,
        gateway_secrets,
        backup_secrets,
        analytics_secrets,
        replica_secrets,
        serving_secrets,
        providers,
        live: _,
        pods: _,
        health,
        // Other ones come each second: what counts is what is thought of them.
        figures: _,
        notifications,
        upstream,
        // Whoever holds the lease finds the same at rest.
        token: _,
        at: _,
    } = observed;
    let mut text = String::new();
    let version = cluster.metadata.resource_version.as_deref().unwrap_or_default();
    let pods = of_pods(observed).fold(0, Print::wrapping_add);
    let others = (backup_secrets, analytics_secrets, replica_secrets, serving_secrets);
    let secrets = (database_secret, cache_secret, gateway_secrets, others, &notifications.secrets);
    let asks_upstream = !matches!(upstream, Upstream::NotAsked);
    // Writing to a string cannot fail.
    let _ = write!(text, "{} {version} {pods} {secrets:?} {health:?} {asks_upstream} ", identity.uid);
    for seen in providers {
        let (uid, version) = (seen.provider.uid(), seen.provider.resource_version());
        let _ = write!(text, "{uid:?} {version:?} {:?} {:?} ", seen.taken_by, seen.credentials);
    }
    // A pod that cannot be started falls into trouble by time alone, without another version.
    let stuck = observed.pods.iter().filter(|pod| diagnosis::of_start(pod, now).is_some()).count();
    let _ = write!(text, "{stuck} ");
    text.push_str(thought(observed, now));
    of(&text)
}

/// What is thought of the release that serves, as far as the status tells it.
fn thought(observed: &Observed, now: Timestamp) -> &'static str {
    let release = observed.cluster.status.as_ref().and_then(|status| status.release.clone()).unwrap_or_default();
    let Ok(cluster) = validate::validate(observed) else { return "a spec that is wrong" };
    match plan_sla::judge(&cluster, observed, stage_before(observed), &release, now) {
        Judgement::Healthy => "healthy",
        Judgement::Breached(breach) => breach.figure,
        Judgement::Inconclusive(_) => "inconclusive",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cluster::fixtures::{self, World};
    use crate::secrets::SecretState;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn referred(world: &World) -> Print {
        of_referred(&world.observed, at(1_000))
    }

    #[test]
    fn another_version_of_any_object_is_another_fingerprint_and_an_order_is_none() {
        let mut world = World::finished();
        let before = of_watched(&world.observed);
        world.observed.live.reverse();
        assert_eq!(of_watched(&world.observed), before);
        world.observed.live[0].body["metadata"]["resourceVersion"] = "another".into();
        let changed = of_watched(&world.observed);
        assert_ne!(changed, before);
        world.observed.live.remove(0);
        assert!(![before, changed].contains(&of_watched(&world.observed)));
    }

    #[test]
    fn an_autoscaler_may_say_what_it_likes_and_what_is_wanted_of_it_counts() {
        let made = Source::Made(Kind::HorizontalPodAutoscaler);
        let print = |version: &str, written: &str, said: &str, is_going: bool| {
            let entry = |time: &str, subresource: Option<&str>, field: &str| {
                json!({
                    "manager": "m", "operation": "Update", "time": time, "subresource": subresource,
                    "fieldsV1": { field: {} },
                })
            };
            let going = is_going.then_some("2026-01-01T00:00:00Z");
            let fields = [entry(written, None, "f:spec"), entry(said, Some("status"), "f:status")];
            let meta =
                json!({ "uid": "u", "resourceVersion": version, "deletionTimestamp": going, "managedFields": fields });
            let meta = ObjectMeta::deserialize(&meta).unwrap();
            (of_object(made, &meta), of_object(Source::Made(Kind::Deployment), &meta))
        };
        let (early, late) = ("2026-01-01T00:00:01Z", "2026-01-01T00:01:01Z");
        let before = print("7", early, early, false);
        let after = print("8", early, late, false);
        assert_eq!(before.0, after.0);
        assert_ne!(before.1, after.1, "the status of what has a generation counts: a Deployment's pods");
        assert_ne!(print("8", late, early, false).0, before.0);
        assert_ne!(print("8", early, early, true).0, before.0);
    }

    #[test]
    fn whatever_is_not_watched_has_its_part() {
        let mut world = World::finished();
        world.observed.figures = (world.figures)(1_000);
        let all = referred(&world);
        let changes: [fn(&mut World); 9] = [
            |world| world.observed.database_secret = fixtures::present("rotated"),
            |world| {
                let key = crds::SecretKey { name: "analytics".into(), key: "url".into() };
                world.observed.analytics_secrets = vec![("spec.analytics.urlSecretRef", key, fixtures::present("1"))];
            },
            |world| {
                let key = crds::SecretKey { name: "replica".into(), key: "url".into() };
                world.observed.replica_secrets = vec![("spec.database.readUrlSecretRef", key, fixtures::present("1"))];
            },
            |world| {
                let key = crds::SecretKey { name: "redis".into(), key: "url".into() };
                world.observed.serving_secrets = vec![(key, fixtures::present("1"))];
            },
            |world| world.observed.providers[0].credentials = SecretState::Missing,
            |world| world.observed.providers[0].taken_by = Some("older".into()),
            |world| world.observed.providers.clear(),
            |world| world.observed.health.values_mut().for_each(|health| health.ready = !health.ready),
            |world| world.observed.cluster.metadata.resource_version = Some("another".into()),
        ];
        for (number, change) in changes.into_iter().enumerate() {
            let mut other = World::finished();
            other.observed = world.observed.clone();
            if other.observed.health.is_empty() {
                let health = runtime_contract::Health {
                    ready: true,
                    release: "0.1.0".into(),
                    settings_revision: 1,
                    checks: Vec::new(),
                };
                other.observed.health.insert("a-pod".into(), health);
            }
            let before = referred(&other);
            change(&mut other);
            assert_ne!(referred(&other), before, "change {number}");
        }
        assert_eq!(referred(&world), all);
    }

    #[test]
    fn a_pod_that_does_not_start_changes_it_once_when_its_time_is_over() {
        let mut world = World::finished();
        world.observed.figures = None;
        let pod = json!({
            "metadata": { "name": "p", "uid": "p", "resourceVersion": "1" },
            "status": { "conditions": [{
                "type": "PodReadyToStartContainers", "status": "False", "lastTransitionTime": at(1_000).to_string(),
            }] },
        });
        world.observed.pods.push(serde_json::from_value(pod).unwrap());
        let of = |second| of_referred(&world.observed, at(second));
        assert_eq!(of(1_001), of(1_005));
        assert_ne!(of(1_005), of(1_011));
        assert_eq!(of(1_011), of(1_020));
    }

    #[test]
    fn new_figures_of_a_release_that_is_as_well_as_before_change_nothing() {
        let mut world = World::finished();
        world.observed.figures = (world.figures)(1_000);
        let before = of_referred(&world.observed, at(1_000));
        world.observed.figures = (world.figures)(2_000);
        assert_eq!(of_referred(&world.observed, at(2_000)), before);
    }
}
