//! Names of conditions, the same words in status, documentation, metrics and tests.

/// Summary: the resource does what it is for.
pub const READY: &str = "Ready";
/// The operator is on its way to the wanted state (kstatus: abnormal when true).
pub const RECONCILING: &str = "Reconciling";
/// The operator cannot go on until a person changes something (kstatus: abnormal when true).
pub const STALLED: &str = "Stalled";

/// Conditions of a PaymentCluster, in the order in which they are shown.
pub mod cluster {
    /// The Secrets named in the spec exist and have their keys.
    pub const SECRETS_AVAILABLE: &str = "SecretsAvailable";
    /// Nothing waits for somebody to agree to it.
    pub const APPROVED: &str = "Approved";
    /// The database schema is the one that the release needs.
    pub const SCHEMA_READY: &str = "SchemaReady";
    /// Merchants' writes are accepted: there is no maintenance.
    pub const WRITES_ACCEPTED: &str = "WritesAccepted";
    /// What is to flow to the analytics database flows, and nothing is kept for one that is not wanted any more.
    pub const ANALYTICS_READY: &str = "AnalyticsReady";
    /// The live settings are in force.
    pub const SETTINGS_APPLIED: &str = "SettingsApplied";
    /// At least one provider can take payments.
    pub const PROVIDERS_READY: &str = "ProvidersReady";
    /// The gateway serves.
    pub const GATEWAY_AVAILABLE: &str = "GatewayAvailable";
    /// The fraud workload serves.
    pub const FRAUD_AVAILABLE: &str = "FraudAvailable";
    /// The processors run.
    pub const PROCESSOR_AVAILABLE: &str = "ProcessorAvailable";
    /// The metrics workload runs.
    pub const METRICS_AVAILABLE: &str = "MetricsAvailable";
    /// Pods reach PostgreSQL.
    pub const DATABASE_REACHABLE: &str = "DatabaseReachable";
    /// Pods reach Redis.
    pub const CACHE_REACHABLE: &str = "CacheReachable";
    /// The release that takes payments keeps to `spec.sla`.
    pub const SLA_MET: &str = "SLAMet";
    /// Those who are to be told how releases go can be told.
    pub const NOTIFICATIONS_READY: &str = "NotificationsReady";
    /// Lists are read from the replica. Only where `spec.database.readUrlSecretRef` names one.
    pub const REPLICA_READY: &str = "ReplicaReady";
    /// What is over was archived, as far as it may be. Only where `spec.archive` asks for it.
    pub const ARCHIVED: &str = "Archived";
}

/// Conditions of a PaymentProvider.
pub mod provider {
    /// The Secret named in the spec exists and has its key.
    pub const CREDENTIALS_AVAILABLE: &str = "CredentialsAvailable";
    /// The endpoint answers HTTP.
    pub const ENDPOINT_REACHABLE: &str = "EndpointReachable";
    /// A PaymentCluster uses the provider.
    pub const SELECTED: &str = "Selected";
}
