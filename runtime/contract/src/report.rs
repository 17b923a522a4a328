//! What a Job of the runtime image tells the operator, in its container's termination message.

use serde::{Deserialize, Serialize};

/// A command's result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobReport {
    /// How it ended.
    pub outcome: Outcome,
    /// Why, as one word.
    pub reason: Reason,
    /// One sentence for a person. Never a secret.
    pub message: String,
    /// Schema version after a migration: the newest applied file's number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema_version: Option<i64>,
    /// Revision that is in force after settings were applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings_revision: Option<i64>,
    /// The backup that was made, verified, restored or rehearsed on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup_id: Option<String>,
    /// What a release would change in the schema.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub migration_plan: Option<MigrationPlan>,
    /// What was archived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archived: Option<Archived>,
    /// What flows to the analytics database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cdc: Option<CdcReport>,
}

/// What one run archived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Archived {
    /// Partitions, each a month of a table.
    pub partitions: u32,
    /// Rows in all of them.
    pub rows: u64,
    /// Partitions that are old enough, and stay.
    pub stayed: u32,
}

/// What flows to the analytics database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CdcReport {
    /// Name of the publication.
    pub publication: String,
    /// Name of the subscription and of its replication slot.
    pub subscription: String,
    /// How many tables are published.
    pub tables: u32,
    /// How far analytics was behind, in bytes.
    pub lag_bytes: i64,
}

/// What a release would change in the schema.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MigrationPlan {
    /// Number of the newest migration in the database; 0 when it has no schema yet.
    pub from: i64,
    /// Number of the program's newest migration.
    pub to: i64,
    /// How many files are to be applied.
    pub pending: u32,
    /// How many of these writes have to be refused for.
    pub offline: u32,
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// Done, or there was nothing to do.
    Succeeded,
    /// Not done. The same command may work later by itself: the world must change, not the resource.
    Retry,
    /// Not done, and it will not be until a person changes something.
    Failed,
}

/// Why a command ended as it did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reason {
    /// The schema is at this version.
    Migrated,
    /// It is known what the release changes in the schema, and nothing of it is unsafe.
    MigrationsPlanned,
    /// A pending migration is unsafe. Nothing was changed.
    MigrationUnsafe,
    /// The settings are in force.
    SettingsApplied,
    /// A newer revision is in force already; nothing was changed.
    SettingsSuperseded,
    /// The configuration document, the settings or a secret is missing or wrong.
    InvalidConfiguration,
    /// No connection to PostgreSQL.
    DatabaseUnreachable,
    /// PostgreSQL refuses the user or the password, or the user may not use the database.
    DatabaseAuthenticationFailed,
    /// The database does not exist.
    DatabaseMissing,
    /// Another PaymentCluster owns the database.
    DatabaseOwnedByAnother,
    /// Another runner holds the migration lock.
    MigrationLocked,
    /// Another operator has taken the place of the one that started the command. Nothing was changed.
    OperatorSuperseded,
    /// A migration failed; the database is as before it.
    MigrationFailed,
    /// The database is newer than this program, or its history differs.
    SchemaMismatch,
    /// A backup was made; it is also verified if that was asked for.
    BackedUp,
    /// A backup was restored into a scratch database, and is what it says it is.
    BackupVerified,
    /// A backup could not be made, read or restored: a program is missing, a disk is full, a key is wrong.
    BackupFailed,
    /// The place where backups are kept does not answer, or cannot be read or written.
    BackupStoreUnavailable,
    /// A backup is not what its manifest says. It is not verified.
    BackupCorrupt,
    /// The database is as it was when the backup was made.
    Restored,
    /// A restore would have lost something, or the backup is not one to restore from. Nothing was changed.
    RestoreRefused,
    /// The pending migrations went through on a copy.
    DryRunSucceeded,
    /// A pending migration failed on a copy. The database was not touched.
    DryRunFailed,
    /// Writes are refused, and no accepted work is being done.
    Drained,
    /// Writes are refused, but accepted work is still being done.
    NotDrained,
    /// The cache is warm.
    CacheWarmed,
    /// Test payments went through the release.
    SmokePassed,
    /// A test payment did not go through the release as it should.
    SmokeFailed,
    /// The load test reached its figures.
    LoadPassed,
    /// The load test did not reach its figures.
    LoadFailed,
    /// Months that are over were archived as far as they may go, or there were none.
    Archived,
    /// A month could not be archived or brought back. Each is in the database, or in an archive.
    ArchiveFailed,
    /// An archive is not what its manifest says, or was not when it was read back. Nothing was dropped for it.
    ArchiveCorrupt,
    /// What analytics may know flows to its database.
    CdcApplied,
    /// Nothing flows to an analytics database any more, and nothing is kept for one.
    CdcRemoved,
    /// A database is not set up for it, or the analytics database does not answer.
    CdcFailed,
    /// The replication slot of analytics could not be dropped or taken over: somebody else has it, or a right is missing.
    CdcSlotLeft,
    /// The replica has all that the database had when the look at it began.
    ReplicaReady,
    /// The replica is late, or does not answer: lists are read from the database until it is there.
    ReplicaBehind,
    /// What is to be the replica is none of this database, or may not be read.
    ReplicaWrong,
    /// Anything else.
    Internal,
}

impl JobReport {
    /// A report without figures.
    #[must_use]
    pub fn new(outcome: Outcome, reason: Reason, message: impl Into<String>) -> Self {
        Self {
            outcome,
            reason,
            message: message.into(),
            schema_version: None,
            settings_revision: None,
            backup_id: None,
            migration_plan: None,
            archived: None,
            cdc: None,
        }
    }

    /// Kubernetes cuts a termination message at 4096 bytes; a longer sentence would make invalid JSON of it.
    pub const MESSAGE_BYTES_MAX: usize = 3000;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_reads_as_json_a_person_understands() {
        let report = JobReport::new(Outcome::Retry, Reason::DatabaseUnreachable, "connection refused");
        let json = serde_json::to_string(&report).unwrap();
        assert_eq!(json, r#"{"outcome":"Retry","reason":"DatabaseUnreachable","message":"connection refused"}"#);
        assert_eq!(serde_json::from_str::<JobReport>(&json).unwrap(), report);
    }
}
