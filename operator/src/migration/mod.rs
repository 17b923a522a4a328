//! The migrations of a release: a Job of its own image. ★ Pure.

use runtime_contract::commands;
use serde_json::json;

use crate::cluster::validate::Validated;
use crate::jobs::job::{self, Command};
use crate::owned::{Desired, hash_of};

/// Label of migration Jobs.
pub const COMPONENT: &str = "migrate";
/// Label of the Jobs that find out what is to be migrated.
pub const PLAN: &str = "plan";

/// The Job of an attempt. It has no time limit: a migration that is stopped half-way helps nobody.
#[must_use]
pub fn job(cluster: &Validated, attempt: u32) -> Desired {
    let owner = cluster.identity.owner();
    let token = cluster.token.to_string();
    let arguments = [commands::MIGRATE, commands::OWNER_FLAG, &owner, commands::FENCING_TOKEN_FLAG, &token];
    let name = cluster.identity.release_job(COMPONENT, &cluster.release, attempt);
    job::build(cluster, Command::of_release(COMPONENT, name, &cluster.release, &arguments, &inputs(cluster), attempt))
}

/// The Job of an attempt at finding out what the release changes in the schema.
#[must_use]
pub fn plan_job(cluster: &Validated, inputs: &str, attempt: u32) -> Desired {
    let owner = cluster.identity.owner();
    let arguments = [commands::MIGRATE, commands::MIGRATE_PLAN, commands::OWNER_FLAG, &owner];
    let name = cluster.identity.release_job(PLAN, &cluster.release, attempt);
    job::build(cluster, Command::of_release(PLAN, name, &cluster.release, &arguments, inputs, attempt))
}

/// The same for one try of a release, which must not take what an earlier try found for its own.
#[must_use]
pub fn inputs_since(cluster: &Validated, since: &str) -> String {
    hash_of(&json!([inputs(cluster), since]))
}

/// Hash of all that decides whether the same migration may end differently.
#[must_use]
pub fn inputs(cluster: &Validated) -> String {
    job::inputs(cluster, &[], &[])
}
