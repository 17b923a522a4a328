//! The analytics database, and what flows there. Times are RFC 3339, in UTC.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::SecretKey;

/// The analytics database: payments, fraud checks and metrics flow there by logical replication, without keys, tokens and other
/// secrets. The database of payments needs `wal_level = logical` and a `max_slot_wal_keep_size`. When this is removed, so are
/// publication, subscription and replication slot; what analytics has, it keeps. Remove it before you delete the PaymentCluster, or the
/// slot is left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Analytics {
    /// URL of the analytics database: an empty PostgreSQL database on a server of its own, and a user that may make subscriptions.
    pub url_secret_ref: SecretKey,
    /// URL by which the server of the analytics database reaches the database of payments. Its role needs LOGIN and REPLICATION; it is
    /// given SELECT on what is published, and needs nothing else. The analytics server keeps this URL.
    pub source_url_secret_ref: SecretKey,
}

/// What flows to the analytics database, or is about to. It is written down before it is begun, since a replication slot that is
/// forgotten fills a disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AnalyticsStatus {
    /// Since when.
    pub since: String,
    /// Where the URL of the analytics database is. Both are kept to end it, once they are not in the spec any more.
    pub url_secret_ref: SecretKey,
    /// Where the URL is by which the analytics server reaches the database of payments.
    pub source_url_secret_ref: SecretKey,
    /// What flows; absent until it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flow: Option<FlowStatus>,
    /// When the database of payments was last replaced by a backup: what flows has to be set up anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restored_at: Option<String>,
}

/// The proof that something flows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FlowStatus {
    /// The release that decided what is published. A release before it leaves that as it is.
    pub version: String,
    /// Hash of all besides the release that decided how it is set up.
    pub inputs: String,
    /// Name of the publication.
    pub publication: String,
    /// Name of the subscription and of its replication slot.
    pub subscription: String,
    /// How many tables are published.
    pub tables: i32,
    /// How far analytics was behind then, in bytes.
    pub lag_bytes: i64,
    /// When it was set up.
    pub at: String,
}
