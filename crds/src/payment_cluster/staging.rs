//! Staging before production: where a release proves itself, and by what.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rollout::{duration_rule, latency_rule};
use crate::DurationText;
use crate::rule::rule;

/// Another PaymentCluster, whose environment is Staging: a version goes forward here only once it is Verified there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PromoteFrom {
    /// Its namespace; that of this PaymentCluster when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    #[schemars(extend("x-kubernetes-validations" = rule("self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')", "promoteFrom.namespace is the name of a namespace")))]
    pub namespace: Option<String>,
    /// Its name.
    #[schemars(length(min = 1, max = 30))]
    pub name: String,
}

/// Whether a new release has to take test payments before it gets traffic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum HealthCheck {
    /// It has to, as long as another release serves meanwhile. Test payments reach no provider, and charge nobody.
    #[default]
    Enabled,
    /// Its pods being ready is enough.
    Disabled,
}

/// Whether the cache is made warm for a new release before it gets traffic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum WarmCache {
    /// It is, as long as another release serves meanwhile. A cache that cannot be warmed holds nothing up.
    #[default]
    Enabled,
    /// The release finds it as it is.
    Disabled,
}

/// The load test of a staging release, by test payments. What it misses is not Verified.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Staging {
    /// Payments per second, no more than `gateway.rateLimit.requestsPerSecond`.
    #[schemars(extend("x-kubernetes-validations" = rule("self >= 1 && self <= 10000", "staging.tps is from 1 to 10000")))]
    pub tps: i32,
    /// For how long.
    #[schemars(extend("x-kubernetes-validations" = duration_rule("staging.duration", "10m")))]
    pub duration: DurationText,
    /// 95 of 100 payments take no longer, from when they were due to their answer.
    #[schemars(extend("x-kubernetes-validations" = latency_rule("staging.p95Latency")))]
    pub p95_latency: DurationText,
    /// 99 of 100 payments take no longer.
    #[schemars(extend("x-kubernetes-validations" = latency_rule("staging.p99Latency")))]
    pub p99_latency: DurationText,
    /// Payments that end well, in percent, as a decimal such as "99.5".
    #[schemars(length(max = 7))]
    #[schemars(extend("x-kubernetes-validations" = rule("self.matches('^[0-9]{1,3}([.][0-9]{1,3})?$') && double(self) > 0.0 && double(self) <= 100.0", "staging.successRate is a percentage above 0 and at most 100, such as 99.5")))]
    pub success_rate: String,
}

impl Default for Staging {
    fn default() -> Self {
        Self {
            tps: 20,
            duration: "30s".into(),
            p95_latency: "500ms".into(),
            p99_latency: "1s".into(),
            success_rate: "99".into(),
        }
    }
}
