//! Why a pass over a resource failed, by step, and how soon the next one is.

use std::time::Duration;

use kube::core::error_boundary::InvalidObject;

use crate::owned::Kind;

/// Why a pass over a resource failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The world could not be read.
    #[error("cannot read from the API server")]
    Observe(#[source] kube::Error),
    /// The resource is not what its definition says.
    #[error("the resource cannot be read: {0}")]
    Malformed(#[source] Box<InvalidObject>),
    /// An object could not be written.
    #[error("cannot write {kind:?} \"{name}\": {}", sentence(source))]
    Apply {
        /// Its kind.
        kind: Kind,
        /// Its name.
        name: String,
        /// What the API server said.
        source: kube::Error,
    },
    /// An object of that name belongs to somebody else.
    #[error("{kind:?} \"{name}\" exists and does not belong to this PaymentCluster; rename or remove it")]
    NameTaken {
        /// Its kind.
        kind: Kind,
        /// Its name.
        name: String,
    },
    /// The lease was not renewed in time.
    #[error("the lease was not renewed in time, and another replica may hold it: nothing more is written")]
    TenureOver,
    /// The status could not be written.
    #[error("cannot write the status")]
    Report(#[source] kube::Error),
}

/// What the API server said, without the structure around it.
fn sentence(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if !status.message.is_empty() => status.message.clone(),
        other => other.to_string(),
    }
}

impl Error {
    /// The step that failed, as a metric's label.
    #[must_use]
    pub const fn step(&self) -> &'static str {
        match self {
            Self::Observe(_) => "observe",
            Self::Malformed(_) => "validate",
            Self::Apply { .. } | Self::NameTaken { .. } => "apply",
            Self::TenureOver => "lease",
            Self::Report(_) => "report",
        }
    }

    /// How long to wait before the next pass. `chance` (0 to 1) spreads the passes that fail together.
    #[must_use]
    pub fn retry_after(&self, chance: f64) -> Duration {
        let seconds = match self {
            // It cannot be read again until it changes, and a change comes by itself.
            Self::Malformed(_) => 300.0,
            Self::NameTaken { .. } => 5.0,
            Self::Observe(_) | Self::Apply { .. } | Self::Report(_) | Self::TenureOver => 0.2,
        };
        Duration::from_secs_f64(seconds * (1.0 + 9.0 * chance.clamp(0.0, 1.0)).min(10.0))
    }
}
