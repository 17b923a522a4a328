//! How a release goes forward, and by what it is judged.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::staging::{HealthCheck, PromoteFrom, WarmCache};
use crate::DurationText;
use crate::rule::rule;

/// How a release goes forward.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Rollout {
    /// Whether somebody has to agree to a new release before it is begun, its schema included: a new version, or another configuration
    /// of one. What needs no new pods is followed at once, by the release that serves.
    pub approval: Approval,
    /// The version that was agreed to, with whatever configuration stands beside it, or one release of it, such as 1.4.0-r2. Another
    /// one agrees to nothing.
    #[schemars(length(max = 30))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approved_version: Option<String>,
    /// The PaymentCluster that has to have verified a version before it goes forward here; none needs to when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub promote_from: Option<PromoteFrom>,
    /// Whether a new release has to take test payments before it gets traffic.
    pub health_check: HealthCheck,
    /// Whether the cache is made warm for a new release before it gets traffic.
    pub warm_cache: WarmCache,
    /// How the gateway's traffic moves to a new release.
    pub strategy: Strategy,
    /// The steps of a canary, before all traffic is moved; without effect on BlueGreen.
    #[schemars(length(min = 1, max = 10))]
    #[schemars(extend("x-kubernetes-validations" = rule("self.all(step, self.filter(other, other.weight == step.weight).size() == 1)", "every step of a canary needs a weight of its own")))]
    pub steps: Vec<CanaryStep>,
    /// How long the pods of a new release may take to become ready before it is given up, while another one serves.
    #[schemars(extend("x-kubernetes-validations" = duration_rule("progressDeadline", "24h")))]
    pub progress_deadline: DurationText,
    /// How long the release before is kept after its successor has taken over, ready to come back at once.
    #[schemars(extend("x-kubernetes-validations" = duration_rule("retireAfter", "24h")))]
    pub retire_after: DurationText,
}

impl Default for Rollout {
    fn default() -> Self {
        Self {
            approval: Approval::default(),
            approved_version: None,
            promote_from: None,
            health_check: HealthCheck::default(),
            warm_cache: WarmCache::default(),
            strategy: Strategy::default(),
            steps: [10, 50].map(|weight| CanaryStep { weight, duration: "1m".into() }).into(),
            progress_deadline: "10m".into(),
            retire_after: "10m".into(),
        }
    }
}

/// Whether somebody has to agree to a new version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Approval {
    /// `rollout.approvedVersion`, or `kubectl purser approve`, has to name the version.
    Required,
    /// A new version goes forward by itself.
    #[default]
    NotRequired,
}

/// How the gateway's traffic moves to a new release.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Strategy {
    /// All of it at once, when the new release is ready.
    #[default]
    BlueGreen,
    /// Step by step, each judged by `sla` and by comparison with the release before.
    Canary,
}

/// One step of a canary.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CanaryStep {
    /// Percentage of the gateway's traffic, to be reached as near as whole pods allow.
    #[schemars(extend("x-kubernetes-validations" = rule("self >= 1 && self <= 99", "weight is a percentage from 1 to 99: all of the traffic follows by itself after the last step")))]
    pub weight: i32,
    /// How long the step lasts, at least.
    #[schemars(extend("x-kubernetes-validations" = duration_rule("duration", "24h")))]
    pub duration: DurationText,
}

/// What a release has to keep to, as its own pods measure it. A release that breaks any of these is rolled back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Sla {
    /// Payments per second that the platform takes at least, once all traffic is with the release. Where traffic may be lower
    /// than that by itself, leave it out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub tps_min: Option<i32>,
    /// Mean time from acceptance to the end of a payment.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-kubernetes-validations" = latency_rule("averageLatency")))]
    pub average_latency: Option<DurationText>,
    /// 95 of 100 payments take no longer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-kubernetes-validations" = latency_rule("p95Latency")))]
    pub p95_latency: Option<DurationText>,
    /// 99 of 100 payments take no longer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-kubernetes-validations" = latency_rule("p99Latency")))]
    pub p99_latency: Option<DurationText>,
    /// Payments that end well, in percent, as a decimal such as "97.5".
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 6))]
    #[schemars(extend("x-kubernetes-validations" = rule("self.matches('^[0-9]{1,2}([.][0-9]{1,3})?$') && double(self) > 0.0", "successRate is a percentage above 0 and below 100 such as 97.5: at 100 one declined card would be a breach")))]
    pub success_rate: Option<String>,
    /// 99 of 100 fraud checks take no longer.
    #[schemars(extend("x-kubernetes-validations" = latency_rule("fraudLatency")))]
    pub fraud_latency: DurationText,
    /// How far a verdict looks back, and how long a release is watched with all traffic before it counts as finished.
    #[schemars(extend("x-kubernetes-validations" = rule("self.matches('^[1-9][0-9]*(s|m)$') && duration(self) >= duration('10s') && duration(self) <= duration('10m')", "window is a whole number of s or m, from 10s to 10m, such as 1m")))]
    pub window: DurationText,
    /// Payments within the window without which there is no verdict: the release waits for more. 0 lets a release go on that
    /// nobody pays through.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub min_samples: i32,
    /// What becomes of a release that nobody can judge, because figures are missing or too few.
    pub on_inconclusive: OnInconclusive,
}

/// What becomes of a release that nobody can judge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OnInconclusive {
    /// It stays where it is until it can be judged.
    #[default]
    Wait,
    /// It goes on when its time is over.
    Proceed,
}

impl Default for Sla {
    fn default() -> Self {
        Self {
            tps_min: None,
            average_latency: None,
            p95_latency: None,
            p99_latency: None,
            success_rate: None,
            fraud_latency: "50ms".into(),
            window: "1m".into(),
            min_samples: 0,
            on_inconclusive: OnInconclusive::default(),
        }
    }
}

pub(super) fn duration_rule(field: &str, most: &str) -> serde_json::Value {
    rule(
        &format!("self.matches('^[1-9][0-9]*(s|m|h)$') && duration(self) <= duration('{most}')"),
        &format!("{field} is a whole number of s, m or h, from 1s to {most}, such as 5m"),
    )
}

pub(super) fn latency_rule(field: &str) -> serde_json::Value {
    rule(
        "self.matches('^[1-9][0-9]*(ms|s)$') && duration(self) <= duration('60s')",
        &format!("{field} is a whole number of ms or s, from 1ms to 60s, such as 200ms"),
    )
}
