//! Annotations on a PaymentCluster by which a person tells the operator what the spec cannot say: the operator never writes the
//! spec, and what is in Git stays as it is. `kubectl purser` sets them; any other client may.

/// Its value is a version that somebody agrees to, as `spec.rollout.approvedVersion` does.
pub const APPROVED: &str = "purser.dev/approved-version";
/// Its value is a version that somebody refuses, while it waits for approval.
pub const REJECTED: &str = "purser.dev/rejected-version";
/// Its value is a version that must not run: on its way it is given up, and once it serves the release before it comes back, as
/// long as that is kept.
pub const ABANDONED: &str = "purser.dev/abandoned-version";
/// Any new value has what failed tried again: a migration, or a version that was rolled back.
pub const RETRY: &str = "purser.dev/retry";
/// `true` holds the release where it is. A breach of its SLA rolls it back all the same.
pub const PAUSED: &str = "purser.dev/paused";

/// `true` has writes refused, with 503 and Retry-After, while reads and accepted work go on.
pub const MAINTENANCE: &str = "purser.dev/maintenance";

/// All of them. A change of any of these makes the operator look.
pub const ALL: [&str; 6] = [APPROVED, REJECTED, ABANDONED, RETRY, PAUSED, MAINTENANCE];
