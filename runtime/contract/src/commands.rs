//! Command lines of `purser` that the operator runs as Jobs. Roles run as `purser <role>`, see [`crate::Role`].

/// Brings the schema to this version: `purser migrate --owner NAMESPACE/NAME`. Refuses a database that another
/// PaymentCluster owns.
pub const MIGRATE: &str = "migrate";
/// Flag of [`MIGRATE`] and [`SETTINGS`]: the PaymentCluster, as `NAMESPACE/NAME`, on whose behalf the command runs.
pub const OWNER_FLAG: &str = "--owner";
/// Makes live settings true: `purser settings apply --owner NAMESPACE/NAME`.
pub const SETTINGS: &str = "settings";
/// Subcommand of [`SETTINGS`].
pub const SETTINGS_APPLY: &str = "apply";
/// Where a command leaves its [`crate::JobReport`]: the termination message of its container.
pub const TERMINATION_LOG: &str = "/dev/termination-log";
/// Environment variable that overrides [`TERMINATION_LOG`], for a run by hand.
pub const TERMINATION_LOG_ENV: &str = "PURSER_TERMINATION_LOG";
