//! The pod template that roles and Jobs share: hardened, and with its secrets in one place.

use crds::payment_cluster::{GatewayTls, Image};
use runtime_contract::paths;
use serde_json::{Value, json};

use super::config_map::{file_name, folder};
use crate::cluster::validate::Validated;
use crate::names::Release;

/// Label of the pods that run a role, as opposed to a Job.
pub const ROLE: &str = "purser.dev/role";

/// The user that everything runs as.
const USER: i64 = 65532;

/// Name of the only container.
pub const CONTAINER: &str = "purser";

/// The image of the release.
#[must_use]
pub fn image(cluster: &Validated) -> String {
    format!("{}:{}", cluster.spec.image.repository, cluster.release.version())
}

/// Where the image of a pod of a release comes from, as the pod says.
#[must_use]
pub fn image_of(spec: &Value, release: &Release) -> Option<Image> {
    let container = &spec["containers"][0];
    let repository = container["image"].as_str()?.strip_suffix(release.version())?.strip_suffix(':')?;
    Some(Image {
        repository: repository.to_owned(),
        pull_policy: serde_json::from_value(container["imagePullPolicy"].clone()).ok()?,
        pull_secrets: serde_json::from_value(spec["imagePullSecrets"].clone()).unwrap_or_default(),
    })
}

/// One container with its arguments, mounts and resources; ports and probes are added by those who have them.
#[must_use]
pub fn container(cluster: &Validated, arguments: &[&str], mounts: &[Value], resources: &Value) -> Value {
    let mounts = [&[json!({ "name": "tmp", "mountPath": "/tmp" })], mounts].concat();
    json!({
        "name": CONTAINER,
        "image": image(cluster),
        "imagePullPolicy": cluster.spec.image.pull_policy.as_str(),
        "command": ["purser"],
        "args": arguments,
        // Nothing comes by environment: what somebody adds there by hand is put right.
        "env": [],
        "envFrom": [],
        "volumeMounts": mounts,
        "resources": resources,
        // A container that dies without a report leaves the end of its log as its last words.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "capabilities": { "drop": ["ALL"] },
        },
    })
}

/// The pod around a container, fit for Pod Security `restricted`.
#[must_use]
pub fn spec(cluster: &Validated, container: &Value, volumes: &[Value]) -> Value {
    let volumes = [&[json!({ "name": "tmp", "emptyDir": { "sizeLimit": "64Mi" } })], volumes].concat();
    let mut spec = json!({
        "serviceAccountName": cluster.identity.name,
        "automountServiceAccountToken": false,
        "enableServiceLinks": false,
        "securityContext": {
            "runAsNonRoot": true,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "seccompProfile": { "type": "RuntimeDefault" },
        },
        "initContainers": [],
        "containers": [container],
        "volumes": volumes,
    });
    let pull_secrets = &cluster.spec.image.pull_secrets;
    if !pull_secrets.is_empty() {
        spec["imagePullSecrets"] = json!(pull_secrets);
    }
    spec
}

/// Mount of [`document_volume`].
#[must_use]
pub fn document_mount(name: &str, path: &str) -> Value {
    json!({ "name": name, "mountPath": folder(path), "readOnly": true })
}

/// A document out of a ConfigMap.
#[must_use]
pub fn document_volume(name: &str, config_map: &str, path: &str) -> Value {
    let file = file_name(path);
    json!({ "name": name, "configMap": { "name": config_map, "items": [{ "key": file, "path": file }] } })
}

/// Mount of [`secrets_volume`].
#[must_use]
pub fn secrets_mount() -> Value {
    json!({ "name": "secrets", "mountPath": paths::SECRETS, "readOnly": true })
}

/// The secrets of a pod as files.
#[must_use]
pub fn secrets_volume(sources: &[Value]) -> Value {
    json!({ "name": "secrets", "projected": { "defaultMode": 0o440, "sources": sources } })
}

/// The URL of the database as a file.
#[must_use]
pub fn database_secret(cluster: &Validated) -> Value {
    secret(&cluster.spec.database.url_secret_ref, paths::DATABASE_URL, false)
}

/// The URL of the read replica as a file, if there is to be one. Without its Secret lists are read from the database.
#[must_use]
pub fn replica_secret(cluster: &Validated) -> Option<Value> {
    let key = cluster.spec.database.read_url_secret_ref.as_ref()?;
    Some(secret(key, paths::DATABASE_READ_URL, true))
}

/// The URL of the cache as a file.
#[must_use]
pub fn cache_secret(cluster: &Validated) -> Value {
    secret(&cluster.spec.cache.url_secret_ref, paths::CACHE_URL, false)
}

/// The credential of each provider as a file. A provider without one must not keep the others from working.
#[must_use]
pub fn provider_secrets(cluster: &Validated) -> Vec<Value> {
    let path = |name: &str| format!("{}/{name}", paths::PROVIDERS);
    cluster.credentials.iter().map(|(name, key)| secret(key, &path(name), true)).collect()
}

/// What a gateway has besides: its certificate, the token of the admin API, what webhooks of providers are verified by, and
/// the providers' credentials: it takes payments to their end itself, and PayPal must be asked whether a webhook is its own.
#[must_use]
pub fn gateway_secrets(cluster: &Validated) -> Vec<Value> {
    let gateway = &cluster.spec.gateway;
    let tls = gateway.tls.iter().map(|tls| {
        json!({ "secret": { "name": tls.secret_name, "items": [
            { "key": GatewayTls::CERTIFICATE, "path": paths::TLS_CERTIFICATE },
            { "key": GatewayTls::KEY, "path": paths::TLS_KEY },
        ] } })
    });
    let token = gateway.admin_token_secret_ref.iter().map(|key| secret(key, paths::ADMIN_TOKEN, false));
    let path = |name: &str| format!("{}/{name}", paths::PROVIDER_WEBHOOKS);
    let webhooks = cluster.provider_webhooks.iter().map(|(name, key)| secret(key, &path(name), true));
    tls.chain(token).chain(webhooks).chain(provider_secrets(cluster)).collect()
}

/// A key of a Secret as a file. Without it a pod does not start, unless it is optional.
#[must_use]
pub fn secret(key: &crds::SecretKey, path: &str, optional: bool) -> Value {
    let mut source = json!({ "name": key.name, "items": [{ "key": key.key, "path": path }] });
    if optional {
        source["optional"] = true.into();
    }
    json!({ "secret": source })
}
