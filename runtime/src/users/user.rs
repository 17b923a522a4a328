//! One user.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::ids::UserId;
use crate::payments::json::millis;

/// Whether a user may pay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, sqlx::Type)]
#[schema(as = UserStatus)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[sqlx(type_name = "varchar", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Status {
    /// The user may.
    Active,
    /// Not for now.
    Suspended,
    /// Never again.
    Blocked,
}

/// How much trouble a user has been.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, sqlx::Type)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[sqlx(type_name = "varchar", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RiskLevel {
    /// None.
    Low,
    /// Some.
    Medium,
    /// Much.
    High,
}

/// A user as it is stored and shown.
#[derive(Clone, Debug, Serialize, ToSchema, sqlx::FromRow)]
pub struct User {
    /// Its id.
    pub id: UserId,
    /// Address, unique per merchant.
    pub email: String,
    /// Whether somebody proved to read this address.
    pub email_verified: bool,
    /// Name shown to people.
    pub full_name: Option<String>,
    /// Telephone number.
    pub phone: Option<String>,
    /// Whether the user may pay.
    pub status: Status,
    /// How much trouble the user has been.
    pub risk_level: RiskLevel,
    /// When the user was made.
    #[serde(serialize_with = "millis")]
    pub created_at: DateTime<Utc>,
    /// When the user was last changed.
    #[serde(serialize_with = "millis")]
    pub updated_at: DateTime<Utc>,
}

/// A user to be, as a merchant writes it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewUser {
    /// Address, unique per merchant.
    #[schema(pattern = "^[^@\\s]+@[^@\\s]+$", max_length = 255, example = "ada@example.com")]
    pub email: String,
    /// Name shown to people.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 255)]
    pub full_name: Option<String>,
    /// Telephone number.
    #[serde(default)]
    #[schema(pattern = "^[0-9 +()-]{3,20}$", example = "+1 (709) 555-0100")]
    pub phone: Option<String>,
}

impl NewUser {
    /// The first field that cannot be stored, with the reason.
    ///
    /// # Errors
    /// The field's name and a sentence.
    pub fn check(&self) -> Result<(), (&'static str, &'static str)> {
        if !is_address(&self.email) {
            return Err(("email", "must be an address such as ada@example.com, of at most 255 characters"));
        }
        if self.full_name.as_ref().is_some_and(|name| name.trim().is_empty() || name.chars().count() > 255) {
            return Err(("full_name", "must be between 1 and 255 characters"));
        }
        let is_number = |phone: &str| {
            (3..=20).contains(&phone.len()) && phone.bytes().all(|b| b.is_ascii_digit() || b" +-()".contains(&b))
        };
        if self.phone.as_ref().is_some_and(|phone| !is_number(phone)) {
            return Err(("phone", "must be a telephone number of 3 to 20 digits, spaces, or + - ( )"));
        }
        Ok(())
    }
}

/// Only what every address has in common: whether it is real, nobody knows before a message arrived there.
fn is_address(text: &str) -> bool {
    let plain = text.chars().count() <= 255 && !text.chars().any(|c| c.is_whitespace() || c.is_control());
    plain
        && text.split_once('@').is_some_and(|(name, host)| !name.is_empty() && !host.is_empty() && !host.contains('@'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_stored_is_named_by_its_field() {
        let good = NewUser {
            email: "ada@example.com".into(),
            full_name: Some("Ada".into()),
            phone: Some("+1 (709) 555-0100".into()),
        };
        assert_eq!(good.check(), Ok(()));
        let field = |change: fn(&mut NewUser)| {
            let mut user = good.clone();
            change(&mut user);
            user.check().map_err(|(field, _)| field)
        };
        assert_eq!(field(|u| u.email = "ada".into()), Err("email"));
        assert_eq!(field(|u| u.email = "a@b@c".into()), Err("email"));
        assert_eq!(field(|u| u.email = "a d@b".into()), Err("email"));
        assert_eq!(field(|u| u.full_name = Some(" ".into())), Err("full_name"));
        assert_eq!(field(|u| u.phone = Some("call me".into())), Err("phone"));
    }
}
