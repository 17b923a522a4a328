//! Builds a Job of the runtime's image.

use serde_json::{Value, json};

use super::attempt::{ATTEMPT, INPUTS};
use crate::cluster::validate::Validated;
use crate::names::Release;
use crate::owned::{Desired, Kind, hash_of, overlay_annotations};
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

/// Hash of all that decides whether the same command may end differently: its image and how that is pulled, the Secret of the database,
/// and whether a person asks for another try, with what is the command's own before the image and after the Secret. The order is
/// part of it: in another one, every Job would run again.
#[must_use]
pub fn inputs(cluster: &Validated, before: &[Value], after: &[Value]) -> String {
    let image = &cluster.spec.image;
    let common = [
        json!(pod::image(cluster)),
        json!(image.pull_policy.as_str()),
        json!(image.pull_secrets),
        json!(cluster.secret_revisions.database),
    ];
    hash_of(&Value::Array([before, &common, after, &[json!(cluster.retry)]].concat()))
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

#[cfg(test)]
mod tests {
    use crds::payment_cluster::{Archive, Backup};

    use super::*;
    use crate::checks::Check;
    use crate::cluster::fixtures;
    use crate::{archive, backup, checks, migration, settings};

    #[test]
    fn an_upgrade_of_the_operator_finds_the_jobs_that_an_earlier_one_made() {
        let mut cluster =
            fixtures::validated(|spec| spec["image"] = json!({ "pullSecrets": [{ "name": "registry" }] }));
        cluster.retry = "again".into();
        cluster.secret_revisions.backup = vec!["4".into()];
        let spec = json!({ "volumeClaim": { "name": "backups" } });
        let place: Backup = serde_json::from_value(spec).unwrap();
        let archived = Archive { keep_months: 3 };
        let (image, secrets) = (pod::image(&cluster), json!([{ "name": "registry" }]));
        let (policy, retry) = ("IfNotPresent", "again");
        let warm = json!(["warm-cache", "--owner", "shop/payments"]);
        let store = "file:///var/lib/purser/backups";
        let claim = json!({ "name": "backups" });
        let told = [
            (migration::inputs(&cluster), json!([image, policy, secrets, "1", retry])),
            (settings::inputs(&cluster, 5), json!([5, image, policy, secrets, "1", retry])),
            (
                backup::inputs(&cluster, &place, "then"),
                json!(["then", place, image, policy, secrets, "1", ["4"], retry]),
            ),
            (
                archive::inputs(&cluster, &archived, &place),
                json!([archived, store, claim, null, image, policy, secrets, "1", ["4"], retry]),
            ),
            (checks::inputs(&cluster, Check::Warmth), json!([image, policy, secrets, "1", "1", warm, retry])),
        ];
        for (inputs, text) in told {
            assert_eq!(inputs, hash_of(&text), "{text}");
        }
    }
}
