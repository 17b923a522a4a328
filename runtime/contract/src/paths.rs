//! Where a pod finds its documents and secrets. Every path can be overridden on the command line.

/// The [`crate::RuntimeConfig`] document.
pub const CONFIG: &str = "/etc/purser/config/purser.yaml";
/// The [`crate::Settings`] document, mounted only into the Job that applies it.
pub const SETTINGS: &str = "/etc/purser/settings/settings.yaml";
/// The folder of secrets; below it [`DATABASE_URL`], [`CACHE_URL`] and [`PROVIDERS`].
pub const SECRETS: &str = "/etc/purser/secrets";
/// File name of the PostgreSQL URL in [`SECRETS`].
pub const DATABASE_URL: &str = "database-url";
/// File in [`SECRETS`] with the URL of a replica that lists are read from. Without it they are read from the database.
pub const DATABASE_READ_URL: &str = "database-read-url";
/// File name of the Redis URL in [`SECRETS`].
pub const CACHE_URL: &str = "cache-url";
/// Folder in [`SECRETS`] with one file per provider resource, named like it, holding its credential.
pub const PROVIDERS: &str = "providers";
/// Folder in [`SECRETS`] with one file per provider resource, named like it, holding what its webhooks are verified with.
pub const PROVIDER_WEBHOOKS: &str = "provider-webhooks";
/// File in [`SECRETS`] with the token of the admin API. Without it there is no admin API.
pub const ADMIN_TOKEN: &str = "admin-token";
/// File in [`SECRETS`] with the gateway's certificate chain, PEM. With it the gateway speaks TLS only.
pub const TLS_CERTIFICATE: &str = "tls/tls.crt";
/// File in [`SECRETS`] with the key of [`TLS_CERTIFICATE`], PEM.
pub const TLS_KEY: &str = "tls/tls.key";
/// File in [`SECRETS`] with what backups are encrypted with: an age identity (`AGE-SECRET-KEY-1…`) or a passphrase. Without it
/// backups are not encrypted.
pub const BACKUP_KEY: &str = "backup-key";
/// Folder in [`SECRETS`] with the credentials of an S3 store of backups: `access-key-id`, `secret-access-key` and, where there is
/// one, `session-token`.
pub const BACKUP_STORE: &str = "backup-store";
/// File in [`SECRETS`] with the URL of a PostgreSQL on which backups are restored to be looked at. Without it that is done beside
/// the database.
pub const SCRATCH_URL: &str = "scratch-url";
/// File in [`SECRETS`] with the URL of the analytics database.
pub const ANALYTICS_URL: &str = "analytics-url";
/// File in [`SECRETS`] with the URL by which the server of the analytics database reaches the payments database.
pub const ANALYTICS_SOURCE_URL: &str = "analytics-source-url";
/// Where backups are kept unless told otherwise: a folder that outlives the pod.
pub const BACKUPS: &str = "/var/lib/purser/backups";

/// HTTP paths of [`crate::ports::ADMIN`].
pub mod admin {
    /// Alive: the process answers. Never depends on anything outside of it.
    pub const LIVE: &str = "/livez";
    /// Ready: may take work. 200 or 503, with a [`crate::Health`] document either way.
    pub const READY: &str = "/readyz";
    /// Prometheus metrics.
    pub const METRICS: &str = "/metrics";
    /// What this process has counted: [`crate::PodFigures`].
    pub const FIGURES: &str = "/figures";
    /// Every release within a window: [`crate::Figures`]. Only the metrics workload answers it.
    pub const RELEASES: &str = "/figures/releases";
}

/// HTTP paths of [`crate::ports::FRAUD`].
pub mod fraud {
    /// Scores one payment.
    pub const CHECK: &str = "/v1/check";
    /// Goes the way of a check without a payment: 204 once a check would be answered in time.
    pub const WARM: &str = "/v1/warm";
}
