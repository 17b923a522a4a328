//! The Deployment of a role in a release.

use runtime_contract::{Role, labels, paths, ports};
use serde_json::{Value, json};

use super::config_map::file_name;
use super::{pod, resources};
use crate::cluster::validate::Validated;
use crate::owned::{Desired, Kind, Live, hash_of};

/// The whole of a graceful end, which the process sees to by itself: 4 s in which it is called no more, 10 s to drain, and
/// room.
const TERMINATION_GRACE_SECONDS: u32 = 30;

/// Annotation: which versions of the Secrets the pods started with. A changed password rolls the pods.
const SECRETS_REVISION: &str = "purser.dev/secrets-revision";

/// `config` is the ConfigMap of the release: pods roll when what they read of it changes.
pub(super) fn of_role(cluster: &Validated, role: Role, config: &Desired) -> Desired {
    let (identity, release) = (&cluster.identity, &cluster.release);
    let selector = identity.pod_selector(role, Some(&release.name));
    let mut pod_labels = identity.labels(role.as_str(), Some(release));
    pod_labels.insert(pod::ROLE.into(), "true".into());
    let mut spec = json!({
        "revisionHistoryLimit": 2,
        "selector": { "matchLabels": selector },
        "strategy": { "type": "RollingUpdate", "rollingUpdate": { "maxUnavailable": 0, "maxSurge": 1 } },
        "template": {
            "metadata": {
                "labels": pod_labels,
                "annotations": {
                    labels::CONFIG_HASH: hash_of(&config.body["data"][file_name(paths::CONFIG)]),
                    SECRETS_REVISION: wanted_revision(cluster, role),
                },
            },
            "spec": pod_spec(cluster, role, &config.name, &json!(selector)),
        },
    });
    if let Some(replicas) = cluster.replicas(role).fixed() {
        spec["replicas"] = replicas.into();
    }
    let name = identity.deployment(role, release);
    Desired::new(Kind::Deployment, identity, name, role.as_str(), Some(release), json!({ "spec": spec }))
}

/// Which versions of the Secrets the pods of a Deployment start with.
#[must_use]
pub fn secrets_revision(deployment: &Live) -> Option<&str> {
    deployment.body["spec"]["template"]["metadata"]["annotations"][SECRETS_REVISION].as_str()
}

fn wanted_revision(cluster: &Validated, role: Role) -> String {
    let revisions = &cluster.secret_revisions;
    if let Some((_, held)) = revisions.held.iter().find(|(of, _)| *of == role) {
        return held.clone();
    }
    let mut parts = vec![revisions.database.as_str(), revisions.cache.as_str()];
    if matches!(role, Role::Gateway | Role::Processor) {
        parts.extend(revisions.providers.iter().map(String::as_str));
    }
    // A release that reads from no replica does not roll for one that another is to have.
    if role == Role::Gateway && cluster.spec.database.read_url_secret_ref.is_some() {
        parts.extend(revisions.replica.iter().map(String::as_str));
    }
    hash_of(&json!(parts))
}

fn pod_spec(cluster: &Validated, role: Role, config: &str, selector: &Value) -> Value {
    let mut secrets = vec![pod::database_secret(cluster), pod::cache_secret(cluster)];
    match role {
        Role::Processor => secrets.extend(pod::provider_secrets(cluster)),
        // Certificate, token and webhook secrets do not roll the pods: the gateway takes them up while it runs.
        Role::Gateway => {
            secrets.extend(pod::replica_secret(cluster));
            secrets.extend(pod::gateway_secrets(cluster));
        }
        Role::Fraud | Role::Metrics => {}
    }
    let volumes = [pod::document_volume("config", config, paths::CONFIG), pod::secrets_volume(&secrets)];
    let mut spec = pod::spec(cluster, &container(cluster, role), &volumes);
    spec["terminationGracePeriodSeconds"] = TERMINATION_GRACE_SECONDS.into();
    spec["topologySpreadConstraints"] = ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]
        .into_iter()
        .map(|topology| spread(topology, selector))
        .collect();
    spec
}

/// A cluster of one node runs the platform as well: spreading is a wish.
fn spread(topology: &str, selector: &Value) -> Value {
    json!({
        "maxSkew": 1,
        "topologyKey": topology,
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": { "matchLabels": selector },
    })
}

fn container(cluster: &Validated, role: Role) -> Value {
    let resources = resources::of_container(asked(cluster, role), resources::defaults(role));
    let mounts = [pod::document_mount("config", paths::CONFIG), pod::secrets_mount()];
    let mut container = pod::container(cluster, &[role.as_str()], &mounts, &resources);
    container["ports"] = container_ports(role);
    container["startupProbe"] = probe(paths::admin::LIVE, 1, 60);
    container["readinessProbe"] = probe(paths::admin::READY, 2, 2);
    container["livenessProbe"] = probe(paths::admin::LIVE, 10, 3);
    container
}

fn container_ports(role: Role) -> Value {
    let port = |name: &str, port: u16| json!({ "name": name, "containerPort": port, "protocol": "TCP" });
    let admin = port(ports::names::ADMIN, ports::ADMIN);
    match role {
        Role::Gateway => json!([port(ports::names::HTTP, ports::GATEWAY), admin]),
        Role::Fraud => json!([port(ports::names::HTTP, ports::FRAUD), admin]),
        Role::Processor | Role::Metrics => json!([admin]),
    }
}

fn probe(path: &str, period_seconds: u32, failures: u32) -> Value {
    json!({
        "httpGet": { "path": path, "port": ports::names::ADMIN },
        "periodSeconds": period_seconds,
        "timeoutSeconds": 2,
        "failureThreshold": failures,
    })
}

fn asked(cluster: &Validated, role: Role) -> &crds::quantity::Resources {
    match role {
        Role::Gateway => &cluster.spec.gateway.resources,
        Role::Fraud => &cluster.spec.fraud.resources,
        Role::Processor => &cluster.spec.processor.resources,
        Role::Metrics => &cluster.spec.metrics.resources,
    }
}
