//! What a merchant changes of a user.

use serde::{Deserialize, Deserializer};
use utoipa::ToSchema;

use super::{NewUser, RiskLevel, Status};

/// A change: what is absent stays as it is, and what is null becomes empty.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[schema(as = UserChange)]
#[serde(deny_unknown_fields)]
pub struct UserChange {
    /// Address, unique per merchant. A new one counts as not verified, unless this change says so.
    #[serde(default)]
    #[schema(pattern = "^[^@\\s]+@[^@\\s]+$", max_length = 255, example = "ada@example.com")]
    pub email: Option<String>,
    /// Whether somebody proved to read this address.
    #[serde(default)]
    pub email_verified: Option<bool>,
    /// Name shown to people.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 255)]
    pub full_name: Option<Option<String>>,
    /// Telephone number.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, pattern = "^[0-9 +()-]{3,20}$")]
    pub phone: Option<Option<String>>,
    /// Whether the user may pay.
    #[serde(default)]
    pub status: Option<Status>,
    /// How much trouble the user has been.
    #[serde(default)]
    pub risk_level: Option<RiskLevel>,
}

/// Tells a field that is null from one that is absent.
///
/// # Errors
/// Those of the deserializer.
pub fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

impl UserChange {
    /// The first field that cannot be stored, with the reason.
    ///
    /// # Errors
    /// The field's name and a sentence.
    pub fn check(&self) -> Result<(), (&'static str, &'static str)> {
        // The rules are those of a new user; what is not changed needs none.
        let email = self.email.clone().unwrap_or_else(|| "unchanged@example.com".to_owned());
        NewUser { email, full_name: self.full_name.clone().flatten(), phone: self.phone.clone().flatten() }.check()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(json: &str) -> UserChange {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn what_is_absent_stays_and_what_is_null_becomes_empty() {
        assert_eq!(change("{}").phone, None);
        assert_eq!(change(r#"{"phone": null}"#).phone, Some(None));
        assert_eq!(change(r#"{"phone": "112"}"#).phone, Some(Some("112".to_owned())));
    }

    #[test]
    fn a_change_follows_the_rules_of_a_new_user() {
        for (json, field) in
            [(r#"{"email": "ada"}"#, "email"), (r#"{"full_name": " "}"#, "full_name"), (r#"{"phone": "x"}"#, "phone")]
        {
            assert_eq!(change(json).check().map_err(|(field, _)| field), Err(field));
        }
        assert_eq!(change(r#"{"full_name": null, "status": "BLOCKED"}"#).check(), Ok(()));
    }
}
