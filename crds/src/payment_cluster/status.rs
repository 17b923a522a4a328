//! What the operator reports of a PaymentCluster. Nothing is remembered anywhere else.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Status of a PaymentCluster.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct PaymentClusterStatus {
    /// The generation of the spec that the rest of the status speaks of; -1 before the first look.
    #[serde(default = "never_observed")]
    pub observed_generation: i64,
    /// Where the target release is on its way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<Stage>,
    /// What the operator waits for, in words; absent when it waits for nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_on: Option<String>,
    /// The releases, and the schema that they stand on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<ReleaseStatus>,
    /// The live settings that are in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<SettingsStatus>,
    /// Ready pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<ReplicasStatus>,
    /// Label selector of the gateway's pods, for `kubectl scale` and autoscalers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,
    /// One condition per concern.
    #[serde(default)]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".to_string()]))]
    pub conditions: Vec<Condition>,
}

fn never_observed() -> i64 {
    -1
}

/// The stage of a release. `design.md` has the whole pipeline; these are the stages that exist today.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Stage {
    /// The spec, its Secrets and its providers are looked at.
    Validating,
    /// Somebody has to agree to the release. Nothing is changed for it before.
    AwaitingApproval,
    /// The schema is brought to the release's version.
    Migrating,
    /// The release's workloads start, beside those of the release before it.
    Deploying,
    /// The gateway's traffic moves to the release.
    Shifting,
    /// The release serves; what was before it is removed.
    Finished,
}

impl Stage {
    /// Every stage, in order.
    pub const ALL: [Self; 6] =
        [Self::Validating, Self::AwaitingApproval, Self::Migrating, Self::Deploying, Self::Shifting, Self::Finished];

    /// The stage as it is shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Validating => "Validating",
            Self::AwaitingApproval => "AwaitingApproval",
            Self::Migrating => "Migrating",
            Self::Deploying => "Deploying",
            Self::Shifting => "Shifting",
            Self::Finished => "Finished",
        }
    }

    /// Whether a PaymentCluster may be in `self` right after it was in `before`.
    #[must_use]
    pub const fn may_follow(self, before: Self) -> bool {
        match (before, self) {
            // A new target starts over, from wherever the one before it was.
            (_, Self::Validating)
            // What has begun is not asked about again.
            | (Self::Validating | Self::AwaitingApproval, Self::AwaitingApproval)
            | (Self::Validating | Self::AwaitingApproval | Self::Migrating, Self::Migrating)
            // The schema of the release that serves is there already: going back to it migrates nothing.
            | (Self::Validating | Self::AwaitingApproval | Self::Migrating | Self::Deploying, Self::Deploying)
            | (Self::Deploying | Self::Shifting, Self::Shifting)
            // A changed spec rolls the pods of the release that serves.
            | (Self::Shifting | Self::Finished, Self::Deploying)
            | (Self::Deploying | Self::Shifting | Self::Finished, Self::Finished) => true,
            (Self::Migrating | Self::Deploying | Self::Shifting | Self::Finished, Self::AwaitingApproval)
            | (Self::Deploying | Self::Shifting | Self::Finished, Self::Migrating)
            | (Self::Validating | Self::AwaitingApproval | Self::Migrating | Self::Finished, Self::Shifting)
            | (Self::Validating | Self::AwaitingApproval | Self::Migrating, Self::Finished) => false,
        }
    }
}

/// The releases of a PaymentCluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseStatus {
    /// The release that serves; absent until the first one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<String>,
    /// The release that is wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The release whose migrations were applied last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub migrated: Option<String>,
    /// Number of the newest migration in the database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema_version: Option<i64>,
    /// The approval of the target; none when it needs none, or nobody has agreed yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<ApprovalStatus>,
}

/// An approval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApprovalStatus {
    /// The version that was agreed to.
    pub version: String,
    /// Who wrote it into the spec, as Kubernetes names field managers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// When, as an RFC 3339 time.
    pub at: String,
}

/// The live settings in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SettingsStatus {
    /// Their revision.
    pub revision: i64,
    /// Hash of their content.
    pub hash: String,
}

/// Ready pods of the release that serves, or of the first one on its way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReplicasStatus {
    /// All roles together, as `ready/wanted`.
    pub ready: String,
    /// Ready gateway pods.
    pub gateway: i32,
    /// Ready fraud pods.
    pub fraud: i32,
    /// Ready processor pods.
    pub processor: i32,
    /// Ready metrics pods.
    pub metrics: i32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_stages_is_complete() {
        // One row per stage before, one column per stage after, in the order of `Stage::ALL`.
        let table = [
            ("Validating", [true, true, true, true, false, false]),
            ("AwaitingApproval", [true, true, true, true, false, false]),
            ("Migrating", [true, false, true, true, false, false]),
            ("Deploying", [true, false, false, true, true, true]),
            ("Shifting", [true, false, false, true, true, true]),
            ("Finished", [true, false, false, true, false, true]),
        ];
        for (before, (name, row)) in Stage::ALL.into_iter().zip(table) {
            assert_eq!(before.as_str(), name);
            for (after, legal) in Stage::ALL.into_iter().zip(row) {
                assert_eq!(after.may_follow(before), legal, "{before:?} -> {after:?}");
            }
        }
    }
}
