//! What was done with the database for a release before its pods start. Times are RFC 3339, in UTC.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What was done with the database for the target, each with its proof.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PreparationStatus {
    /// What the release changes in the schema.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<MigrationPlanStatus>,
    /// The backup before anything was changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<BackupStatus>,
    /// The pending migrations on a copy of the database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dry_run: Option<DryRunStatus>,
    /// Writes that were refused for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maintenance: Option<MaintenanceStatus>,
    /// What the replica showed that lists are to be read from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replica: Option<ReplicaStatus>,
}

/// A replica that was looked at. One that is no replica of the database ends the release instead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReplicaStatus {
    /// Whether it answered, and showed all that the database had when the look began.
    pub is_current: bool,
    /// What was found.
    pub message: String,
    /// When.
    pub at: String,
}

/// What a release changes in the schema.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MigrationPlanStatus {
    /// Number of the newest migration in the database; 0 when it had no schema.
    pub from: i64,
    /// Number of the release's newest migration.
    pub to: i64,
    /// How many migrations were to be applied.
    pub pending: i32,
    /// How many of these writes have to be refused for.
    pub offline: i32,
}

/// A backup that was proved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackupStatus {
    /// Its id, as in `purser backup list`.
    pub id: String,
    /// When it had been restored elsewhere and compared.
    pub verified_at: String,
}

/// Migrations that went through on a copy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DryRunStatus {
    /// When.
    pub at: String,
    /// How long each file took.
    pub message: String,
}

/// Writes that are, or were, refused for a release.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MaintenanceStatus {
    /// Since when they are refused.
    pub since: String,
    /// When no accepted work was being done any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drained_at: Option<String>,
    /// The backup that was made then. Nothing was accepted since, as long as writes are refused, so the database may go back to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore_point: Option<BackupStatus>,
    /// Whether the schema may have been touched.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_migrating: bool,
    /// When the database went back to that backup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restored_at: Option<String>,
    /// Since when writes are accepted again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
}

impl MaintenanceStatus {
    /// Whether writes are refused.
    #[must_use]
    pub const fn is_on(&self) -> bool {
        self.until.is_none()
    }
}
