//! Live settings: what reaches running pods within seconds and without a restart.
//!
//! The operator writes the document, a Job puts it into the database, PostgreSQL tells every pod.
//!
//! During an upgrade pods of two releases read one document. So these types pass over fields that they do not know,
//! and a field that is added here takes `#[serde(default)]`. Only who applies a document refuses unknown fields.

use serde::{Deserialize, Serialize};

use crate::ProviderName;

/// The whole of the live settings; applying it replaces what was there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Settings {
    /// Grows with every change. An older document never replaces a newer one, however late its Job runs.
    pub revision: i64,
    /// How long Redis may answer in PostgreSQL's place.
    pub cache_ttl: CacheTtl,
    /// The providers that payments may go to. One that is not here gets no new payment.
    pub providers: Vec<ProviderSettings>,
    /// How much one merchant may ask for.
    #[serde(default)]
    pub limits: Limits,
    /// Writes are refused as long as this is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maintenance: Option<Maintenance>,
}

/// Writes are answered with 503 and `Retry-After`; reads and accepted work go on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Maintenance {
    /// After how many seconds a merchant should try again.
    pub retry_after_s: u32,
}

/// How much one merchant may ask for, over all of its keys and all gateways.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// Requests per second that are always taken.
    pub requests_per_second: u32,
    /// Requests that may come at once, above the steady rate.
    pub burst: u32,
    /// Requests in work at the same time, per gateway.
    pub concurrent_requests: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { requests_per_second: 100, burst: 200, concurrent_requests: 256 }
    }
}

/// Time to live per kind of cached value, in seconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CacheTtl {
    /// Users.
    pub user_s: u32,
    /// Payment methods.
    pub payment_method_s: u32,
    /// Fraud rules.
    pub fraud_rules_s: u32,
    /// Transaction metrics.
    pub metrics_s: u32,
}

/// One provider, as routing sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProviderSettings {
    /// Name of the PaymentProvider resource; also the name of its credential file.
    pub resource: String,
    /// Which adapter speaks to it.
    pub name: ProviderName,
    /// Base URL of its API.
    pub api_endpoint: String,
    /// Lower is asked first.
    pub priority: i32,
    /// Whether it gets new payments. One that is off still answers for the payments it has.
    pub active: bool,
    /// Time limit of one call, in milliseconds.
    pub max_latency_ms: u32,
    /// Percentage, as a decimal string, below which it counts as unhealthy.
    pub success_rate_threshold: String,
}
