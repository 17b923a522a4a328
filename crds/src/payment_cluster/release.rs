//! What the operator remembers of releases: nothing is remembered anywhere else. Times are RFC 3339, in UTC.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AnalyticsStatus, BackupStatus, MigrationPlanStatus, PreparationStatus};

/// The releases of a PaymentCluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseStatus {
    /// The release that serves: a version, or such as 1.4.0-r2 from its second configuration on. Absent until the first one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<String>,
    /// The release that is wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// When the target was first looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<String>,
    /// Since when it is in its stage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage_since: Option<String>,
    /// The release whose migrations were applied last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub migrated: Option<String>,
    /// Number of the newest migration in the database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema_version: Option<i64>,
    /// The proof that the target was verified elsewhere; none when it needs none, or was not yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promotion: Option<PromotionStatus>,
    /// The release that passed its tests last, where the environment is Staging.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified: Option<VerifiedRelease>,
    /// The approval of the target; none when it needs none, or nobody has agreed yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<ApprovalStatus>,
    /// What was done with the database for the target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preparation: Option<PreparationStatus>,
    /// What flows to the analytics database. It outlives releases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub analytics: Option<AnalyticsStatus>,
    /// How much of the traffic the target has, while it moves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shift: Option<ShiftStatus>,
    /// The release before the one that serves, kept so that it can come back at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<KeptRelease>,
    /// The release that was given up last. It is not tried again until another one is wanted or a person asks for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub abandoned: Option<AbandonedRelease>,
    /// Which configuration goes by which name, as long as anything here speaks of that release.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub configurations: Vec<NamedConfiguration>,
    /// The last ten releases that ended, the newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<ReleaseRecord>,
}

impl ReleaseStatus {
    /// Most entries of `history`.
    pub const HISTORY_MAX: usize = 10;
}

/// The configuration of a release. The first one of a version goes by the version, each further one by a revision behind it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NamedConfiguration {
    /// Name of the release, such as 1.4.0 or 1.4.0-r2.
    pub release: String,
    /// Digest of what its pods start with.
    pub digest: String,
}

/// The proof that a version was verified elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PromotionStatus {
    /// The version.
    pub version: String,
    /// The PaymentCluster that verified it, as NAMESPACE/NAME.
    pub from: String,
    /// When it was verified there.
    pub verified_at: String,
    /// When that was seen here.
    pub at: String,
}

/// A release that passed its tests in staging.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VerifiedRelease {
    /// The release. It proves its version, whatever the configuration.
    pub version: String,
    /// When it passed.
    pub at: String,
}

/// An approval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApprovalStatus {
    /// The release that was agreed to.
    pub version: String,
    /// Who wrote it, as Kubernetes names field managers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// When.
    pub at: String,
}

/// How much of the gateway's traffic a release has while it moves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ShiftStatus {
    /// Number of the step, from 1; one after the last step of a canary is all of the traffic.
    pub step: i32,
    /// Percentage that is aimed at.
    pub weight: i32,
    /// Since when the pods for it are ready; absent before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
}

/// A release that is kept beside the one that serves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeptRelease {
    /// Its name.
    pub version: String,
    /// Until when; absent as long as its successor is being watched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
}

/// A release that was given up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AbandonedRelease {
    /// Its name.
    pub version: String,
    /// Why.
    pub why: WhyAbandoned,
    /// Why, in a sentence, with the figures that decided.
    pub message: String,
    /// When.
    pub at: String,
    /// The value of the annotation purser.dev/retry at that time: another one has it tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<String>,
}

/// Why a version was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum WhyAbandoned {
    /// Somebody refused it.
    Rejected,
    /// Somebody stopped it, or took it back.
    Aborted,
    /// It broke its SLA.
    SlaBreached,
    /// Its pods did not become ready in time, or what comes before traffic was not done in time.
    NotReady,
    /// Accepted work did not come to its end in time, so that the schema could not be touched.
    NotDrained,
    /// Its migrations failed while writes were refused.
    MigrationFailed,
    /// What analytics may know could not be made to flow, or what lists are to be read from is no replica of the database.
    NotConfigured,
    /// A test payment did not go through it as it should.
    HealthCheckFailed,
    /// It did not pass its tests in staging.
    NotVerified,
}

impl WhyAbandoned {
    /// The reason as it is shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rejected => "Rejected",
            Self::Aborted => "Aborted",
            Self::SlaBreached => "SlaBreached",
            Self::NotReady => "NotReady",
            Self::NotDrained => "NotDrained",
            Self::MigrationFailed => "MigrationFailed",
            Self::NotConfigured => "NotConfigured",
            Self::HealthCheckFailed => "HealthCheckFailed",
            Self::NotVerified => "NotVerified",
        }
    }
}

/// How a release went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseRecord {
    /// Its name.
    pub version: String,
    /// The release that served when it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// When it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<String>,
    /// When it ended.
    pub ended_at: String,
    /// How it ended.
    pub result: ReleaseResult,
    /// One sentence.
    pub message: String,
    /// The image that it ran, or was to run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Number of the newest migration in the database before it, as far as it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema_before: Option<i64>,
    /// The same when it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema_after: Option<i64>,
    /// Who agreed to it; absent when nobody had to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<ApprovalStatus>,
    /// What it changed in the schema; absent when it came to no plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub migrations: Option<MigrationPlanStatus>,
    /// The last backup that was made for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<BackupStatus>,
    /// Figures of its last window; absent when there were none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub figures: Option<ReleaseFiguresStatus>,
}

/// How a release ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ReleaseResult {
    /// It serves.
    Succeeded,
    /// It serves in staging, and passed its tests there.
    Verified,
    /// It was given up; the release before it serves.
    RolledBack,
    /// Another version was wanted before it served.
    Superseded,
}

/// Figures of a release over the window of its SLA. Numbers with a point are decimal texts, as Kubernetes asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseFiguresStatus {
    /// Payments that came to their end.
    pub payments: i64,
    /// Of these per second.
    pub tps: String,
    /// Mean time of a payment, in milliseconds; absent without payments, as below.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub average_ms: Option<String>,
    /// 95 of 100 payments took no longer, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p95_ms: Option<String>,
    /// 99 of 100 payments took no longer, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p99_ms: Option<String>,
    /// Payments that ended well, in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub success_rate: Option<String>,
    /// 99 of 100 fraud checks took no longer, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fraud_p99_ms: Option<String>,
}
