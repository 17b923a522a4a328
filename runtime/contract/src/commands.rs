//! Command lines of `purser` that the operator runs as Jobs. Roles run as `purser <role>`, see [`crate::Role`].

/// Brings the schema to this version: `purser migrate --owner NAMESPACE/NAME`. Refuses a database that another
/// PaymentCluster owns.
pub const MIGRATE: &str = "migrate";
/// Flag of all of these: the PaymentCluster, as `NAMESPACE/NAME`, on whose behalf the command runs.
pub const OWNER_FLAG: &str = "--owner";
/// Flag of [`MIGRATE`]: the number of the operator that has it done. One with a greater number has been there: it is refused.
pub const FENCING_TOKEN_FLAG: &str = "--fencing-token";
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
/// Flag of [`BACKUP`], [`MIGRATE_DRY_RUN`] and [`ARCHIVE`]: URL of the place where backups and archives are kept.
pub const STORE_FLAG: &str = "--store";
/// Archives months that are over: `purser archive run --keep-months N`.
pub const ARCHIVE: &str = "archive";
/// Subcommand of [`ARCHIVE`].
pub const ARCHIVE_RUN: &str = "run";
/// Flag of [`ARCHIVE_RUN`]: for how many months after its end a month stays in the database.
pub const KEEP_MONTHS_FLAG: &str = "--keep-months";
/// Waits until accepted work is done, and holds all other: `purser maintenance drain`.
pub const MAINTENANCE: &str = "maintenance";
/// Subcommand of [`MAINTENANCE`].
pub const MAINTENANCE_DRAIN: &str = "drain";
/// Makes live settings true: `purser settings apply --owner NAMESPACE/NAME`.
pub const SETTINGS: &str = "settings";
/// Subcommand of [`SETTINGS`].
pub const SETTINGS_APPLY: &str = "apply";
/// Puts what is used most into the cache: `purser warm-cache --owner NAMESPACE/NAME`.
pub const WARM_CACHE: &str = "warm-cache";
/// Sends test payments, one by one: `purser smoke --owner NAMESPACE/NAME --gateway URL --release VERSION`.
pub const SMOKE: &str = "smoke";
/// Sends test payments at a rate: `purser load --owner NAMESPACE/NAME --gateway URL --tps N --duration 60s --staging`.
pub const LOAD: &str = "load";
/// Flag of [`SMOKE`] and [`LOAD`]: the base URL of the gateway.
pub const GATEWAY_FLAG: &str = "--gateway";
/// Flag of [`SMOKE`] and [`LOAD`]: the gateway's certificate names another address than the one within the cluster.
pub const ANY_CERTIFICATE_FLAG: &str = "--any-certificate";
/// Flag of [`SMOKE`]: the release that has to accept the payments.
pub const RELEASE_FLAG: &str = "--release";
/// Flag of [`LOAD`]: payments per second.
pub const TPS_FLAG: &str = "--tps";
/// Flag of [`LOAD`]: for how long.
pub const DURATION_FLAG: &str = "--duration";
/// Flag of [`LOAD`]: 95 of 100 payments take no longer.
pub const P95_FLAG: &str = "--p95";
/// Flag of [`LOAD`]: 99 of 100 payments take no longer.
pub const P99_FLAG: &str = "--p99";
/// Flag of [`LOAD`]: payments that end well, in percent.
pub const SUCCESS_RATE_FLAG: &str = "--success-rate";
/// Flag of [`LOAD`]: says that no customer of this platform waits behind the load.
pub const STAGING_FLAG: &str = "--staging";
/// Has what analytics may know flow to its database: `purser cdc apply --owner NAMESPACE/NAME`.
pub const CDC: &str = "cdc";
/// Subcommand of [`CDC`].
pub const CDC_APPLY: &str = "apply";
/// Subcommand of [`CDC`]: ends that, and leaves nothing behind that would be kept for it.
pub const CDC_REMOVE: &str = "remove";
/// Looks whether lists can be read from the replica: `purser replica check --owner NAMESPACE/NAME`.
pub const REPLICA: &str = "replica";
/// Subcommand of [`REPLICA`].
pub const REPLICA_CHECK: &str = "check";
/// Where a command leaves its [`crate::JobReport`]: the termination message of its container.
pub const TERMINATION_LOG: &str = "/dev/termination-log";
/// Environment variable that overrides [`TERMINATION_LOG`], for a run by hand.
pub const TERMINATION_LOG_ENV: &str = "PURSER_TERMINATION_LOG";
