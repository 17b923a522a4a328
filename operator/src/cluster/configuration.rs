//! The configuration of a release: those parts of a spec that its pods start with. ★ Pure.
//!
//! It goes forward as a release and back as one. As long as another release is wanted, waits for leave, or was given up, the
//! spec tells how *that* one is to be; the release that serves is kept as it was started, by what stands beside its own
//! configuration in its ConfigMap. What is about the load of the moment (numbers of pods, limits) is not part of it, and
//! neither are the versions of Secrets: a changed password reaches whoever serves, in the Secrets that its own configuration names.

use crds::payment_cluster::{Database, Environment, GatewayTls, Image, OnDeadline, Webhooks};
use crds::quantity::Resources;
use crds::{DurationText, PaymentCluster, PaymentClusterSpec, SecretKey};
use jiff::Timestamp;
use runtime_contract::{Role, paths};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::observed::Observed;
use super::plan::release_before;
use super::plan_history;
use super::validate::Validated;
use crate::names::Release;
use crate::owned::{Kind, Live};
use crate::secrets::SecretState;
use crate::workloads;
use crate::workloads::config_map::{CONFIGURATION, file_name};

/// What the pods of a release start with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Configuration {
    /// Where the image comes from.
    pub image: Image,
    environment: Environment,
    /// Absent as well in what was written by an operator that knew of none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    replica: Option<ReplicaConfiguration>,
    cache_url_secret_ref: SecretKey,
    gateway: GatewayConfiguration,
    fraud: FraudConfiguration,
    processor: Resources,
    metrics: Resources,
    webhooks: Webhooks,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReplicaConfiguration {
    url_secret_ref: SecretKey,
    lag_max: DurationText,
}

impl ReplicaConfiguration {
    fn of(database: &Database) -> Option<Self> {
        let url_secret_ref = database.read_url_secret_ref.clone()?;
        Some(Self { url_secret_ref, lag_max: database.read_lag_max.clone() })
    }

