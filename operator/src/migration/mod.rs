//! The migrations of a release: a Job of its own image. ★ Pure.

use runtime_contract::commands;
use serde_json::json;

use crate::cluster::validate::Validated;
use crate::jobs::job::{self, Command};
use crate::owned::{Desired, hash_of};
use crate::workloads::pod;

/// Label of migration Jobs.
pub const COMPONENT: &str = "migrate";

/// The Job of an attempt. It has no time limit: a migration that is stopped half-way helps nobody.
#[must_use]
pub fn job(cluster: &Validated, attempt: u32) -> Desired {
    let owner = cluster.identity.owner();
    let command = Command {
        component: COMPONENT,
        name: cluster.identity.migration_job(&cluster.release, attempt),
        release: Some(&cluster.release),
        arguments: &[commands::MIGRATE, commands::OWNER_FLAG, &owner],
        mounts: &[],
        volumes: &[],
        inputs: &inputs(cluster),
        attempt,
        deadline_seconds: None,
    };
    job::build(cluster, command)
}

/// Hash of all that decides whether the same migration may end differently.
#[must_use]
pub fn inputs(cluster: &Validated) -> String {
    hash_of(&json!([
        pod::image(cluster),
        cluster.spec.image.pull_policy.as_str(),
        cluster.spec.image.pull_secrets,
        cluster.secret_revisions.database,
        cluster.retry,
    ]))
}
