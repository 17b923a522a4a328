//! The parts of a PaymentCluster's spec, with their defaults and bounds.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::quantity::Resources;
use crate::rule::rule;
use crate::{DurationText, SecretKey};

/// Where the platform's image comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Image {
    /// Repository without tag or digest.
    #[schemars(length(min = 1, max = 255))]
    #[schemars(extend("x-kubernetes-validations" = rule("!self.contains('@') && !self.matches(':[^/]*$')", "repository takes no tag and no digest: spec.version is the tag")))]
    pub repository: String,
    /// When the kubelet pulls it.
    pub pull_policy: PullPolicy,
    /// Secrets for the registry.
    #[schemars(length(max = 8))]
    pub pull_secrets: Vec<LocalReference>,
}

impl Default for Image {
    fn default() -> Self {
        Self { repository: "purser".into(), pull_policy: PullPolicy::IfNotPresent, pull_secrets: Vec::new() }
    }
}

/// When the kubelet pulls an image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PullPolicy {
    /// On every start of a container.
    Always,
    /// When the node does not have it.
    #[default]
    IfNotPresent,
    /// Never.
    Never,
}

impl PullPolicy {
    /// The policy as Kubernetes writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Always => "Always",
            Self::IfNotPresent => "IfNotPresent",
            Self::Never => "Never",
        }
    }
}

/// An object of the same namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LocalReference {
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// What the platform is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Environment {
    /// Real payments.
    #[default]
    Production,
    /// A rehearsal: a release proves itself here first.
    Staging,
}

/// The PostgreSQL database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Database {
    /// Secret key with the URL, `postgres://user:password@host:5432/database`.
    pub url_secret_ref: SecretKey,
    /// Secret key with the URL of a physical (streaming) replica of the database, or of what balances connections over several. Lists are
    /// read there, and from the database whenever the replica is away, late or no replica any more. None is made; without this field all
    /// is read from the database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_url_secret_ref: Option<SecretKey>,
    /// How old what is read from the replica may be: so much of what a merchant wrote last may be missing in a list. A whole number of
    /// ms or s, from 1s to 60s; 2s if absent. Without effect where there is no `readUrlSecretRef`.
    #[serde(default = "Database::read_lag_max_default")]
    #[schemars(extend("x-kubernetes-validations" = rule("self.matches('^[1-9][0-9]*(ms|s)$') && duration(self) >= duration('1s') && duration(self) <= duration('60s')", "readLagMax is a whole number of ms or s, from 1s to 60s, such as 2s")))]
    pub read_lag_max: DurationText,
}

impl Database {
    fn read_lag_max_default() -> DurationText {
        "2s".into()
    }
}

/// The Redis cache.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Cache {
    /// Secret key with the URL, `redis://:password@host:6379`.
    pub url_secret_ref: SecretKey,
    /// How long Redis may answer in PostgreSQL's place. A change reaches running pods within seconds.
    #[serde(default)]
    pub ttl: CacheTtls,
}

/// Time to live per kind of cached value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct CacheTtls {
    /// Users.
    #[schemars(extend("x-kubernetes-validations" = ttl_rule()))]
    pub user: DurationText,
    /// Payment methods.
    #[schemars(extend("x-kubernetes-validations" = ttl_rule()))]
    pub payment_method: DurationText,
    /// Fraud rules.
    #[schemars(extend("x-kubernetes-validations" = ttl_rule()))]
    pub fraud_rules: DurationText,
    /// Transaction metrics.
    #[schemars(extend("x-kubernetes-validations" = ttl_rule()))]
    pub metrics: DurationText,
}

fn ttl_rule() -> serde_json::Value {
    rule(
        "self.matches('^[1-9][0-9]*(s|m|h)$') && duration(self) <= duration('24h')",
        "a time to live is a whole number of s, m or h, from 1s to 24h, such as 5m",
    )
}

impl Default for CacheTtls {
    fn default() -> Self {
        Self { user: "5m".into(), payment_method: "10m".into(), fraud_rules: "1h".into(), metrics: "1m".into() }
    }
}

/// Which PaymentProviders take the payments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Providers {
    /// Labels of the PaymentProviders, in the namespace of the PaymentCluster.
    pub selector: LabelSelector,
}

/// Labels that an object must carry, all of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LabelSelector {
    /// Label and value.
    #[schemars(length(min = 1, max = 16))]
    #[schemars(extend("x-kubernetes-validations" = rule("self.size() >= 1", "name at least one label: an empty selector would take every provider of the namespace")))]
    pub match_labels: BTreeMap<String, String>,
}

impl LabelSelector {
    /// Whether an object with these labels is selected.
    #[must_use]
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        !self.match_labels.is_empty() && self.match_labels.iter().all(|(key, value)| labels.get(key) == Some(value))
    }
}

/// The payment API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Gateway {
    /// Number of pods; without effect while `autoscaling` is set.
    #[schemars(range(min = 1, max = 200))]
    pub replicas: i32,
    /// Requests and limits of one pod.
    pub resources: Resources,
    /// Lets the number of pods follow their CPU use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub autoscaling: Option<Autoscaling>,
    /// How the API is reached.
    pub service: GatewayService,
    /// Lets the API speak TLS, and nothing else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<GatewayTls>,
    /// How much one merchant may ask for. A change reaches running pods within seconds.
    pub rate_limit: RateLimit,
    /// Secret key with the token of the admin API. Without it there is no admin API.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admin_token_secret_ref: Option<SecretKey>,
}

