//! The configuration of a release: what needs new pods when it changes.

use runtime_contract::{FraudConfig, OnDeadline, RuntimeConfig, WebhooksConfig, paths, ports};
use serde_json::json;

use crate::cluster::configuration::Configuration;
use crate::cluster::validate::Validated;
use crate::owned::{Desired, Kind};

/// Label of the configuration of a release.
pub(crate) const COMPONENT: &str = "config";
/// What the release was started with, for the operator: no pod reads it.
pub(crate) const CONFIGURATION: &str = "configuration.json";

pub(super) fn of_release(cluster: &Validated) -> Desired {
    let (identity, release) = (&cluster.identity, &cluster.release);
    // JSON is YAML, and its keys come in a fixed order: equal configuration is equal text.
    let document = json!(runtime_config(cluster)).to_string();
    let configuration = json!(Configuration::of(&cluster.spec)).to_string();
    let content = json!({ "data": { file_name(paths::CONFIG): document, CONFIGURATION: configuration } });
    Desired::new(Kind::ConfigMap, identity, identity.config(release), COMPONENT, Some(release), content)
}

/// The document that the pods of the release read at start.
#[must_use]
pub fn runtime_config(cluster: &Validated) -> RuntimeConfig {
    let (identity, release) = (&cluster.identity, &cluster.release);
    RuntimeConfig {
        owner: identity.owner(),
        release: release.name.clone(),
        since_ms: cluster.since_ms,
        environment: match cluster.spec.environment {
            crds::payment_cluster::Environment::Production => runtime_contract::Environment::Production,
            crds::payment_cluster::Environment::Staging => runtime_contract::Environment::Staging,
        },
        fraud: FraudConfig {
            url: format!("http://{}.{}.svc:{}", identity.fraud_service(release), identity.namespace, ports::FRAUD),
            deadline_ms: cluster.fraud_deadline_ms,
            on_deadline: match cluster.spec.fraud.on_deadline {
                crds::payment_cluster::OnDeadline::Flag => OnDeadline::Flag,
                crds::payment_cluster::OnDeadline::Pass => OnDeadline::Pass,
                crds::payment_cluster::OnDeadline::Block => OnDeadline::Block,
            },
        },
        webhooks: WebhooksConfig { allow_private_addresses: cluster.spec.webhooks.allow_private_addresses },
        read_lag_max_ms: cluster.spec.database.read_url_secret_ref.as_ref().map(|_| cluster.read_lag_max_ms),
        pods: Some(format!("{}.{}.svc", identity.metrics_service(), identity.namespace)),
    }
}

/// The last part of a path.
pub(crate) fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// A path without its last part.
pub(crate) fn folder(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(folder, _)| folder)
}
