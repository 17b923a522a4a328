//! Backups of the database, rehearsals on them, and the way back to one: Jobs of the runtime's image. ★ Pure.

use crds::SecretKey;
use crds::payment_cluster::{AnalyticsStatus, Backup, S3Store};
use runtime_contract::{commands, paths};
use serde_json::{Value, json};

use crate::analytics;
use crate::cluster::validate::Validated;
use crate::jobs::job::{self, Command};
use crate::owned::Desired;
use crate::workloads::{pod, resources};

/// Label of the Jobs that back the database up before anything is changed.
pub const BACKUP: &str = "backup";
/// Label of the Jobs that make a restore point: a backup while writes are refused.
pub const RESTORE_POINT: &str = "point";
/// Label of the Jobs that try the migrations on a copy.
pub const DRY_RUN: &str = "dryrun";
/// Label of the Jobs that put a restore point back into its place.
pub const RESTORE: &str = "restore";

/// Mount and volume of a claim.
const VOLUME: &str = "backups";

/// What one of these Jobs does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work<'a> {
    /// Backs the database up, and proves the backup.
    Create,
    /// The same, while writes are refused.
    CreateRestorePoint,
    /// Tries the migrations of the release on a copy out of this backup.
    DryRun(&'a str),
    /// Puts this backup into the place of the database, which what flows to analytics has to let go of.
    Restore(&'a str, Option<&'a AnalyticsStatus>),
}

impl<'a> Work<'a> {
    /// Label of its Jobs.
    #[must_use]
    pub const fn component(self) -> &'static str {
        match self {
            Self::Create => BACKUP,
            Self::CreateRestorePoint => RESTORE_POINT,
            Self::DryRun(_) => DRY_RUN,
            Self::Restore(..) => RESTORE,
        }
    }

    fn arguments(self, backup: &'a Backup) -> Vec<String> {
        match self {
            Self::Create | Self::CreateRestorePoint => {
                let keep = backup.keep.to_string();
                vec![commands::BACKUP, commands::BACKUP_CREATE, commands::VERIFY_FLAG, commands::KEEP_FLAG, &keep]
                    .into_iter()
                    .map(str::to_owned)
                    .collect()
            }
            Self::DryRun(id) => {
                [commands::MIGRATE, commands::MIGRATE_DRY_RUN, commands::BACKUP_FLAG, id].map(str::to_owned).to_vec()
            }
            Self::Restore(id, _) => [commands::BACKUP, commands::BACKUP_RESTORE, id, commands::INTO_CURRENT_FLAG]
                .map(str::to_owned)
                .to_vec(),
        }
    }
}

/// The Job of an attempt.
#[must_use]
pub fn job(cluster: &Validated, backup: &Backup, work: Work<'_>, inputs: &str, attempt: u32) -> Desired {
    let mut arguments = work.arguments(backup);
    let named =
        [commands::STORE_FLAG.to_owned(), store(backup), commands::OWNER_FLAG.to_owned(), cluster.identity.owner()];
    arguments.extend(named);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let component = work.component();
    let mut secrets = secret_files(backup);
    if let Work::Restore(_, Some(known)) = work {
        secrets.push(analytics::secret_to_let_go(known));
    }
    let command = Command {
        component,
        name: cluster.identity.release_job(component, &cluster.release, attempt),
        release: Some(&cluster.release),
        arguments: &arguments,
        secrets: &secrets,
        mounts: &mounts(backup),
        volumes: &volumes(backup),
        inputs,
        attempt,
        resources: resources::COPY,
        deadline_seconds: None,
    };
    job::build(cluster, command)
}

/// Hash of all that decides whether one of these may end differently. `since` tells one try of a release from the next.
#[must_use]
pub fn inputs(cluster: &Validated, backup: &Backup, since: &str) -> String {
    job::inputs(cluster, &[json!(since), json!(backup)], &[json!(cluster.secret_revisions.backup)])
}

/// Where the place is a folder: where it is to be found.
#[must_use]
pub fn mounts(backup: &Backup) -> Vec<Value> {
    let claim = backup.volume_claim.as_ref();
    claim.map(|_| json!({ "name": VOLUME, "mountPath": paths::BACKUPS })).into_iter().collect()
}

/// Where the place is a folder: what it is on.
#[must_use]
pub fn volumes(backup: &Backup) -> Vec<Value> {
    let claim = backup.volume_claim.as_ref();
    claim
        .map(|claim| json!({ "name": VOLUME, "persistentVolumeClaim": { "claimName": claim.name } }))
        .into_iter()
        .collect()
}

