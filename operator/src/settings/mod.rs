//! The live settings: what reaches running pods within seconds. ★ Pure.
//!
//! A revision is a document and a Job that puts it into the database. The revision counts up; the runtime refuses an
//! older one, so a Job that comes late does no harm.

use crds::payment_cluster::RateLimit;
use runtime_contract::{Limits, Maintenance, Settings, commands, paths};
use serde_json::{Value, json};

use crate::cluster::validate::Validated;
use crate::jobs::job::{self, Command};
use crate::names::Identity;
use crate::owned::{Desired, Kind, Live, hash_of, overlay_annotations};
use crate::workloads::{pod, resources};

/// Label of settings documents and Jobs.
pub const COMPONENT: &str = "settings";
/// Annotation on a document: its revision.
pub const REVISION: &str = "purser.dev/settings-revision";
/// Annotation on a document: hash of its content without the revision.
pub const HASH: &str = "purser.dev/settings-hash";

/// When a merchant should try again whose write was refused.
const RETRY_AFTER_S: u32 = 30;

/// A command that takes seconds. One that hangs is stopped, and the next attempt takes its place.
const DEADLINE_SECONDS: u32 = 60;

/// A document that stands in the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Its revision.
    pub revision: i64,
    /// Hash of its content.
    pub hash: String,
}

/// What the settings are to be, and their hash. The revision in them is not part of it, and 0.
#[must_use]
pub fn wanted(cluster: &Validated) -> (Settings, String) {
    let settings = Settings {
        revision: 0,
        cache_ttl: cluster.cache_ttl.clone(),
        providers: cluster.providers.clone(),
        limits: limits(&cluster.spec.gateway.rate_limit),
        maintenance: cluster.in_maintenance.then_some(Maintenance { retry_after_s: RETRY_AFTER_S }),
    };
    let hash = hash_of(&json!(settings));
    (settings, hash)
}

fn limits(limit: &RateLimit) -> Limits {
    let RateLimit { requests_per_second, burst, concurrent_requests } = *limit;
    Limits { requests_per_second, burst, concurrent_requests }
}

/// The document of a revision.
#[must_use]
pub fn document(identity: &Identity, settings: &Settings, hash: &str, revision: i64) -> Desired {
    let settings = Settings { revision, ..settings.clone() };
    let file = paths::SETTINGS.rsplit('/').next().unwrap_or(paths::SETTINGS);
    let content = json!({ "immutable": true, "data": { file: json!(settings).to_string() } });
    let mut object = Desired::new(Kind::ConfigMap, identity, identity.settings(revision), COMPONENT, None, content);
    overlay_annotations(&mut object, json!({ REVISION: revision.to_string(), HASH: hash }));
    object
}

/// Reads a document's revision and hash back from the cluster.
#[must_use]
pub fn document_of(object: &Live) -> Option<Document> {
    let revision = object.annotation(REVISION)?.parse().ok()?;
    Some(Document { revision, hash: object.annotation(HASH)?.to_owned() })
}

/// The Job of an attempt at a revision.
#[must_use]
pub fn job(cluster: &Validated, revision: i64, attempt: u32) -> Desired {
    let owner = cluster.identity.owner();
    let volumes: [Value; 1] = [pod::document_volume(COMPONENT, &cluster.identity.settings(revision), paths::SETTINGS)];
    let mounts: [Value; 1] = [pod::document_mount(COMPONENT, paths::SETTINGS)];
    let command = Command {
        component: COMPONENT,
        name: cluster.identity.settings_job(revision, attempt),
        release: None,
        arguments: &[commands::SETTINGS, commands::SETTINGS_APPLY, commands::OWNER_FLAG, &owner],
        secrets: &[],
        mounts: &mounts,
        volumes: &volumes,
        inputs: &inputs(cluster, revision),
        attempt,
        resources: resources::JOB,
        deadline_seconds: Some(DEADLINE_SECONDS),
    };
    let mut object = job::build(cluster, command);
    overlay_annotations(&mut object, json!({ REVISION: revision.to_string() }));
    object
}

/// Hash of all that decides whether the same Job may end differently.
#[must_use]
pub fn inputs(cluster: &Validated, revision: i64) -> String {
    job::inputs(cluster, &[json!(revision)], &[])
}
