//! The configuration document: what needs new pods when it changes. What does not is in [`crate::settings`].

use serde::{Deserialize, Serialize};

/// Everything a role reads at start, secrets aside.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RuntimeConfig {
    /// The PaymentCluster, as `NAMESPACE/NAME`.
    pub owner: String,
    /// The release these pods belong to; every figure and every work item carries it.
    pub release: String,
    /// When this try of the release began, in milliseconds since 1970. A payment that an earlier try of it accepted tells nothing
    /// of this one. Without it all payments of the release count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since_ms: Option<i64>,
    /// Production or Staging.
    pub environment: Environment,
    /// The fraud check as the processor sees it.
    pub fraud: FraudConfig,
    /// How merchants are told of events.
    #[serde(default)]
    pub webhooks: WebhooksConfig,
    /// Host name that stands for every pod of the PaymentCluster, whose figures the metrics workload collects. Without it there
    /// are those of its own process only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pods: Option<String>,
    /// How old what lists show may be, in milliseconds, where they are read from a replica. Its URL is a secret,
    /// [`crate::paths::DATABASE_READ_URL`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_lag_max_ms: Option<u32>,
}

/// How merchants are told of events.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WebhooksConfig {
    /// Whether endpoints may be at private and loopback addresses, and without TLS: for development only. Elsewhere a
    /// merchant could make the platform call what only the platform can reach.
    #[serde(default)]
    pub allow_private_addresses: bool,
}

/// What the platform is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Environment {
    /// Real payments.
    #[default]
    Production,
    /// A rehearsal: a release proves itself here first.
    Staging,
}

/// How a processor asks for a fraud check.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FraudConfig {
    /// Base URL of the fraud workload of the same release.
    pub url: String,
    /// Hard limit of one check, in milliseconds.
    pub deadline_ms: u32,
    /// What a check that missed its deadline counts as.
    pub on_deadline: OnDeadline,
}

/// The policy for a fraud check that did not answer in time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnDeadline {
    /// Let the payment go on, and mark it for a look.
    #[default]
    Flag,
    /// Let the payment go on.
    Pass,
    /// Refuse the payment.
    Block,
}
