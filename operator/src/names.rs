//! Who a thing belongs to and what it is called. ★ Pure.

use std::collections::BTreeMap;

use runtime_contract::{Role, labels};
use serde_json::{Value, json};

use crate::owned::hash_of;

/// The PaymentCluster that things belong to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its UID: a PaymentCluster of the same name that was deleted and made anew is another one.
    pub uid: String,
}

impl Identity {
    /// `NAMESPACE/NAME`, as the runtime knows it.
    #[must_use]
    pub fn owner(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    /// Selects everything that the operator made for this PaymentCluster.
    #[must_use]
    pub fn selector(&self) -> String {
        format!("{}={},{}={}", labels::MANAGED_BY, labels::MANAGED_BY_PURSER, labels::INSTANCE, self.name)
    }

    /// The owner reference that lets Kubernetes remove a thing together with its PaymentCluster.
    #[must_use]
    pub fn owner_reference(&self) -> Value {
        json!({
            "apiVersion": format!("{}/{}", crds::GROUP, crds::VERSION),
            "kind": "PaymentCluster",
            "name": self.name,
            "uid": self.uid,
            "controller": true,
            "blockOwnerDeletion": true,
        })
    }

    /// Labels of a thing; `release` only on what belongs to one release.
    #[must_use]
    pub fn labels(&self, component: &str, release: Option<&Release>) -> BTreeMap<String, String> {
        let mut all = BTreeMap::from([
            (labels::MANAGED_BY.into(), labels::MANAGED_BY_PURSER.into()),
            (labels::APP.into(), labels::APP_PURSER.into()),
            (labels::INSTANCE.into(), self.name.clone()),
            (labels::COMPONENT.into(), component.into()),
        ]);
        if let Some(release) = release {
            all.insert(labels::VERSION.into(), release.version().to_owned());
            all.insert(labels::RELEASE.into(), release.name.clone());
        }
        all
    }

    /// Labels that pick the pods of a role, of one release or of all of them.
    #[must_use]
    pub fn pod_selector(&self, role: Role, release: Option<&str>) -> BTreeMap<String, String> {
        let mut all = BTreeMap::from([
            (labels::APP.into(), labels::APP_PURSER.into()),
            (labels::INSTANCE.into(), self.name.clone()),
            (labels::COMPONENT.into(), role.as_str().into()),
        ]);
        if let Some(release) = release {
            all.insert(labels::RELEASE.into(), release.into());
        }
        all
    }

    /// The Deployment of a role in a release.
    #[must_use]
    pub fn deployment(&self, role: Role, release: &Release) -> String {
        format!("{}-{role}-{}", self.name, release.slug())
    }

    /// The configuration of a release.
    #[must_use]
    pub fn config(&self, release: &Release) -> String {
        format!("{}-config-{}", self.name, release.slug())
    }

    /// The record of a release that ended.
    #[must_use]
    pub fn release_record(&self, release: &Release) -> String {
        format!("{}-release-{}", self.name, release.slug())
    }

    /// The stable Service in front of the gateway.
    #[must_use]
    pub fn gateway_service(&self) -> String {
        format!("{}-gateway", self.name)
    }

    /// The fraud Service of a release: a processor only asks the fraud check of its own release.
    #[must_use]
    pub fn fraud_service(&self, release: &Release) -> String {
        format!("{}-fraud-{}", self.name, release.slug())
    }

    /// The headless Service over every pod, by which figures are scraped.
    #[must_use]
    pub fn metrics_service(&self) -> String {
        format!("{}-metrics", self.name)
    }

    /// The Service in front of the gateway pods of one release, whether or not it has traffic.
    #[must_use]
    pub fn release_gateway_service(&self, release: &Release) -> String {
        format!("{}-gateway-{}", self.name, release.slug())
    }

    /// An attempt at a command of a release. The command's name has at most seven characters.
    #[must_use]
    pub fn release_job(&self, command: &str, release: &Release, attempt: u32) -> String {
        format!("{}-{command}-{}-{attempt}", self.name, release.slug())
    }

    /// The live settings of a revision. One document per revision, because a kubelet may mount a document that it
    /// read before the last change of it.
    #[must_use]
    pub fn settings(&self, revision: i64) -> String {
        format!("{}-settings-{revision}", self.name)
    }

    /// An attempt at putting a revision of the live settings in force.
    #[must_use]
    pub fn settings_job(&self, revision: i64, attempt: u32) -> String {
        format!("{}-settings-{revision}-{attempt}", self.name)
    }
}

/// One version of the platform with one configuration.
///
/// The first configuration of a version goes by the version itself, each further one by a revision behind it: `1.4.0`,
/// `1.4.0-r2`, `1.4.0-r3`. No version ends like that: the schema forbids it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// The version, with the revision of its configuration from the second one on.
    pub name: String,
}

