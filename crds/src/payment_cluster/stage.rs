//! The stages of a release, and which may follow which.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The stage of a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum Stage {
    /// The spec, its Secrets and its providers are looked at.
    Validating,
    /// The same version has to be verified by another PaymentCluster first. Nothing is changed for it before.
    AwaitingStaging,
    /// Somebody has to agree to the release. Nothing is changed for it before.
    AwaitingApproval,
    /// What the release changes in the schema is found out. Nothing is changed yet.
    PlanningMigrations,
    /// The database is backed up, and the backup proved by restoring it elsewhere.
    BackingUp,
    /// The pending migrations run on a copy of the database.
    DryRunning,
    /// Writes are refused from now on, and accepted work drains; a last backup follows.
    EnteringMaintenance,
    /// The schema is brought to the release's version.
    Migrating,
    /// The replica that lists are to be read from is looked at, and what analytics may know flows to its database, with all that the
    /// release adds to it.
    Configuring,
    /// The release's workloads start, beside those of the release before it.
    Deploying,
    /// What the release will need first is put into the cache.
    WarmingCache,
    /// Test payments go through the release, which has no traffic yet.
    CheckingHealth,
    /// The gateway's traffic moves to the release.
    Shifting,
    /// The release has all of the traffic and is watched, the one before it beside it.
    Monitoring,
    /// A staging release has all of the traffic and is put to the test.
    Testing,
    /// The release serves.
    Finished,
    /// The release serves in staging, has passed its tests, and may be promoted.
    Verified,
    /// The traffic goes back to the release before.
    RollingBack,
    /// The database goes back to its last backup: no write was accepted since.
    Restoring,
    /// The release was given up; the one before it serves.
    RolledBack,
}

impl Stage {
    /// Every stage, in order; the ways back come last.
    pub const ALL: [Self; 20] = [
        Self::Validating,
        Self::AwaitingStaging,
        Self::AwaitingApproval,
        Self::PlanningMigrations,
        Self::BackingUp,
        Self::DryRunning,
        Self::EnteringMaintenance,
        Self::Migrating,
        Self::Configuring,
        Self::Deploying,
        Self::WarmingCache,
        Self::CheckingHealth,
        Self::Shifting,
        Self::Monitoring,
        Self::Testing,
        Self::Finished,
        Self::Verified,
        Self::RollingBack,
        Self::Restoring,
        Self::RolledBack,
    ];