impl Default for Gateway {
    fn default() -> Self {
        Self {
            replicas: 2,
            resources: Resources::default(),
            autoscaling: None,
            service: GatewayService::default(),
            tls: None,
            rate_limit: RateLimit::default(),
            admin_token_secret_ref: None,
        }
    }
}

/// The certificate of the payment API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GatewayTls {
    /// A Secret of type kubernetes.io/tls, as cert-manager makes them. A renewed certificate is taken up without a restart.
    #[schemars(length(min = 1, max = 253))]
    pub secret_name: String,
}

impl GatewayTls {
    /// Key of the certificate chain in such a Secret.
    pub const CERTIFICATE: &str = "tls.crt";
    /// Key of the private key in such a Secret.
    pub const KEY: &str = "tls.key";
}

/// How much one merchant may ask for, over all of its keys and all gateway pods.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RateLimit {
    /// Requests per second that are always taken.
    #[schemars(extend("x-kubernetes-validations" = rule("self >= 1 && self <= 1000000", "requestsPerSecond is from 1 to 1000000")))]
    pub requests_per_second: u32,
    /// Requests that may come at once, above the steady rate.
    #[schemars(extend("x-kubernetes-validations" = rule("self >= 1 && self <= 1000000", "burst is from 1 to 1000000")))]
    pub burst: u32,
    /// Requests in work at the same time, per gateway pod.
    #[schemars(extend("x-kubernetes-validations" = rule("self >= 1 && self <= 100000", "concurrentRequests is from 1 to 100000")))]
    pub concurrent_requests: u32,
}

impl Default for RateLimit {
    fn default() -> Self {
        let runtime_contract::Limits { requests_per_second, burst, concurrent_requests } =
            runtime_contract::Limits::default();
        Self { requests_per_second, burst, concurrent_requests }
    }
}

/// How merchants are told of events.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Webhooks {
    /// Whether endpoints may be at private and loopback addresses, and without TLS. For development only: elsewhere a
    /// merchant could make the platform call what only the platform can reach.
    pub allow_private_addresses: bool,
}

/// Bounds and goal of an autoscaler.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = rule("self.minReplicas <= self.maxReplicas", "autoscaling.minReplicas must not be greater than autoscaling.maxReplicas")))]
pub struct Autoscaling {
    /// Fewest pods.
    #[serde(default = "Autoscaling::min_replicas_default")]
    #[schemars(range(min = 1, max = 200))]
    pub min_replicas: i32,
    /// Most pods.
    #[schemars(range(min = 1, max = 200))]
    pub max_replicas: i32,
    /// CPU use to aim at, in percent of what the pods request.
    #[serde(default = "Autoscaling::target_default")]
    #[schemars(extend("x-kubernetes-validations" = rule("self >= 1 && self <= 100", "targetCpuUtilization is a percentage of the requested CPU, from 1 to 100")))]
    pub target_cpu_utilization: i32,
}

impl Autoscaling {
    fn min_replicas_default() -> i32 {
        2
    }

    fn target_default() -> i32 {
        70
    }
}

/// How the payment API is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = rule("!has(self.nodePort) || self.type == 'NodePort'", "gateway.service.nodePort needs gateway.service.type NodePort")))]
pub struct GatewayService {
    /// Type of the Service.
    #[serde(rename = "type")]
    pub type_: ServiceType,
    /// Port on every node; chosen by Kubernetes when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub node_port: Option<i32>,
}

/// Type of a Service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ServiceType {
    /// Inside the cluster.
    #[default]
    ClusterIP,
    /// On a port of every node.
    NodePort,
    /// By a load balancer of the platform that the cluster runs on.
    LoadBalancer,
}

impl ServiceType {
    /// The type as Kubernetes writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ClusterIP => "ClusterIP",
            Self::NodePort => "NodePort",
            Self::LoadBalancer => "LoadBalancer",
        }
    }
}

/// The fraud check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Fraud {
    /// Number of pods.
    #[schemars(range(min = 1, max = 200))]
    pub replicas: i32,
    /// Requests and limits of one pod.
    pub resources: Resources,
    /// Hard limit of one check.
    #[schemars(extend("x-kubernetes-validations" = rule("self.matches('^[1-9][0-9]*(ms|s)$') && duration(self) >= duration('5ms') && duration(self) <= duration('1s')", "deadline is a whole number of ms or s, from 5ms to 1s, such as 50ms")))]
    pub deadline: DurationText,
    /// What a check that missed its deadline counts as.
    pub on_deadline: OnDeadline,
}

impl Default for Fraud {
    fn default() -> Self {
        Self {
            replicas: 1,
            resources: Resources::default(),
            deadline: "50ms".into(),
            on_deadline: OnDeadline::default(),
        }
    }
}

/// What a fraud check that missed its deadline counts as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OnDeadline {
    /// Let the payment go on, and mark it for a look.
    #[default]
    Flag,
    /// Let the payment go on.
    Pass,
    /// Refuse the payment.
    Block,
}

/// Takes accepted payments to their end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Processor {
    /// Number of pods.
    #[schemars(range(min = 1, max = 200))]
    pub replicas: i32,
    /// Requests and limits of one pod.
    pub resources: Resources,
}

impl Default for Processor {
    fn default() -> Self {
        Self { replicas: 2, resources: Resources::default() }
    }
}

/// Rolls up the payments of each minute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Metrics {
    /// Number of pods.
    #[schemars(range(min = 1, max = 200))]
    pub replicas: i32,
    /// Requests and limits of one pod.
    pub resources: Resources,
}

impl Default for Metrics {
    fn default() -> Self {
        Self { replicas: 1, resources: Resources::default() }
    }
}