/// Longer names leave no room for what stands around them within 63 characters.
const SLUG_MAX: usize = 18;

impl Release {
    /// That of a revision of a version's configuration.
    #[must_use]
    pub fn of(version: &str, revision: u32) -> Self {
        let name = if revision > 1 { format!("{version}-r{revision}") } else { version.to_owned() };
        Self { name }
    }

    /// The version: of the image, and of the schema.
    #[must_use]
    pub fn version(&self) -> &str {
        version_of(&self.name)
    }

    /// The name as a part of names. No two releases share one: the schema allows no `-` within an identifier of a version, and no
    /// version begins with a letter.
    #[must_use]
    pub fn slug(&self) -> String {
        let (version, revision) = split(&self.name);
        if self.name.len() <= SLUG_MAX {
            return self.name.replace('.', "-");
        }
        let digest: String = hash_of(&json!(version)).chars().take(10).collect();
        format!("v{digest}-r{revision}")
    }
}

/// The version of a release by its name.
#[must_use]
pub fn version_of(name: &str) -> &str {
    split(name).0
}

/// Which configuration of its version a release has by its name, from 1.
#[must_use]
pub fn revision_of(name: &str) -> u32 {
    split(name).1
}

fn split(name: &str) -> (&str, u32) {
    let split = name.rsplit_once("-r").and_then(|(version, revision)| Some((version, revision.parse().ok()?)));
    split.unwrap_or((name, 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_names_are_dns_labels() {
        let identity = Identity { namespace: "n".into(), name: "a".repeat(30), uid: "u".into() };
        for release in [Release::of("10.20.30-rc.123456", 1), Release::of("10.20.30-rc.123456", 9_999)] {
            assert_eq!(release.version().len(), 18);
            assert_are_labels(&identity, &release);
        }
    }

    fn assert_are_labels(identity: &Identity, release: &Release) {
        let names = [
            identity.deployment(Role::Processor, release),
            identity.config(release),
            identity.release_record(release),
            identity.fraud_service(release),
            identity.release_gateway_service(release),
            identity.release_job("migrate", release, 99_999),
            identity.settings_job(9_999_999_999, 99_999),
        ];
        for name in names {
            assert!(name.len() <= 63, "{name} has {} characters", name.len());
            assert!(name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'), "{name}");
        }
    }

    #[test]
    fn a_name_tells_its_version_and_its_revision() {
        for (name, version, revision, slug) in [
            ("1.4.0", "1.4.0", 1, "1-4-0"),
            ("1.4.0-r2", "1.4.0", 2, "1-4-0-r2"),
            ("1.4.0-rc.1", "1.4.0-rc.1", 1, "1-4-0-rc-1"),
            ("1.4.0-rc.1-r12", "1.4.0-rc.1", 12, "1-4-0-rc-1-r12"),
            ("1.4.0-rest", "1.4.0-rest", 1, "1-4-0-rest"),
        ] {
            let release = Release { name: name.into() };
            assert_eq!((release.version(), revision_of(name), release.slug().as_str()), (version, revision, slug));
            assert_eq!(Release::of(version, revision), release);
        }
        let long = |revision| Release::of("10.20.30-rc.123456", revision).slug();
        assert_ne!(long(2), long(3));
        assert_ne!(Release::of("10.20.30-rc.123457", 2).slug(), long(2));
    }
}
