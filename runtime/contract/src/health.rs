//! What a pod says of itself.

use serde::{Deserialize, Serialize};

/// The body of the readiness endpoint, with 200 when ready and 503 when not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Health {
    /// Whether the pod may take work.
    pub ready: bool,
    /// The release of the pod.
    pub release: String,
    /// Revision of the live settings in force; 0 before the first.
    pub settings_revision: i64,
    /// Each thing the pod stands on.
    pub checks: Vec<Check>,
}

/// One thing a pod stands on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Check {
    /// `database`, `cache`, `fraud`, `settings`, …
    pub name: String,
    /// Whether it answers.
    pub ok: bool,
    /// Whether the pod can do without it: slower, but right.
    pub optional: bool,
    /// One sentence for a person, empty when all is well. Never a secret.
    pub message: String,
}

/// Names of checks.
pub mod names {
    /// PostgreSQL.
    pub const DATABASE: &str = "database";
    /// Redis.
    pub const CACHE: &str = "cache";
    /// The replica that lists are read from.
    pub const REPLICA: &str = "replica";
    /// The live settings were read.
    pub const SETTINGS: &str = "settings";
    /// The fraud workload.
    pub const FRAUD: &str = "fraud";
    /// What the first payment needs is at hand already: connections, rules.
    pub const WARM: &str = "warm";
}
