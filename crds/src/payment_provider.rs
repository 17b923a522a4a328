//! PaymentProvider: one account at one payment provider.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{DurationText, SecretKey};

/// One account at one payment provider.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "purser.dev",
    version = "v1alpha1",
    kind = "PaymentProvider",
    plural = "paymentproviders",
    shortname = "pprov",
    category = "purser",
    namespaced,
    cel,
    derive = "PartialEq",
    status = "PaymentProviderStatus",
    doc = "One account at one payment provider. A PaymentCluster of the namespace uses it when its selector matches the labels.",
    printcolumn(name = "Provider", type_ = "string", json_path = ".spec.name"),
    printcolumn(name = "Endpoint", type_ = "string", json_path = ".spec.apiEndpoint"),
    printcolumn(name = "Priority", type_ = "integer", json_path = ".spec.priority"),
    printcolumn(name = "Active", type_ = "boolean", json_path = ".spec.active"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].status"),
    printcolumn(name = "Used by", type_ = "string", json_path = ".status.usedBy"),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].message", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("self.metadata.name.matches('^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$')")
        .message("the name of a PaymentProvider is also the name of its credential file: at most 63 characters, lower case letters, digits and '-'")
)]
#[x_kube(validation = Rule::new("(has(self.simulator) && self.simulator) || self.apiEndpoint.startsWith('https://')")
    .message("apiEndpoint must be https://, for credentials travel to it; only a provider with `simulator: true` may use http://"))]
#[serde(rename_all = "camelCase")]
pub struct PaymentProviderSpec {
    /// Which provider it is.
    #[x_kube(validation = Rule::new("self == oldSelf")
        .message("name is immutable: payments at this provider still have to be asked about; make another PaymentProvider instead"))]
    pub name: ProviderName,
    /// Base URL of the provider's API.
    #[schemars(length(max = 512))]
    #[x_kube(validation = Rule::new("self.matches('^https?://[-.a-zA-Z0-9]+(:[0-9]{1,5})?(/[-._~%/a-zA-Z0-9]*)?$')")
        .message("apiEndpoint must be a URL of scheme, host, optional port and optional path, such as https://api.example.com"))]
    pub api_endpoint: String,
    /// Secret key with the credential. A new credential must be one of the same account: a payment whose outcome is open
    /// is asked about with it, and another account knows nothing of that payment. For another account, make another
    /// PaymentProvider and switch this one off.
    pub credentials_secret_ref: SecretKey,
    /// Secret key with what the provider's webhooks are verified by: Stripe's signing secret (`whsec_…`), PayPal's webhook
    /// id. Without it its webhooks are refused, and open outcomes are found out by asking alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhook_secret_ref: Option<SecretKey>,
    /// Lower is asked first.
    #[serde(default = "priority_default")]
    #[schemars(range(min = 0, max = 1000))]
    pub priority: i32,
    /// Whether it gets new payments. One that is off still answers for the payments that it has.
    #[serde(default = "active_default")]
    pub active: bool,
    /// Time limit of one call.
    #[serde(default = "max_latency_default")]
    #[x_kube(validation = Rule::new("self.matches('^[1-9][0-9]*(ms|s)$') && duration(self) >= duration('50ms') && duration(self) <= duration('60s')")
        .message("maxLatency is a whole number of ms or s, from 50ms to 60s, such as 2s"))]
    pub max_latency: DurationText,
    /// Percentage of successful payments below which the provider counts as unhealthy.
    #[serde(default = "success_rate_threshold_default")]
    #[schemars(length(max = 6))]
    #[x_kube(validation = Rule::new("self.matches('^(100([.]0{1,2})?|[1-9]?[0-9]([.][0-9]{1,2})?)$')")
        .message("successRateThreshold is a percentage in quotes, from \"0\" to \"100\", with at most two decimals, such as \"95.0\""))]
    pub success_rate_threshold: String,
    /// Marks a simulator: no real money moves, and plain http is allowed.
    #[serde(default)]
    pub simulator: bool,
}

fn priority_default() -> i32 {
    100
}

fn active_default() -> bool {
    true
}

fn max_latency_default() -> DurationText {
    "2s".into()
}

fn success_rate_threshold_default() -> String {
    "95.0".into()
}

/// The providers that Purser knows by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum ProviderName {
    /// Visa.
    Visa,
    /// Mastercard.
    Mastercard,
    /// PayPal.
    Paypal,
    /// American Express.
    Amex,
    /// Stripe.
    Stripe,
}

impl From<ProviderName> for runtime_contract::ProviderName {
    fn from(name: ProviderName) -> Self {
        match name {
            ProviderName::Visa => Self::Visa,
            ProviderName::Mastercard => Self::Mastercard,
            ProviderName::Paypal => Self::Paypal,
            ProviderName::Amex => Self::Amex,
            ProviderName::Stripe => Self::Stripe,
        }
    }
}

/// Status of a PaymentProvider.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct PaymentProviderStatus {
    /// The generation of the spec that the rest of the status speaks of; -1 before the first look.
    #[serde(default = "never_observed")]
    pub observed_generation: i64,
    /// The PaymentCluster that uses it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_by: Option<String>,
    /// One condition per concern.
    #[serde(default)]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".to_string()]))]
    pub conditions: Vec<Condition>,
}

fn never_observed() -> i64 {
    -1
}
