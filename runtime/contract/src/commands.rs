//! Command lines of `purser` that the operator runs as Jobs. Roles run as `purser <role>`, see [`crate::Role`].

/// Brings the schema to this version: `purser migrate --owner NAMESPACE/NAME`. Refuses a database that another
/// PaymentCluster owns.
pub const MIGRATE: &str = "migrate";
/// Flag of all of these: the PaymentCluster, as `NAMESPACE/NAME`, on whose behalf the command runs.
pub const OWNER_FLAG: &str = "--owner";
/// Subcommand of [`MIGRATE`]: says what the release changes in the schema, and changes nothing.
pub const MIGRATE_PLAN: &str = "plan";
/// Subcommand of [`MIGRATE`]: applies what is pending to a copy, `purser migrate dry-run --backup ID`.
pub const MIGRATE_DRY_RUN: &str = "dry-run";
/// Flag of [`MIGRATE_DRY_RUN`]: the backup that the copy is restored from.
pub const BACKUP_FLAG: &str = "--backup";
/// Backs the database up: `purser backup create --verify --keep N`.
pub const BACKUP: &str = "backup";
/// Subcommand of [`BACKUP`].
pub const BACKUP_CREATE: &str = "create";
/// Flag of [`BACKUP_CREATE`]: restores the backup elsewhere, and compares.
pub const VERIFY_FLAG: &str = "--verify";
/// Flag of [`BACKUP_CREATE`]: how many verified backups are kept.
pub const KEEP_FLAG: &str = "--keep";
/// Subcommand of [`BACKUP`]: `purser backup restore ID --into-current`.
pub const BACKUP_RESTORE: &str = "restore";
/// Flag of [`BACKUP_RESTORE`]: replaces the database that there is.
pub const INTO_CURRENT_FLAG: &str = "--into-current";
/// Flag of [`BACKUP`] and [`MIGRATE_DRY_RUN`]: URL of the place where backups are kept.
pub const STORE_FLAG: &str = "--store";
/// Waits until accepted work is done, and holds all other: `purser maintenance drain`.
pub const MAINTENANCE: &str = "maintenance";
/// Subcommand of [`MAINTENANCE`].
pub const MAINTENANCE_DRAIN: &str = "drain";
/// Makes live settings true: `purser settings apply --owner NAMESPACE/NAME`.
pub const SETTINGS: &str = "settings";
/// Subcommand of [`SETTINGS`].
pub const SETTINGS_APPLY: &str = "apply";
/// Where a command leaves its [`crate::JobReport`]: the termination message of its container.
pub const TERMINATION_LOG: &str = "/dev/termination-log";
/// Environment variable that overrides [`TERMINATION_LOG`], for a run by hand.
pub const TERMINATION_LOG_ENV: &str = "PURSER_TERMINATION_LOG";