    /// The stage as it is shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Validating => "Validating",
            Self::AwaitingStaging => "AwaitingStaging",
            Self::AwaitingApproval => "AwaitingApproval",
            Self::PlanningMigrations => "PlanningMigrations",
            Self::BackingUp => "BackingUp",
            Self::DryRunning => "DryRunning",
            Self::EnteringMaintenance => "EnteringMaintenance",
            Self::Migrating => "Migrating",
            Self::Configuring => "Configuring",
            Self::Deploying => "Deploying",
            Self::WarmingCache => "WarmingCache",
            Self::CheckingHealth => "CheckingHealth",
            Self::Shifting => "Shifting",
            Self::Monitoring => "Monitoring",
            Self::Testing => "Testing",
            Self::Finished => "Finished",
            Self::Verified => "Verified",
            Self::RollingBack => "RollingBack",
            Self::Restoring => "Restoring",
            Self::RolledBack => "RolledBack",
        }
    }

    /// Whether nothing is on its way: the release serves, or was given up.
    #[must_use]
    pub const fn is_end(self) -> bool {
        matches!(self, Self::Finished | Self::Verified | Self::RolledBack)
    }

    /// Whether the release waits for leave: nothing was begun for it yet.
    #[must_use]
    pub const fn is_before_start(self) -> bool {
        matches!(self, Self::Validating | Self::AwaitingStaging | Self::AwaitingApproval)
    }

    /// Whether the release before is still the only one that runs, and nothing but databases is changed.
    #[must_use]
    pub const fn is_before_pods(self) -> bool {
        matches!(
            self,
            Self::PlanningMigrations
                | Self::BackingUp
                | Self::DryRunning
                | Self::EnteringMaintenance
                | Self::Migrating
                | Self::Configuring
        ) || self.is_before_start()
    }

    /// Whether a PaymentCluster may be in `self` right after it was in `before`.
    #[must_use]
    pub fn may_follow(self, before: Self) -> bool {
        use Stage::{
            AwaitingApproval, AwaitingStaging, BackingUp, CheckingHealth, Configuring, Deploying, DryRunning,
            EnteringMaintenance, Finished, Migrating, Monitoring, PlanningMigrations, Restoring, RolledBack,
            RollingBack, Shifting, Testing, Validating, Verified, WarmingCache,
        };
        let is_back = matches!(before, RollingBack | Restoring | RolledBack);
        match self {
            // A new target starts over, from wherever the one before it was; only a database that is being replaced is waited for.
            Validating => before != Restoring,
            // What has begun is not asked about again.
            AwaitingStaging | AwaitingApproval => before.is_before_start(),
            // Each of these may be passed over: nothing is pending, no copy is needed, nothing is offline, nothing flows.
            PlanningMigrations | BackingUp | DryRunning | EnteringMaintenance | Migrating | Configuring => {
                before.is_before_pods() && before <= self
            }
            // The schema of the release that serves is there already: going back to it migrates nothing. A changed spec rolls
            // the pods of the release that serves, and pods that are lost are waited for.
            Deploying => !is_back,
            WarmingCache | CheckingHealth => {
                matches!(before, Deploying | WarmingCache | CheckingHealth) && before <= self
            }
            Shifting => matches!(before, Deploying | WarmingCache | CheckingHealth | Shifting),
            Monitoring | Testing => before == self || matches!(before, Deploying | Shifting),
            // The first release has nothing to go back to, and so nothing to be watched for.
            Finished | Verified => {
                before == self
                    || matches!(before, Deploying | WarmingCache | CheckingHealth | Shifting | Monitoring | Testing)
            }
            RollingBack => !matches!(before, Validating | Restoring | RolledBack),
            // Only the traffic's way back comes before that of the database.
            Restoring => matches!(before, RollingBack | Restoring),
            // Nothing was begun yet for one that is refused.
            RolledBack => is_back || before.is_before_start(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_stages_is_complete() {
        // One row per stage before, one column per stage after, in the order of `Stage::ALL`.
        let table = [
            ("Validating", "yyyyyyyyyy---------y"),
            ("AwaitingStaging", "yyyyyyyyyy-------y-y"),
            ("AwaitingApproval", "yyyyyyyyyy-------y-y"),
            ("PlanningMigrations", "y--yyyyyyy-------y--"),
            ("BackingUp", "y---yyyyyy-------y--"),
            ("DryRunning", "y----yyyyy-------y--"),
            ("EnteringMaintenance", "y-----yyyy-------y--"),
            ("Migrating", "y------yyy-------y--"),
            ("Configuring", "y-------yy-------y--"),
            ("Deploying", "y--------yyyyyyyyy--"),
            ("WarmingCache", "y--------yyyy--yyy--"),
            ("CheckingHealth", "y--------y-yy--yyy--"),
            ("Shifting", "y--------y--yyyyyy--"),
            ("Monitoring", "y--------y---y-yyy--"),
            ("Testing", "y--------y----yyyy--"),
            ("Finished", "y--------y-----y-y--"),
            ("Verified", "y--------y------yy--"),
            ("RollingBack", "y----------------yyy"),
            ("Restoring", "------------------yy"),
            ("RolledBack", "y------------------y"),
        ];
        assert_eq!(table.len(), Stage::ALL.len());
        for (before, (name, row)) in Stage::ALL.into_iter().zip(table) {
            assert_eq!(before.as_str(), name);
            assert_eq!(row.len(), Stage::ALL.len());
            for (after, legal) in Stage::ALL.into_iter().zip(row.chars()) {
                assert_eq!(after.may_follow(before), legal == 'y', "{before:?} -> {after:?}");
            }
        }
    }
}
