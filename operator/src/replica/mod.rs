//! A replica of the database that lists are read from: the Job that looks at it before a release counts on it. ★ Pure.

use crds::SecretKey;
use crds::payment_cluster::Database;
use runtime_contract::{JobReport, Reason, commands};
use serde_json::json;

use crate::cluster::validate::Validated;
use crate::jobs::job::{self, Command};
use crate::owned::{Desired, hash_of};
use crate::workloads::pod;

/// Label of its Jobs.
pub const COMPONENT: &str = "check-replica";
/// As it is called within a sentence.
pub const WHAT: &str = "the check of the read replica";

/// Half a minute for each server to answer, a whole one to catch up. One that takes longer hangs.
const DEADLINE_SECONDS: u32 = 180;

/// The Job of an attempt. Where its Secret was taken away meanwhile, it says so instead of not starting.
#[must_use]
pub fn job(cluster: &Validated, inputs: &str, attempt: u32) -> Desired {
    let owner = cluster.identity.owner();
    let arguments = [commands::REPLICA, commands::REPLICA_CHECK, commands::OWNER_FLAG, &owner];
    let secrets: Vec<_> = pod::replica_secret(cluster).into_iter().collect();
    let name = cluster.identity.release_job("replica", &cluster.release, attempt);
    let command = Command::of_release(COMPONENT, name, &cluster.release, &arguments, inputs, attempt);
    job::build(cluster, Command { secrets: &secrets, deadline_seconds: Some(DEADLINE_SECONDS), ..command })
}

/// Hash of all that decides whether the same Job may end differently. `since` is when this try of the release began.
#[must_use]
pub fn inputs(cluster: &Validated, since: &str) -> String {
    hash_of(&json!([
        pod::image(cluster),
        cluster.spec.image.pull_policy.as_str(),
        cluster.spec.image.pull_secrets,
        cluster.spec.database.read_url_secret_ref,
        cluster.secret_revisions.database,
        cluster.secret_revisions.replica,
        cluster.retry,
        since,
    ]))
}

/// Whether a report says what was found: that of a Job whose pod is gone does not.
#[must_use]
pub const fn is_whole(report: &JobReport) -> bool {
    matches!(report.reason, Reason::ReplicaReady | Reason::ReplicaBehind)
}

/// The Secret of the replica, with the field that names it.
#[must_use]
pub fn secrets(database: &Database) -> Vec<(&'static str, SecretKey)> {
    database.read_url_secret_ref.iter().map(|key| ("spec.database.readUrlSecretRef", key.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::fixtures;

    fn with_replica() -> Validated {
        fixtures::validated(|spec| spec["database"]["readUrlSecretRef"] = json!({ "name": "replica", "key": "url" }))
    }

    #[test]
    fn a_job_has_both_urls_and_starts_without_that_of_the_replica() {
        let job = job(&with_replica(), "inputs", 2);
        assert_eq!(job.name, "payments-replica-0-1-0-2");
        let container = &job.body["spec"]["template"]["spec"]["containers"][0];
        assert_eq!(container["args"], json!(["replica", "check", "--owner", "shop/payments"]));
        let text = job.body.to_string();
        for part in ["database-url", "database-read-url", r#""name":"replica""#, r#""optional":true"#] {
            assert!(text.contains(part), "{part} is not in {text}");
        }
        assert!(!text.contains("providers"), "{text}");
    }

    #[test]
    fn another_secret_or_another_try_is_worth_another_attempt() {
        let mut cluster = with_replica();
        let before = inputs(&cluster, "then");
        assert_ne!(before, inputs(&cluster, "now"));
        cluster.secret_revisions.replica = vec!["2".into()];
        assert_ne!(before, inputs(&cluster, "then"));
    }
}
