//! Labels on everything that belongs to a PaymentCluster.

/// Standard label: always [`MANAGED_BY_PURSER`] on what the operator made.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// The operator's name in [`MANAGED_BY`], and its field manager in server-side apply.
pub const MANAGED_BY_PURSER: &str = "purser-operator";
/// Standard label: always `purser`.
pub const APP: &str = "app.kubernetes.io/name";
/// Value of [`APP`].
pub const APP_PURSER: &str = "purser";
/// Standard label: the PaymentCluster's name.
pub const INSTANCE: &str = "app.kubernetes.io/instance";
/// Standard label: the role, or `migrate` / `settings` for a Job.
pub const COMPONENT: &str = "app.kubernetes.io/component";
/// Standard label: the version of the release.
pub const VERSION: &str = "app.kubernetes.io/version";
/// The release an object belongs to; two releases stand side by side and differ in it.
pub const RELEASE: &str = "purser.dev/release";
/// Annotation: hash of what was applied, so that a change is seen without comparing whole objects.
pub const CONTENT_HASH: &str = "purser.dev/content-hash";
/// Annotation: hash of the configuration that a pod started with; a change of it rolls the pods.
pub const CONFIG_HASH: &str = "purser.dev/config-hash";
