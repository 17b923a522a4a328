//! Where the database is backed up to before its schema changes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::LocalReference;
use crate::SecretKey;
use crate::rule::rule;

/// Where the database is backed up to before its schema changes. Without it a release that changes the schema online goes on
/// without a backup, and one that has to refuse writes meanwhile does not begin.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = rule("has(self.volumeClaim) != has(self.s3)", "a backup is kept at one place: either volumeClaim or s3")))]
pub struct Backup {
    /// A PersistentVolumeClaim of the same namespace. It has to outlive the PaymentCluster, and so it is not made by the operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume_claim: Option<LocalReference>,
    /// A bucket of an S3-compatible store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub s3: Option<S3Store>,
    /// What backups are encrypted with: an age identity (`AGE-SECRET-KEY-1…`) or a passphrase. Without it they are not encrypted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption_key_secret_ref: Option<SecretKey>,
    /// URL of another PostgreSQL on which backups are restored to be verified, and migrations are rehearsed. Without it that is
    /// done beside the database, whose user needs the right to create databases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scratch_url_secret_ref: Option<SecretKey>,
    /// How many verified backups are kept; older ones are removed after a new one.
    #[serde(default = "keep")]
    #[schemars(extend("x-kubernetes-validations" = rule("self >= 1 && self <= 1000", "keep is from 1 to 1000")))]
    pub keep: i32,
}

const fn keep() -> i32 {
    7
}

/// A bucket of an S3-compatible store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct S3Store {
    /// Its name.
    #[schemars(length(min = 3, max = 63))]
    #[schemars(extend("x-kubernetes-validations" = rule("self.matches('^[a-z0-9][a-z0-9.-]*[a-z0-9]$')", "bucket is the name of a bucket: lower case letters, digits, '.' and '-'")))]
    pub bucket: String,
    /// What the names of all objects begin with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 200))]
    #[schemars(extend("x-kubernetes-validations" = rule("self.matches('^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*$')", "prefix is a path such as purser/backups, without '/' at its ends")))]
    pub prefix: Option<String>,
    /// The region; `us-east-1` when it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    #[schemars(extend("x-kubernetes-validations" = rule("self.matches('^[a-z0-9-]+$')", "region is a name such as eu-central-1")))]
    pub region: Option<String>,
    /// URL of a store that is not Amazon's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    #[schemars(extend("x-kubernetes-validations" = rule("self.matches('^https?://[A-Za-z0-9.:-]+/?$')", "endpoint is a URL such as https://minio.storage:9000")))]
    pub endpoint: Option<String>,
    /// A Secret with the keys `access-key-id` and `secret-access-key`.
    pub credentials_secret_ref: LocalReference,
}

impl S3Store {
    /// Key of the access key's id in its Secret.
    pub const ACCESS_KEY_ID: &'static str = "access-key-id";
    /// Key of the access key itself in its Secret.
    pub const SECRET_ACCESS_KEY: &'static str = "secret-access-key";
}
