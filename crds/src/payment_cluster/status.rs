//! What the operator reports of a PaymentCluster. Nothing is remembered anywhere else.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ArchiveStatus, NotificationsStatus, ReleaseStatus, Stage};

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
    /// How archiving went last; absent when it is not asked for, or nothing was done yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive: Option<ArchiveStatus>,
    /// What is remembered of notifications; absent when nothing is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notifications: Option<NotificationsStatus>,
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
