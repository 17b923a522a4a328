//! What flows to the analytics database: Jobs of the runtime's image that begin it, and end it. ★ Pure.

use crds::SecretKey;
use crds::payment_cluster::{Analytics, AnalyticsStatus};
use runtime_contract::{commands, paths};
use serde_json::{Value, json};

use crate::cluster::validate::Validated;
use crate::jobs::job::{self, Command};
use crate::owned::{Desired, hash_of};
use crate::workloads::{pod, resources};

/// Label of the Jobs that have something flow.
pub const CONFIGURE: &str = "configure";
/// Label of the Jobs that end it.
pub const REMOVE: &str = "cdc-remove";

/// A new column of a large table is looked through. One that takes longer hangs.
const DEADLINE_SECONDS: u32 = 1_800;

/// What one of these Jobs does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Has everything flow that is to.
    Apply,
    /// Ends it, and leaves nothing behind.
    Remove,
}

impl Work {
    /// Label of its Jobs.
    #[must_use]
    pub const fn component(self) -> &'static str {
        match self {
            Self::Apply => CONFIGURE,
            Self::Remove => REMOVE,
        }
    }

    /// As it is called within a sentence.
    #[must_use]
    pub const fn what(self) -> &'static str {
        match self {
            Self::Apply => "the replication to analytics",
            Self::Remove => "the end of the replication to analytics",
        }
    }
}

/// The Job of an attempt. `known` says where the URLs are.
#[must_use]
pub fn job(cluster: &Validated, work: Work, known: &AnalyticsStatus, inputs: &str, attempt: u32) -> Desired {
    let owner = cluster.identity.owner();
    let (word, short, is_optional) = match work {
        Work::Apply => (commands::CDC_APPLY, "cdc", false),
        // Whoever took the Secrets away as well still wants the slot to go.
        Work::Remove => (commands::CDC_REMOVE, "cdc-off", true),
    };
    let arguments = [commands::CDC, word, commands::OWNER_FLAG, &owner];
    let secrets = [
        pod::secret(&known.url_secret_ref, paths::ANALYTICS_URL, is_optional),
        pod::secret(&known.source_url_secret_ref, paths::ANALYTICS_SOURCE_URL, is_optional),
    ];
    let name = cluster.identity.release_job(short, &cluster.release, attempt);
    let component = work.component();
    let command = Command::of_release(component, name, &cluster.release, &arguments, inputs, attempt);
    let command =
        Command { secrets: &secrets, resources: resources::JOB, deadline_seconds: Some(DEADLINE_SECONDS), ..command };
    job::build(cluster, command)
}

/// The URL of the analytics database for a Job that replaces the database of payments, which analytics has to let go of first:
/// where something flows to, whatever is wanted by now.
#[must_use]
pub fn secret_to_let_go(known: &AnalyticsStatus) -> Value {
    pod::secret(&known.url_secret_ref, paths::ANALYTICS_URL, true)
}

/// The Secrets that it cannot do without, with the field that names each.
#[must_use]
pub fn secrets(analytics: &Analytics) -> Vec<(&'static str, SecretKey)> {
    vec![
        ("spec.analytics.urlSecretRef", analytics.url_secret_ref.clone()),
        ("spec.analytics.sourceUrlSecretRef", analytics.source_url_secret_ref.clone()),
    ]
}

/// Hash of all besides the release that decides how it is set up. Whoever has something tried again has this looked at as well: a slot
/// that was cut off is made anew only then.
#[must_use]
pub fn setup(cluster: &Validated, known: &AnalyticsStatus) -> String {
    hash_of(&json!([
        known.url_secret_ref,
        known.source_url_secret_ref,
        known.since,
        known.restored_at,
        cluster.secret_revisions.database,
        cluster.secret_revisions.analytics,
        cluster.retry,
    ]))
}

/// Hash of all that decides whether the same Job may end differently.
#[must_use]
pub fn inputs(cluster: &Validated, work: Work, known: &AnalyticsStatus) -> String {
    hash_of(&json!([
        work.component(),
        setup(cluster, known),
        pod::image(cluster),
        cluster.spec.image.pull_policy.as_str(),
        cluster.spec.image.pull_secrets,
    ]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::fixtures;

    fn known() -> AnalyticsStatus {
        let key = |name: &str| SecretKey { name: name.into(), key: "url".into() };
        AnalyticsStatus {
            since: "2026-11-28T12:00:00Z".into(),
            url_secret_ref: key("analytics"),
            source_url_secret_ref: key("replication"),
            flow: None,
            restored_at: None,
        }
    }

    #[test]
    fn a_job_has_both_urls_and_only_the_one_that_ends_it_can_do_without() {
        let cluster = fixtures::validated(|_| {});
        let begins = job(&cluster, Work::Apply, &known(), "inputs", 1);
        assert_eq!(begins.name, "payments-cdc-0-1-0-1");
        let container = &begins.body["spec"]["template"]["spec"]["containers"][0];
        assert_eq!(container["args"], json!(["cdc", "apply", "--owner", "shop/payments"]));
        let text = begins.body.to_string();
        for part in ["analytics-url", "analytics-source-url", "database-url", r#""name":"replication""#] {
            assert!(text.contains(part), "{part} is not in {text}");
        }
        assert!(!text.contains("providers") && !text.contains(r#""optional":true"#), "{text}");
        let ends = job(&cluster, Work::Remove, &known(), "inputs", 1).body.to_string();
        assert!(ends.contains(r#"["cdc","remove","#) && ends.contains(r#""optional":true"#), "{ends}");
    }

    #[test]
    fn another_secret_or_another_database_is_worth_another_attempt() {
        let mut cluster = fixtures::validated(|_| {});
        let before = setup(&cluster, &known());
        let restored = AnalyticsStatus { restored_at: Some("later".into()), ..known() };
        assert_ne!(before, setup(&cluster, &restored));
        cluster.secret_revisions.analytics = vec!["2".into()];
        assert_ne!(before, setup(&cluster, &known()));
        cluster.secret_revisions.analytics = Vec::new();
        assert_eq!(before, setup(&cluster, &known()));
        cluster.retry = "again".into();
        assert_ne!(before, setup(&cluster, &known()));
    }
}
