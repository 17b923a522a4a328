//! PaymentCluster: one payment platform, its database, its cache, its workloads.

mod analytics;
mod archive;
mod backup;
mod notifications;
mod parts;
mod preparation;
mod release;
mod rollout;
mod stage;
mod staging;
mod status;

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

pub use analytics::{Analytics, AnalyticsStatus, FlowStatus};
pub use archive::{Archive, ArchiveStatus};
pub use backup::{Backup, S3Store};
pub use notifications::{
    AlertmanagerTarget, ContentType, Notification, NotificationEvent, NotificationsStatus, OwedNotification,
    SlackTarget, WebhookTarget,
};
pub use parts::{
    Autoscaling, Cache, CacheTtls, Database, Environment, Fraud, Gateway, GatewayService, GatewayTls, Image,
    LabelSelector, LocalReference, Metrics, OnDeadline, Processor, Providers, PullPolicy, RateLimit, ServiceType,
    Webhooks,
};
pub use preparation::{
    BackupStatus, DryRunStatus, MaintenanceStatus, MigrationPlanStatus, PreparationStatus, ReplicaStatus,
};
pub use release::{
    AbandonedRelease, ApprovalStatus, KeptRelease, NamedConfiguration, PromotionStatus, ReleaseFiguresStatus,
    ReleaseRecord, ReleaseResult, ReleaseStatus, ShiftStatus, VerifiedRelease, WhyAbandoned,
};
pub use rollout::{Approval, CanaryStep, OnInconclusive, Rollout, Sla, Strategy};
pub use stage::Stage;
pub use staging::{HealthCheck, PromoteFrom, Staging, WarmCache};
pub use status::{PaymentClusterStatus, ReplicasStatus, SettingsStatus};

/// One payment platform: gateway, fraud check, processor and metrics of one version, on one PostgreSQL database and
/// one Redis.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "purser.dev",
    version = "v1alpha1",
    kind = "PaymentCluster",
    plural = "paymentclusters",
    shortname = "pcl",
    shortname = "paycluster",
    category = "purser",
    namespaced,
    cel,
    derive = "PartialEq",
    status = "PaymentClusterStatus",
    doc = "A payment platform: gateway, fraud check, processor and metrics of one version, on one PostgreSQL database and one Redis.",
    selectable = ".spec.version",
    scale(
        spec_replicas_path = ".spec.gateway.replicas",
        status_replicas_path = ".status.replicas.gateway",
        label_selector_path = ".status.selector"
    ),
    printcolumn(name = "Version", type_ = "string", json_path = ".spec.version"),
    printcolumn(name = "Stage", type_ = "string", json_path = ".status.stage"),
    printcolumn(name = "Replicas", type_ = "string", json_path = ".status.replicas.ready", description = "Ready and wanted pods."),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].status"),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].message"),
    printcolumn(name = "Current", type_ = "string", json_path = ".status.release.current", priority = 1),
    printcolumn(name = "Settings", type_ = "integer", json_path = ".status.settings.revision", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("self.metadata.name.matches('^[a-z]([-a-z0-9]{0,28}[a-z0-9])?$')")
        .message("the name of a PaymentCluster is the beginning of other names: at most 30 characters, lower case letters, digits and '-', starting with a letter"),
    validation = Rule::new("self.spec.environment != 'Staging' || self.spec.staging.tps <= self.spec.gateway.rateLimit.requestsPerSecond")
        .message("staging.tps is more than gateway.rateLimit.requestsPerSecond lets one merchant ask for"),
    validation = Rule::new("!has(self.spec.archive) || has(self.spec.backup)")
        .message("archive needs backup: archives are kept at the place of backups, and encrypted by their key")
)]
#[serde(rename_all = "camelCase")]
pub struct PaymentClusterSpec {
    /// Version of the platform: of its image, its schema and its configuration at once. A change of what its pods start with (image,
    /// resources, references to Secrets, fraud deadline, TLS and the like) is a release as well, by a name such as 1.4.0-r2: the second
    /// configuration of 1.4.0.
    #[schemars(length(max = 18))]
    #[x_kube(validation = Rule::new("self.matches('^(0|[1-9][0-9]*)[.](0|[1-9][0-9]*)[.](0|[1-9][0-9]*)(-[0-9a-z]+([.][0-9a-z]+)*)?$')")
        .message("version must be a semantic version such as 1.4.0 or 1.4.0-rc.1, in lower case and without build metadata: it becomes a part of names"))]
    #[x_kube(validation = Rule::new("!self.matches('[-.]r[0-9]+$')")
        .message("version must not end like -r2 or .r2: so end the names of releases that change the configuration of a version"))]
    pub version: String,
    /// Where the platform's image comes from; its tag is `version`.
    #[serde(default)]
    pub image: Image,
    /// What the platform is for.
    #[serde(default)]
    pub environment: Environment,
    /// The PostgreSQL database. It belongs to this PaymentCluster alone, for as long as the PaymentCluster lives.
    #[x_kube(validation = Rule::new("self.urlSecretRef == oldSelf.urlSecretRef")
        .message("database is immutable: payments live in it; to move to another database, restore a backup there and create another PaymentCluster"))]
    pub database: Database,
    /// The Redis cache.
    pub cache: Cache,
    /// Where the database is backed up to before its schema changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<Backup>,
    /// For how long what is over stays in the database; without it, for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive: Option<Archive>,
    /// The analytics database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub analytics: Option<Analytics>,
    /// Which PaymentProviders of the namespace take the payments.
    pub providers: Providers,
    /// The payment API.
    #[serde(default)]
    pub gateway: Gateway,
    /// The fraud check.
    #[serde(default)]
    pub fraud: Fraud,
    /// Takes accepted payments to their end.
    #[serde(default)]
    pub processor: Processor,
    /// Rolls up the payments of each minute.
    #[serde(default)]
    pub metrics: Metrics,
    /// How merchants are told of events.
    #[serde(default)]
    pub webhooks: Webhooks,
    /// How a release goes forward.
    #[serde(default)]
    pub rollout: Rollout,
    /// What a release has to keep to.
    #[serde(default)]
    pub sla: Sla,
    /// Who is told how releases go.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    #[x_kube(validation = Rule::new(notifications::UNIQUE).message("every notification needs a name of its own"))]
    pub notifications: Vec<Notification>,
    /// The load test of a release whose environment is Staging; without effect in production.
    #[serde(default)]
    pub staging: Staging,
}
