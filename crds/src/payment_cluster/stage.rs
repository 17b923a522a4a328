//! The stages of a release, and which may follow which.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The stage of a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Stage {
    /// The spec, its Secrets and its providers are looked at.
    Validating,
    /// Somebody has to agree to the release. Nothing is changed for it before.
    AwaitingApproval,
    /// The schema is brought to the release's version.
    Migrating,
    /// The release's workloads start, beside those of the release before it.
    Deploying,
    /// The gateway's traffic moves to the release.
    Shifting,
    /// The release has all of the traffic and is watched, the one before it beside it.
    Monitoring,
    /// The release serves.
    Finished,
    /// The traffic goes back to the release before.
    RollingBack,
    /// The release was given up; the one before it serves.
    RolledBack,
}

impl Stage {
    /// Every stage, in order; the ways back come last.
    pub const ALL: [Self; 9] = [
        Self::Validating,
        Self::AwaitingApproval,
        Self::Migrating,
        Self::Deploying,
        Self::Shifting,
        Self::Monitoring,
        Self::Finished,
        Self::RollingBack,
        Self::RolledBack,
    ];

    /// The stage as it is shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Validating => "Validating",
            Self::AwaitingApproval => "AwaitingApproval",
            Self::Migrating => "Migrating",
            Self::Deploying => "Deploying",
            Self::Shifting => "Shifting",
            Self::Monitoring => "Monitoring",
            Self::Finished => "Finished",
            Self::RollingBack => "RollingBack",
            Self::RolledBack => "RolledBack",
        }
    }

    /// Whether nothing is on its way: the release serves, or was given up.
    #[must_use]
    pub const fn is_end(self) -> bool {
        matches!(self, Self::Finished | Self::RolledBack)
    }

    /// Whether a PaymentCluster may be in `self` right after it was in `before`.
    #[must_use]
    pub const fn may_follow(self, before: Self) -> bool {
        use Stage::{
            AwaitingApproval, Deploying, Finished, Migrating, Monitoring, RolledBack, RollingBack, Shifting, Validating,
        };
        match self {
            // A new target starts over, from wherever the one before it was.
            Validating => true,
            // What has begun is not asked about again.
            AwaitingApproval => matches!(before, Validating | AwaitingApproval),
            Migrating => matches!(before, Validating | AwaitingApproval | Migrating),
            // The schema of the release that serves is there already: going back to it migrates nothing. A changed spec rolls
            // the pods of the release that serves.
            Deploying => !matches!(before, RollingBack | RolledBack),
            Shifting => matches!(before, Deploying | Shifting),
            Monitoring => matches!(before, Deploying | Shifting | Monitoring),
            // The first release has nothing to go back to, and so nothing to be watched for.
            Finished => matches!(before, Deploying | Shifting | Monitoring | Finished),
            RollingBack => !matches!(before, Validating | RolledBack),
            // Nothing was begun yet for one that is refused.
            RolledBack => matches!(before, Validating | AwaitingApproval | RollingBack | RolledBack),
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
            ("Validating", "yyyy----y"),
            ("AwaitingApproval", "yyyy---yy"),
            ("Migrating", "y-yy---y-"),
            ("Deploying", "y--yyyyy-"),
            ("Shifting", "y--yyyyy-"),
            ("Monitoring", "y--y-yyy-"),
            ("Finished", "y--y--yy-"),
            ("RollingBack", "y------yy"),
            ("RolledBack", "y-------y"),
        ];
        for (before, (name, row)) in Stage::ALL.into_iter().zip(table) {
            assert_eq!(before.as_str(), name);
            for (after, legal) in Stage::ALL.into_iter().zip(row.chars()) {
                assert_eq!(after.may_follow(before), legal == 'y', "{before:?} -> {after:?}");
            }
        }
    }
}
