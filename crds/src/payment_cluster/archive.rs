//! For how long what is over stays in the database.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::rule::rule;

/// For how long payments that are over stay in the database. After that, whole months of them are moved into Parquet, at the place
/// of `spec.backup` and encrypted by its key: after each release, and then once a day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Archive {
    /// For how many months after its end a month stays in the database. It stays longer while anything in it is open.
    #[serde(default = "keep_months")]
    #[schemars(extend("x-kubernetes-validations" = rule("self >= 1 && self <= 1200", "keepMonths is from 1 to 1200")))]
    pub keep_months: i32,
}

const fn keep_months() -> i32 {
    13
}

/// How archiving went last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ArchiveStatus {
    /// The release whose program did it.
    pub release: String,
    /// When that ended, as RFC 3339.
    pub at: String,
    /// Whether it did all that could be done.
    pub succeeded: bool,
    /// Why it ended as it did, as one word.
    pub reason: String,
    /// The same as a sentence, and which months stay.
    pub message: String,
    /// How many partitions it archived, each a month of a table.
    pub partitions: i64,
    /// How many rows were in them.
    pub rows: i64,
    /// How many partitions are old enough, and stay.
    pub stayed: i64,
}
