//! Archiving months that are over: a Job of the runtime's image, beside the release that serves. ★ Pure.

use crds::payment_cluster::{Archive, Backup};
use runtime_contract::commands;
use serde_json::json;

use crate::backup;
use crate::cluster::validate::Validated;
use crate::jobs::job::{self, Command};
use crate::owned::Desired;
use crate::workloads::resources;

/// Label of the Jobs.
pub const COMPONENT: &str = "archive";

/// A command that hangs is stopped, and another one takes its place. Twelve hours: nobody waits for it.
const DEADLINE_SECONDS: u32 = 43_200;

/// The Job of an attempt.
#[must_use]
pub fn job(cluster: &Validated, archive: &Archive, backup: &Backup, attempt: u32) -> Desired {
    let (keep, store, owner) = (archive.keep_months.to_string(), backup::store(backup), cluster.identity.owner());
    let arguments = [
        commands::ARCHIVE,
        commands::ARCHIVE_RUN,
        commands::KEEP_MONTHS_FLAG,
        &keep,
        commands::STORE_FLAG,
        &store,
        commands::OWNER_FLAG,
        &owner,
    ];
    let command = Command {
        component: COMPONENT,
        name: cluster.identity.release_job(COMPONENT, &cluster.release, attempt),
        release: Some(&cluster.release),
        arguments: &arguments,
        secrets: &backup::place_secrets(backup),
        mounts: &backup::mounts(backup),
        volumes: &backup::volumes(backup),
        inputs: &inputs(cluster, archive, backup),
        attempt,
        resources: resources::COPY,
        deadline_seconds: Some(DEADLINE_SECONDS),
    };
    job::build(cluster, command)
}

/// Hash of all that decides whether the same Job may end differently.
#[must_use]
pub fn inputs(cluster: &Validated, archive: &Archive, backup: &Backup) -> String {
    let own = [
        json!(archive),
        // How many backups are kept is nothing to an archive.
        json!(backup::store(backup)),
        json!(backup.volume_claim),
        json!(backup.encryption_key_secret_ref),
    ];
    job::inputs(cluster, &own, &[json!(cluster.secret_revisions.backup)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::fixtures;

    #[test]
    fn a_job_archives_to_the_place_of_backups_with_their_key() {
        let cluster = fixtures::validated(|_| {});
        let archive = Archive { keep_months: 3 };
        let claimed: Backup = serde_json::from_value(json!({
            "volumeClaim": { "name": "backups" }, "encryptionKeySecretRef": { "name": "age", "key": "identity" },
            "scratchUrlSecretRef": { "name": "scratch", "key": "url" },
        }))
        .unwrap();
        let made = job(&cluster, &archive, &claimed, 1);
        let container = &made.body["spec"]["template"]["spec"]["containers"][0];
        let expected = "archive run --keep-months 3 --store file:///var/lib/purser/backups --owner shop/payments";
        assert_eq!(container["args"], json!(expected.split(' ').collect::<Vec<_>>()));
        let text = made.body.to_string();
        assert!(text.contains(r#""claimName":"backups""#) && text.contains("backup-key"), "{text}");
        assert!(!text.contains("scratch"), "it restores nothing");
        let before = inputs(&cluster, &archive, &claimed);
        assert_eq!(before, inputs(&cluster, &archive, &Backup { keep: 2, ..claimed.clone() }));
        assert_ne!(before, inputs(&cluster, &Archive { keep_months: 4 }, &claimed));
    }
}