/// URL of the place, as `purser backup` takes it.
#[must_use]
pub fn store(backup: &Backup) -> String {
    let Some(S3Store { bucket, prefix, region, endpoint, .. }) = &backup.s3 else {
        return format!("file://{}", paths::BACKUPS);
    };
    let prefix = prefix.as_ref().map(|prefix| format!("/{prefix}")).unwrap_or_default();
    let more = [("region", region), ("endpoint", endpoint)];
    // The schema lets nothing through that a URL would have to escape.
    let more: Vec<String> =
        more.into_iter().filter_map(|(key, value)| value.as_ref().map(|value| format!("{key}={value}"))).collect();
    let more = if more.is_empty() { String::new() } else { format!("?{}", more.join("&")) };
    format!("s3://{bucket}{prefix}{more}")
}

/// The Secrets that these Jobs cannot do without, with the field that names each.
#[must_use]
pub fn secrets(backup: &Backup) -> Vec<(&'static str, SecretKey)> {
    let of_store = backup.s3.iter().flat_map(|s3| {
        [S3Store::ACCESS_KEY_ID, S3Store::SECRET_ACCESS_KEY].map(|key| {
            let name = s3.credentials_secret_ref.name.clone();
            ("spec.backup.s3.credentialsSecretRef", SecretKey { name, key: key.to_owned() })
        })
    });
    let named = [
        ("spec.backup.encryptionKeySecretRef", &backup.encryption_key_secret_ref),
        ("spec.backup.scratchUrlSecretRef", &backup.scratch_url_secret_ref),
    ];
    let named = named.into_iter().filter_map(|(field, key)| Some((field, key.clone()?)));
    of_store.chain(named).collect()
}

fn secret_files(backup: &Backup) -> Vec<Value> {
    let scratch = backup.scratch_url_secret_ref.iter().map(|key| pod::secret(key, paths::SCRATCH_URL, false));
    place_secrets(backup).into_iter().chain(scratch).collect()
}

/// What is needed to read and write at the place. None of it is optional: a backup without its key would not be encrypted.
#[must_use]
pub fn place_secrets(backup: &Backup) -> Vec<Value> {
    let of_store = backup.s3.iter().flat_map(|s3| {
        [S3Store::ACCESS_KEY_ID, S3Store::SECRET_ACCESS_KEY].map(|key| {
            let secret = SecretKey { name: s3.credentials_secret_ref.name.clone(), key: key.to_owned() };
            pod::secret(&secret, &format!("{}/{key}", paths::BACKUP_STORE), false)
        })
    });
    let key = backup.encryption_key_secret_ref.iter().map(|key| pod::secret(key, paths::BACKUP_KEY, false));
    of_store.chain(key).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::fixtures;

    fn backup(spec: Value) -> Backup {
        serde_json::from_value(spec).unwrap()
    }

    fn on_s3() -> Backup {
        backup(json!({
            "s3": {
                "bucket": "payments", "prefix": "purser/backups", "region": "eu-central-1",
                "endpoint": "https://minio.storage:9000", "credentialsSecretRef": { "name": "s3" },
            },
            "encryptionKeySecretRef": { "name": "age", "key": "identity" },
        }))
    }

    #[test]
    fn the_place_is_a_folder_on_the_claim_or_a_bucket() {
        assert_eq!(store(&backup(json!({ "volumeClaim": { "name": "backups" } }))), "file:///var/lib/purser/backups");
        let whole = "s3://payments/purser/backups?region=eu-central-1&endpoint=https://minio.storage:9000";
        assert_eq!(store(&on_s3()), whole);
    }

    #[test]
    fn a_job_has_the_claim_or_the_keys_and_says_what_it_does() {
        let cluster = fixtures::validated(|_| {});
        let claimed = backup(json!({ "volumeClaim": { "name": "backups" }, "keep": 3 }));
        let made = job(&cluster, &claimed, Work::Create, "inputs", 1);
        let container = &made.body["spec"]["template"]["spec"]["containers"][0];
        let expected = "backup create --verify --keep 3 --store file:///var/lib/purser/backups --owner shop/payments";
        assert_eq!(container["args"], json!(expected.split(' ').collect::<Vec<_>>()));
        assert!(made.body.to_string().contains(r#""claimName":"backups""#));

        let restored = job(&cluster, &on_s3(), Work::Restore("b1", None), "inputs", 2).body.to_string();
        assert!(restored.contains(r#"["backup","restore","b1","--into-current","--store""#), "{restored}");
        for path in ["backup-store/access-key-id", "backup-store/secret-access-key", "backup-key"] {
            assert!(restored.contains(path), "{path}");
        }
        assert!(!restored.contains("claimName") && !restored.contains(r#""optional":true"#));
    }

    #[test]
    fn another_key_or_another_place_is_worth_another_attempt() {
        let mut cluster = fixtures::validated(|_| {});
        let before = inputs(&cluster, &on_s3(), "now");
        assert_ne!(before, inputs(&cluster, &Backup { keep: 2, ..on_s3() }, "now"));
        assert_ne!(before, inputs(&cluster, &on_s3(), "later"));
        cluster.secret_revisions.backup = vec!["2".into()];
        assert_ne!(before, inputs(&cluster, &on_s3(), "now"));
    }
}
