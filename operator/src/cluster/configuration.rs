//! The configuration of a release: those parts of a spec that its pods start with. ★ Pure.
//!
//! It goes forward as a release and back as one. As long as another release is wanted, waits for leave, or was given up, the
//! spec tells how *that* one is to be; the release that serves is kept as it was started, by what stands beside its own
//! configuration in its ConfigMap. What is about the load of the moment (numbers of pods, limits) is not part of it, and
//! neither are the versions of Secrets: a changed password reaches whoever serves.

use crds::payment_cluster::{Database, Environment, GatewayTls, Image, OnDeadline, Webhooks};
use crds::quantity::Resources;
use crds::{DurationText, PaymentClusterSpec, SecretKey};
use serde::{Deserialize, Serialize};

use super::observed::Observed;
use super::validate::Validated;
use crate::names::Release;
use crate::owned::Kind;
use crate::workloads::config_map::CONFIGURATION;

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
    let mut of_serving = Validated { release: serving.clone(), ..cluster.clone() };
    if serving == &cluster.release {
        return of_serving;
    }
    if let Some(configuration) = stored(observed, serving) {
        let deadline_ms = millis(&configuration.fraud.deadline);
        configuration.put_into(&mut of_serving.spec);
        of_serving.fraud_deadline_ms = deadline_ms.unwrap_or(of_serving.fraud_deadline_ms);
        let lag_max_ms = millis(&of_serving.spec.database.read_lag_max);
        of_serving.read_lag_max_ms = lag_max_ms.unwrap_or(of_serving.read_lag_max_ms);
    }
    of_serving
}

/// What a release was started with.
#[must_use]
pub fn stored(observed: &Observed, release: &Release) -> Option<Configuration> {
    let config_map = observed.find(Kind::ConfigMap, &observed.identity.config(release))?;
    serde_json::from_str(config_map.body["data"][CONFIGURATION].as_str()?).ok()
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
