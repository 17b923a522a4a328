//! How a release goes forward.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a release goes forward.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Rollout {
    /// Whether somebody has to agree to a new version before it is begun, its schema included. Everything else in the spec is
    /// followed at once, by the release that serves.
    pub approval: Approval,
    /// The version that was agreed to. Another one than `version` agrees to nothing.
    #[schemars(length(max = 18))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approved_version: Option<String>,
}

/// Whether somebody has to agree to a new version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Approval {
    /// `rollout.approvedVersion` has to be the version.
    Required,
    /// A new version goes forward by itself.
    #[default]
    NotRequired,
}
