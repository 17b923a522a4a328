//! Who a thing belongs to and what it is called. ★ Pure.

use std::collections::BTreeMap;

use runtime_contract::{Role, labels};
use serde_json::{Value, json};

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
            all.insert(labels::VERSION.into(), release.version.clone());
            all.insert(labels::RELEASE.into(), release.version.clone());
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

/// One version of the platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// `spec.version`.
    pub version: String,
}

impl Release {
    /// The version as a part of names. No two versions share one: the schema allows no `-` within an identifier.
    #[must_use]
    pub fn slug(&self) -> String {
        self.version.replace('.', "-")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_names_are_dns_labels() {
        let identity = Identity { namespace: "n".into(), name: "a".repeat(30), uid: "u".into() };
        let release = Release { version: "10.20.30-rc.12345".into() };
        assert!(release.version.len() <= 18);
        let names = [
            identity.deployment(Role::Processor, &release),
            identity.config(&release),
            identity.release_record(&release),
            identity.fraud_service(&release),
            identity.release_job("migrate", &release, 99_999),
            identity.settings_job(9_999_999_999, 99_999),
        ];
        for name in names {
            assert!(name.len() <= 63, "{name} has {} characters", name.len());
            assert!(name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'), "{name}");
        }
    }
}
