//! Identifiers: a prefix and the 32 hexadecimal digits of a UUIDv7 in the API, a plain `uuid` in SQL.
//!
//! The time inside an id is the row's `created_at`, so whoever knows an id knows its monthly partition.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use uuid::{NoContext, Timestamp, Uuid};

/// Why a text is not an id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// It does not begin like ids of this kind.
    #[error("an id that begins with \"{expected}\" is needed")]
    Prefix {
        /// The prefix of this kind of id.
        expected: &'static str,
    },
    /// What follows the prefix is not an id that was given out here.
    #[error("after \"{prefix}\" an id has 32 lower-case hexadecimal digits")]
    Digits {
        /// The prefix of this kind of id.
        prefix: &'static str,
    },
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, sqlx::Type)]
        #[sqlx(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// What ids of this kind begin with.
            pub const PREFIX: &'static str = $prefix;

            /// A new id that carries this time, to the millisecond.
            #[must_use]
            pub fn at(now: DateTime<Utc>) -> Self {
                Self(uuid_at(now))
            }

            /// The `created_at` of the row that this id names.
            #[must_use]
            pub fn created_at(self) -> DateTime<Utc> {
                time_of(self.0)
            }

            /// The id as SQL knows it.
            #[must_use]
            pub const fn as_uuid(self) -> Uuid {
                self.0
            }

            /// The id of a row that was read from SQL.
            #[must_use]
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}{}", $prefix, self.0.simple())
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                parse(text, $prefix).map(Self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl From<$name> for Uuid {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl utoipa::PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                schema($prefix)
            }
        }

        impl utoipa::ToSchema for $name {}

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

id!(
    /// A payment: a row of `transactions`.
    PaymentId, "pay_"
);
id!(
    /// One who pays.
    UserId, "usr_"
);
id!(
    /// A tokenised instrument.
    PaymentMethodId, "pm_"
);
id!(
    /// One who receives money.
    MerchantId, "mer_"
);
id!(
    /// One charge asked of a provider, and the idempotency key of it there.
    AttemptId, "att_"
);
id!(
    /// A part, or all, of a held amount that was asked to be taken.
    CaptureId, "cap_"
);
id!(
    /// A part, or all, of a taken amount that was asked to be given back.
    RefundId, "ref_"
);
id!(
    /// A held amount that was asked to be given free.
    VoidId, "void_"
);
id!(
    /// Something that a merchant is told of.
    EventId, "evt_"
);
id!(
    /// Where a merchant is told of events.
    WebhookEndpointId, "we_"
);
id!(
    /// A backup of the whole database.
    BackupId, "bkp_"
);

/// A UUIDv7 with this time, to the millisecond: for rows whose ids never leave the platform.
#[must_use]
pub fn uuid_at(now: DateTime<Utc>) -> Uuid {
    // Times before 1970 do not occur; a clock that far off shows as the epoch rather than as a panic.
    let ms = u64::try_from(now.timestamp_millis()).unwrap_or(0);
    let nanoseconds = u32::try_from(ms % 1000).unwrap_or(0) * 1_000_000;
    Uuid::new_v7(Timestamp::from_unix(NoContext, ms / 1000, nanoseconds))
}

/// How the API's document describes ids with this prefix: only version 7 is ever given out.
fn schema(prefix: &str) -> RefOr<Schema> {
    let pattern = format!("^{prefix}[0-9a-f]{{12}}7[0-9a-f]{{3}}[89ab][0-9a-f]{{15}}$");
    let example = format!("{prefix}0199f2a4c6d87b1e8f3a5b7c9d1e2f3a");
    ObjectBuilder::new().schema_type(Type::String).pattern(Some(pattern)).examples([example]).into()
}

/// The time in a UUIDv7, to the millisecond: the `created_at` of its row.
#[must_use]
pub fn time_of(uuid: Uuid) -> DateTime<Utc> {
    let (seconds, nanoseconds) = uuid.get_timestamp().map_or((0, 0), |stamp| stamp.to_unix());
    i64::try_from(seconds).ok().and_then(|s| DateTime::from_timestamp(s, nanoseconds)).unwrap_or_default()
}

fn parse(text: &str, prefix: &'static str) -> Result<Uuid, IdError> {
    let digits = text.strip_prefix(prefix).ok_or(IdError::Prefix { expected: prefix })?;
    let simple = digits.len() == 32 && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    match Uuid::try_parse(digits) {
        // Only version 7 carries its time, and only such ids were ever given out.
        Ok(uuid) if simple && uuid.get_version_num() == 7 => Ok(uuid),
        _ => Err(IdError::Digits { prefix }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_survives_the_way_through_text() {
        let id = PaymentId::at(Utc::now());
        assert_eq!(id.to_string().parse::<PaymentId>(), Ok(id));
    }

    #[test]
    fn the_time_in_an_id_is_its_created_at_to_the_millisecond() {
        let now = DateTime::from_timestamp(1_795_000_000, 123_456_789).unwrap();
        assert_eq!(PaymentId::at(now).created_at(), DateTime::from_timestamp(1_795_000_000, 123_000_000).unwrap());
    }

    #[test]
    fn the_id_of_another_kind_is_refused() {
        let user = UserId::at(Utc::now()).to_string();
        assert_eq!(user.parse::<PaymentId>(), Err(IdError::Prefix { expected: "pay_" }));
    }

    #[test]
    fn digits_that_were_never_given_out_are_refused() {
        let version_4 = "pay_9f1c2f6e8d2b4c6e8a1b2c3d4e5f6071";
        let upper_case = PaymentId::at(Utc::now()).to_string().replace("pay_", "").to_uppercase();
        for text in ["pay_", "pay_12", version_4, &format!("pay_{upper_case}x"), &format!("pay_{}", Uuid::now_v7())] {
            assert_eq!(text.parse::<PaymentId>(), Err(IdError::Digits { prefix: "pay_" }), "{text}");
        }
    }
}
