//! What was seen of a PaymentCluster: the only thing that a plan rests on. ★ Pure.

use std::collections::BTreeMap;

use crds::{PaymentCluster, SecretKey};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use runtime_contract::{Figures, Health};

use super::providers::SeenProvider;
use crate::names::Identity;
use crate::notifications::SeenNotifications;
use crate::owned::{Kind, Live};
use crate::secrets::SecretState;

/// What was seen of the PaymentClusters that the wanted version is promoted from.
#[derive(Clone, Debug, Default)]
pub enum Upstream {
    /// Nobody had to look.
    #[default]
    NotAsked,
    /// The operator may not read it.
    Forbidden,
    /// It is there, and not to be understood.
    Unreadable(String),
    /// The one that is named, the one that that one names, and so on; empty when there is none.
    Seen(Vec<PaymentCluster>),
}

/// All that a plan rests on.
#[derive(Clone, Debug)]
pub struct Observed {
    /// The PaymentCluster.
    pub cluster: PaymentCluster,
    /// Who it is.
    pub identity: Identity,
    /// The database's URL.
    pub database_secret: SecretState,
    /// The cache's URL.
    pub cache_secret: SecretState,
    /// Secrets that the gateway needs besides: the field that names each, the key, and what is known of it.
    pub gateway_secrets: Vec<(&'static str, SecretKey, SecretState)>,
    /// Secrets that backups need, the same way.
    pub backup_secrets: Vec<(&'static str, SecretKey, SecretState)>,
    /// Secrets that the replication to analytics needs, the same way.
    pub analytics_secrets: Vec<(&'static str, SecretKey, SecretState)>,
    /// The Secret of the read replica, the same way.
    pub replica_secrets: Vec<(&'static str, SecretKey, SecretState)>,
    /// Secrets of cache and replica that pods of a release besides the wanted one were started with, where the spec names others.
    pub serving_secrets: Vec<(SecretKey, SecretState)>,
    /// The providers that it selects.
    pub providers: Vec<SeenProvider>,
    /// What was made for it.
    pub live: Vec<Live>,
    /// Its pods, those of Jobs too.
    pub pods: Vec<Pod>,
    /// What running pods said of themselves, by pod name.
    pub health: BTreeMap<String, Health>,
    /// What a metrics pod tells of the releases; none when no such pod answers.
    pub figures: Option<Figures>,
    /// What is known of those who are to be told how releases go.
    pub notifications: SeenNotifications,
    /// What the wanted version is promoted from.
    pub upstream: Upstream,
    /// The number of the operator that looks: greater than that of any before it.
    pub token: i64,
    /// When all of this was so.
    pub at: Timestamp,
}

impl Observed {
    /// An object by kind and name.
    #[must_use]
    pub fn find(&self, kind: Kind, name: &str) -> Option<&Live> {
        self.live.iter().find(|live| live.kind == kind && live.name == name)
    }

    /// What is known of a Secret of the cache or of a replica, whichever release names it.
    #[must_use]
    pub fn secret(&self, key: &SecretKey) -> Option<&SecretState> {
        let of_cache = (self.cluster.spec.cache.url_secret_ref == *key).then_some(&self.cache_secret);
        let of_replica = self.replica_secrets.iter().map(|(_, key, state)| (key, state));
        let of_serving = self.serving_secrets.iter().map(|(key, state)| (key, state));
        let mut named = of_replica.chain(of_serving);
        of_cache.or_else(|| named.find(|(found, _)| *found == key).map(|(_, state)| state))
    }

    /// The pods that carry a label.
    pub fn pods_with<'a>(&'a self, label: &'a str, value: &'a str) -> impl Iterator<Item = &'a Pod> {
        self.pods.iter().filter(move |pod| pod.labels().get(label).is_some_and(|found| found == value))
    }
}