    fn put_into(replica: Option<Self>, database: &mut Database) {
        database.read_url_secret_ref = replica.as_ref().map(|replica| replica.url_secret_ref.clone());
        if let Some(Self { lag_max, .. }) = replica {
            database.read_lag_max = lag_max;
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct GatewayConfiguration {
    resources: Resources,
    tls: Option<GatewayTls>,
    admin_token_secret_ref: Option<SecretKey>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct FraudConfiguration {
    resources: Resources,
    deadline: DurationText,
    on_deadline: OnDeadline,
}

impl Configuration {
    /// That of a spec.
    #[must_use]
    pub fn of(spec: &PaymentClusterSpec) -> Self {
        let (gateway, fraud) = (&spec.gateway, &spec.fraud);
        Self {
            image: spec.image.clone(),
            environment: spec.environment,
            replica: ReplicaConfiguration::of(&spec.database),
            cache_url_secret_ref: spec.cache.url_secret_ref.clone(),
            gateway: GatewayConfiguration {
                resources: gateway.resources.clone(),
                tls: gateway.tls.clone(),
                admin_token_secret_ref: gateway.admin_token_secret_ref.clone(),
            },
            fraud: FraudConfiguration {
                resources: fraud.resources.clone(),
                deadline: fraud.deadline.clone(),
                on_deadline: fraud.on_deadline,
            },
            processor: spec.processor.resources.clone(),
            metrics: spec.metrics.resources.clone(),
            webhooks: spec.webhooks.clone(),
        }
    }

    /// The Secret of the replica that lists are read from, if there is one.
    #[must_use]
    pub fn replica_secret(&self) -> Option<&SecretKey> {
        self.replica.as_ref().map(|replica| &replica.url_secret_ref)
    }

    /// The spec with this configuration instead of its own.
    fn put_into(self, spec: &mut PaymentClusterSpec) {
        spec.image = self.image;
        spec.environment = self.environment;
        ReplicaConfiguration::put_into(self.replica, &mut spec.database);
        spec.cache.url_secret_ref = self.cache_url_secret_ref;
        spec.gateway.resources = self.gateway.resources;
        spec.gateway.tls = self.gateway.tls;
        spec.gateway.admin_token_secret_ref = self.gateway.admin_token_secret_ref;
        spec.fraud.resources = self.fraud.resources;
        spec.fraud.deadline = self.fraud.deadline;
        spec.fraud.on_deadline = self.fraud.on_deadline;
        spec.processor.resources = self.processor;
        spec.metrics.resources = self.metrics;
        spec.webhooks = self.webhooks;
    }
}

/// The PaymentCluster with the release that serves instead of the one that is wanted, each with its own configuration. One
/// whose configuration nobody can tell any more takes that of the spec.
#[must_use]
pub fn of_serving(cluster: &Validated, observed: &Observed, serving: &Release) -> Validated {
    if serving == &cluster.release {
        return cluster.clone();
    }
    let since_ms = since_ms(observed, serving);
    let mut of_serving = Validated { release: serving.clone(), since_ms, ..cluster.clone() };
    if let Some(configuration) = stored(observed, serving) {
        let deadline_ms = millis(&configuration.fraud.deadline);
        configuration.put_into(&mut of_serving.spec);
        of_serving.fraud_deadline_ms = deadline_ms.unwrap_or(of_serving.fraud_deadline_ms);
        let lag_max_ms = millis(&of_serving.spec.database.read_lag_max);
        of_serving.read_lag_max_ms = lag_max_ms.unwrap_or(of_serving.read_lag_max_ms);
        put_revisions(&mut of_serving, observed);
    }
    of_serving
}

/// The versions of the Secrets that the release itself names, instead of those that the wanted one does.
fn put_revisions(of_serving: &mut Validated, observed: &Observed) {
    let (cache, replica) = (&of_serving.spec.cache.url_secret_ref, &of_serving.spec.database.read_url_secret_ref);
    let revision = |key: &SecretKey| observed.secret(key).map_or("", SecretState::revision).to_owned();
    let revisions = &mut of_serving.secret_revisions;
    revisions.cache = revision(cache);
    revisions.replica = replica.iter().map(revision).collect();
    // No pod starts without it, so those that run are left as they are until it is back. A replica is not needed to start.
    if !matches!(observed.secret(cache), Some(SecretState::Present { .. })) {
        revisions.held = started_with(observed, &of_serving.release);
    }
}

/// What the pods of each role of a release carry of their Secrets' versions.
fn started_with(observed: &Observed, release: &Release) -> Vec<(Role, String)> {
    let carried = |role| {
        let deployment = observed.find(Kind::Deployment, &observed.identity.deployment(role, release))?;
        Some((role, workloads::secrets_revision(deployment)?.to_owned()))
    };
    Role::ALL.into_iter().filter_map(carried).collect()
}

/// The releases besides the wanted one that are looked after, or may be at any time: the one that serves, and the one that it goes
/// back to.
#[must_use]
pub fn besides(cluster: &PaymentCluster) -> Vec<Release> {
    let release = cluster.status.as_ref().and_then(|status| status.release.as_ref());
    let named = release.into_iter().flat_map(|release| {
        let kept = release.kept.as_ref().map(|kept| &kept.version);
        release.current.iter().chain(kept).filter(move |name| release.target.as_ref() != Some(*name))
    });
    named.map(|name| Release { name: name.clone() }).collect()
}

/// The Secrets of cache and replica in these configurations that a spec does not name.
#[must_use]
pub fn secrets_besides(spec: &PaymentClusterSpec, configurations: &[Configuration]) -> Vec<SecretKey> {
    let of_spec = [Some(&spec.cache.url_secret_ref), spec.database.read_url_secret_ref.as_ref()];
    let mut keys = Vec::new();
    for configuration in configurations {
        for key in [Some(&configuration.cache_url_secret_ref), configuration.replica_secret()].into_iter().flatten() {
            if !of_spec.contains(&Some(key)) && !keys.contains(key) {
                keys.push(key.clone());
            }
        }
    }
    keys
}

/// What a release was started with.
#[must_use]
pub fn stored(observed: &Observed, release: &Release) -> Option<Configuration> {
    read(observed.find(Kind::ConfigMap, &observed.identity.config(release))?)
}

/// What stands in the ConfigMap of a release.
#[must_use]
pub fn read(config_map: &Live) -> Option<Configuration> {
    serde_json::from_str(config_map.body["data"][CONFIGURATION].as_str()?).ok()
}

/// When this try of a release began, for its pods. Those that are there keep what they were started with, so that nothing which is
/// forgotten rolls them, and one that comes back comes back as it is.
#[must_use]
pub fn since_ms(observed: &Observed, release: &Release) -> Option<i64> {
    let has = |role| observed.find(Kind::Deployment, &observed.identity.deployment(role, release)).is_some();
    // A processor that ends may still ask its fraud check: that alone is no release.
    let is_there = Role::ALL.into_iter().any(|role| role != Role::Fraud && has(role));
    let config_map = observed.find(Kind::ConfigMap, &observed.identity.config(release)).filter(|_| is_there);
    let document = config_map.and_then(|live| live.body["data"][file_name(paths::CONFIG)].as_str());
    if let Some(document) = document.and_then(|text| serde_json::from_str::<Value>(text).ok()) {
        return document["sinceMs"].as_i64();
    }
    let told = release_before(observed);
    let begun = told.started_at.filter(|_| told.target.as_ref() == Some(&release.name))?;
    plan_history::parse(&begun).map(Timestamp::as_millisecond)
}

/// Whether merchants reach another release as they reach the wanted one: both with TLS, or both without. One of which nobody can
/// tell is taken to be alike.
#[must_use]
pub fn is_reached_like(cluster: &Validated, observed: &Observed, other: &str) -> bool {
    let other = stored(observed, &Release { name: other.to_owned() });
    other.is_none_or(|other| other.gateway.tls.is_some() == cluster.spec.gateway.tls.is_some())
}

fn millis(text: &DurationText) -> Option<u32> {
    text.as_millis().and_then(|millis| u32::try_from(millis).ok())
}

#[cfg(test)]
#[path = "configuration_tests.rs"]
mod tests;
