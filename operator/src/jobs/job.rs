//! Builds a Job of the runtime's image.

use serde_json::{Value, json};

use super::attempt::{ATTEMPT, INPUTS};
use crate::cluster::validate::Validated;
use crate::names::Release;
use crate::owned::{Desired, Kind, overlay_annotations};
use crate::workloads::resources::Defaults;
use crate::workloads::{pod, resources};

/// One command of the runtime, and what it needs.
#[derive(Debug)]
pub struct Command<'a> {
    /// Label of what it is for.
    pub component: &'a str,
    /// Name of the Job.
    pub name: String,
    /// The release that it belongs to, if to one.
    pub release: Option<&'a Release>,
    /// Arguments of `purser`.
    pub arguments: &'a [&'a str],
    /// Secrets besides the database's URL.
    pub secrets: &'a [Value],
    /// Mounts besides those of secrets.
    pub mounts: &'a [Value],
    /// Volumes besides those of secrets.
    pub volumes: &'a [Value],
    /// Hash of all that decides whether the same command may end differently.
    pub inputs: &'a str,
    /// Which attempt it is, from 1.
    pub attempt: u32,
    /// What its container asks for.
    pub resources: Defaults,
    /// Time limit, in seconds.
    pub deadline_seconds: Option<u32>,
}

impl<'a> Command<'a> {
    /// A short command without secrets and documents of its own, for a release.
    #[must_use]
    pub const fn of_release(
        component: &'a str,
        name: String,
        release: &'a Release,
        arguments: &'a [&'a str],
        inputs: &'a str,
        attempt: u32,
    ) -> Self {
        Self {
            component,
            name,
            release: Some(release),
            arguments,
            secrets: &[],
            mounts: &[],
            volumes: &[],
            inputs,
            attempt,
            resources: resources::JOB,
            deadline_seconds: None,
        }
    }
}

/// The Job of a command. It runs once: whether and when to run again is the operator's decision.
#[must_use]
pub fn build(cluster: &Validated, command: Command<'_>) -> Desired {
    let Command { component, name, release, arguments, secrets, mounts, volumes, inputs, attempt, .. } = command;
    let resources = resources::of_container(&crds::quantity::Resources::default(), command.resources);
    let container = pod::container(cluster, arguments, &[&[pod::secrets_mount()], mounts].concat(), &resources);
    let secrets = pod::secrets_volume(&[&[pod::database_secret(cluster)], secrets].concat());
    let mut pod_spec = pod::spec(cluster, &container, &[&[secrets], volumes].concat());
    pod_spec["restartPolicy"] = "Never".into();
    let mut spec = json!({
        "backoffLimit": 0,
        "template": {
            "metadata": { "labels": cluster.identity.labels(component, release) },
            "spec": pod_spec,
        },
    });
    if let Some(seconds) = command.deadline_seconds {
        spec["activeDeadlineSeconds"] = seconds.into();
    }
    let mut job = Desired::new(Kind::Job, &cluster.identity, name, component, release, json!({ "spec": spec }));
    overlay_annotations(&mut job, json!({ ATTEMPT: attempt.to_string(), INPUTS: inputs }));
    job
}
