//! The vocabulary of plans: steps, what is waited for, verdicts. ★ Pure.

use std::fmt;

use crds::annotations::PAUSED;
use runtime_contract::Role;

use crate::owned::{Desired, Kind};

/// One write to the cluster. Carrying it out takes no decision.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Make an object what is wanted.
    Apply {
        /// What is wanted.
        object: Box<Desired>,
        /// Whether there is none yet. A stranger of the same name must not be taken over.
        is_new: bool,
    },
    /// Give a Deployment a number of pods, as a field that the autoscaler may take over.
    Scale {
        /// Name of the Deployment.
        deployment: String,
        /// Number of pods.
        replicas: i32,
    },
    /// Remove an object.
    Delete {
        /// Its kind.
        kind: Kind,
        /// Its name.
        name: String,
        /// Its UID: another object of that name is left alone.
        uid: String,
    },
}

/// Why a release stands still.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WaitingOn {
    /// The spec or a Secret must be put right.
    Correction(String),
    /// Somebody has to agree to the release.
    Approval {
        /// The release.
        version: String,
        /// What was agreed to instead.
        instead: Option<String>,
    },
    /// Another PaymentCluster has to verify the version first; in words.
    Staging(String),
    /// A check of the release is not over; in words.
    Check(String),
    /// The migrations run.
    Migration,
    /// The migrations failed and will be tried again.
    MigrationRetry,
    /// The migrations failed and a person has to change something.
    MigrationCorrection,
    /// A command that the release needs runs; its name within a sentence.
    Job(&'static str),
    /// A command that the release needs failed and will be tried again.
    Again(&'static str),
    /// A command that the release needs failed and a person has to change something.
    Change(&'static str),
    /// Writes are being refused, or are about to be.
    Maintenance,
    /// The live settings are on their way into the database for the first time.
    Settings,
    /// The pods of a role are on their way.
    Workload(Role),
    /// The gateway's traffic moves.
    Traffic,
    /// The gateway's traffic moves at once, though the release is a canary.
    TrafficAtOnce,
    /// A step of a canary lasts.
    Step {
        /// Its number, from 1.
        number: i32,
        /// Of so many.
        of: usize,
        /// Percentage of the traffic.
        weight: i32,
        /// How long, as the spec has it.
        lasts: String,
    },
    /// The release is watched with all of the traffic.
    Watch {
        /// How long, as the spec has it.
        lasts: String,
    },
    /// The release can neither go on nor back without a verdict.
    Judgement,
    /// The traffic goes back to the release before.
    TrafficBack,
    /// The traffic goes back from a release that another one was wanted instead of, once there are pods for it.
    Handover,
    /// A person holds the release.
    Paused,
}

impl fmt::Display for WaitingOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Correction(message) | Self::Staging(message) | Self::Check(message) => f.write_str(message),
            Self::Approval { version, instead } => {
                write!(
                    f,
                    "release {version} waits for approval: `kubectl purser approve`, or set spec.rollout.approvedVersion to {version}"
                )?;
                instead.as_ref().map_or(Ok(()), |instead| write!(f, " (it is {instead})"))
            }
            Self::Migration => f.write_str("the migration Job runs"),
            Self::MigrationRetry => f.write_str("the migrations failed and are tried again"),
            Self::MigrationCorrection => f.write_str("the migrations failed; something has to be changed first"),
            Self::Job(what) => write!(f, "{what} runs"),
            Self::Again(what) => write!(f, "{what} failed and is tried again"),
            Self::Change(what) => write!(f, "{what} failed; something has to be changed first"),
            Self::Maintenance => f.write_str("writes are refused before the schema changes"),
            Self::Settings => f.write_str("the live settings are being put into the database"),
            Self::Workload(role) => write!(f, "the {role} pods of the release start"),
            Self::Traffic => f.write_str("the gateway's traffic moves to the release"),
            Self::TrafficAtOnce => f.write_str(
                "the gateway's traffic moves to the release at once, without steps: of it and the one before only one speaks TLS",
            ),
            Self::Step { number, of, weight, lasts } => {
                write!(f, "step {number} of {of}, {weight} % of the traffic, lasts {lasts}")
            }
            Self::Watch { lasts } => write!(f, "the release is watched with all of the traffic for {lasts}"),
            Self::Judgement => f.write_str("the release cannot be judged yet: see the condition SLAMet"),
            Self::TrafficBack => f.write_str("the traffic goes back to the release before"),
            Self::Handover => f.write_str(
                "the traffic goes back to the release that serves as soon as its gateway pods for all of it are there",
            ),
            Self::Paused => write!(f, "somebody holds the release: `kubectl purser resume`, or remove {PAUSED}"),
        }
    }
}

/// Whether something is so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truth {
    /// It is.
    True,
    /// It is not.
    False,
    /// Nobody knows yet.
    Unknown,
}

impl Truth {
    /// As conditions write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

/// A condition without its name and time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether it is so.
    pub truth: Truth,
    /// Why, in one word.
    pub reason: String,
    /// Why, in a sentence.
    pub message: String,
}

impl Verdict {
    /// It is so.
    #[must_use]
    pub fn yes(reason: &str, message: impl Into<String>) -> Self {
        Self { truth: Truth::True, reason: reason.into(), message: message.into() }
    }

    /// It is not so.
    #[must_use]
    pub fn no(reason: &str, message: impl Into<String>) -> Self {
        Self { truth: Truth::False, reason: reason.into(), message: message.into() }
    }

    /// Nobody knows yet.
    #[must_use]
    pub fn unknown(reason: &str, message: impl Into<String>) -> Self {
        Self { truth: Truth::Unknown, reason: reason.into(), message: message.into() }
    }

    /// Whether it is so.
    #[must_use]
    pub fn is_true(&self) -> bool {
        self.truth == Truth::True
    }
}
