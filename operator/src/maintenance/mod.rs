//! Maintenance: writes are refused by the live settings, and a Job waits until accepted work is done. ★ Pure.

use runtime_contract::commands;

use crate::cluster::validate::Validated;
use crate::jobs::job::{self, Command};
use crate::names::Release;
use crate::owned::Desired;

/// Label of the Jobs that wait until accepted work is done.
pub const DRAIN: &str = "drain";

/// The Job of an attempt, for the release that is on its way. It runs with the image of the one that serves, which knows the schema
/// that there is.
#[must_use]
pub fn drain_job(of_serving: &Validated, release: &Release, inputs: &str, attempt: u32) -> Desired {
    let cluster = of_serving;
    let owner = cluster.identity.owner();
    let arguments = [commands::MAINTENANCE, commands::MAINTENANCE_DRAIN, commands::OWNER_FLAG, &owner];
    let name = cluster.identity.release_job(DRAIN, release, attempt);
    job::build(cluster, Command::of_release(DRAIN, name, release, &arguments, inputs, attempt))
}
