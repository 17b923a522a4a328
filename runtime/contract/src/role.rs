//! The workloads of a payment platform.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One workload: a subcommand of `purser`, and a Deployment in the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The payment API that merchants call.
    Gateway,
    /// Scores a payment within its deadline.
    Fraud,
    /// Claims accepted payments and takes them to their end.
    Processor,
    /// Rolls the payments of each minute up.
    Metrics,
}

impl Role {
    /// Every workload, in the order in which a payment meets them.
    pub const ALL: [Self; 4] = [Self::Gateway, Self::Fraud, Self::Processor, Self::Metrics];

    /// The subcommand of `purser`, and the part that names of cluster objects carry.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Fraud => "fraud",
            Self::Processor => "processor",
            Self::Metrics => "metrics",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
