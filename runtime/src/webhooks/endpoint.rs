//! One endpoint: where a merchant is told of events.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::address;
use crate::events::EventType;
use crate::ids::{MerchantId, WebhookEndpointId};
use crate::payments::json::{millis, optional_millis};

/// Endpoints of one merchant. Each event costs a delivery for each of them.
pub const ENDPOINTS_MAX: i64 = 16;
const DESCRIPTION_MAX: usize = 500;

/// Whether an endpoint is told of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, sqlx::Type, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[sqlx(type_name = "varchar", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum EndpointStatus {
    /// It is.
    Enabled,
    /// It is not, and what happens meanwhile is not kept for it; events can be replayed later.
    Disabled,
}

/// An endpoint as it is stored and shown. Its secret is neither.
#[derive(Clone, Debug, PartialEq, Serialize, sqlx::FromRow, ToSchema)]
pub struct WebhookEndpoint {
    /// Its id.
    #[schema(value_type = String, example = "we_019a3b5c7d8e7f90a1b2c3d4e5f60718")]
    pub id: WebhookEndpointId,
    /// Whose it is.
    #[serde(skip)]
    #[schema(ignore)]
    pub merchant_id: MerchantId,
    /// Where events are posted.
    pub url: String,
    /// The merchant's own words.
    pub description: Option<String>,
    /// The types it wants; null for all.
    pub event_types: Option<Vec<String>>,
    /// Whether it is told of events.
    pub status: EndpointStatus,
    /// Why the platform disabled it.
    pub disabled_reason: Option<String>,
    /// Until when deliveries are signed with the secret before the current one as well.
    #[serde(serialize_with = "optional_millis")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub previous_secret_until: Option<DateTime<Utc>>,
    /// Failed deliveries in a row.
    pub failures: i32,
    /// Deliveries that were given up after three days.
    pub given_up: i64,
    /// What the latest failed delivery met.
    pub last_error: Option<String>,
    /// When that was.
    #[serde(serialize_with = "optional_millis")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_failed_at: Option<DateTime<Utc>>,
    /// When a delivery was last answered with 2xx, to within seconds.
    #[serde(serialize_with = "optional_millis")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_delivered_at: Option<DateTime<Utc>>,
    /// When it was made.
    #[serde(serialize_with = "millis")]
    #[schema(value_type = String, format = DateTime)]
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    #[serde(serialize_with = "millis")]
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: DateTime<Utc>,
}

/// An endpoint to be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewEndpoint {
    /// Where events are to be posted: https, on the public internet.
    #[schema(max_length = 500, pattern = "^https?://[^ ]+$", example = "https://shop.example/webhooks")]
    pub url: String,
    /// The merchant's own words.
    #[serde(default)]
    #[schema(max_length = 500)]
    pub description: Option<String>,
    /// The types it wants; all when left out.
    #[serde(default)]
    #[schema(value_type = Option<Vec<EventType>>, min_items = 1)]
    pub event_types: Option<Vec<String>>,
}

impl NewEndpoint {
    /// The endpoint with its URL as it will be called, or the first field that cannot be stored.
    ///
    /// # Errors
    /// The field's name and a sentence.
    pub fn check(mut self, allow_private: bool) -> Result<Self, (&'static str, &'static str)> {
        self.url = checked_url(&self.url, allow_private)?;
        check_description(self.description.as_deref())?;
        check_event_types(self.event_types.as_deref())?;
        Ok(self)
    }
}

/// What is to be different of an endpoint; what is left out stays.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EndpointChange {
    /// Where events are to be posted.
    #[serde(default)]
    #[schema(max_length = 500, pattern = "^https?://[^ ]+$", example = "https://shop.example/webhooks")]
    pub url: Option<String>,
    /// The merchant's own words; null takes them away.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, max_length = 500)]
    pub description: Option<Option<String>>,
    /// The types it wants; null for all.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<Vec<EventType>>, min_items = 1)]
    pub event_types: Option<Option<Vec<String>>>,
    /// True takes it out of use. To put it into use again: `POST …/enable`.
    #[serde(default)]
    pub disabled: Option<bool>,
}

impl EndpointChange {
    /// The change with its URL as it will be called, or the first field that cannot be stored.
    ///
    /// # Errors
    /// The field's name and a sentence.
    pub fn check(mut self, allow_private: bool) -> Result<Self, (&'static str, &'static str)> {
        self.url = self.url.map(|url| checked_url(&url, allow_private)).transpose()?;
        check_description(self.description.as_ref().and_then(|text| text.as_deref()))?;
        check_event_types(self.event_types.as_ref().and_then(|types| types.as_deref()))?;
        if self.disabled == Some(false) {
            return Err(("disabled", "can only be true; to put it into use again there is POST …/enable"));
        }
        Ok(self)
    }
}

/// Tells a field that is null from one that is left out.
fn given<'de, D, T>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::deserialize(deserializer).map(Some)
}

fn checked_url(text: &str, allow_private: bool) -> Result<String, (&'static str, &'static str)> {
    let url = address::check(text, allow_private).map_err(|sentence| ("url", sentence))?.to_string();
    // Parsing writes out what a browser would: it may have become longer.
    if url.len() > 500 { Err(("url", "must be at most 500 bytes")) } else { Ok(url) }
}

fn check_description(text: Option<&str>) -> Result<(), (&'static str, &'static str)> {
    let fits = |text: &str| text.chars().count() <= DESCRIPTION_MAX && !text.contains('\0');
    if text.is_none_or(fits) { Ok(()) } else { Err(("description", "must be at most 500 characters")) }
}

/// Whether these are types of events, each once, and at least one.
///
/// # Errors
/// The field's name and a sentence.
pub fn check_event_types(types: Option<&[String]>) -> Result<(), (&'static str, &'static str)> {
    let Some(types) = types else { return Ok(()) };
    let known = |name: &String| EventType::ALL.iter().any(|known| known.as_str() == name);
    if types.is_empty() || !types.iter().all(known) {
        return Err(("event_types", "must name types of events such as payment.succeeded; leave it out for all"));
    }
    let once = types.iter().enumerate().all(|(place, name)| !types[..place].contains(name));
    if once { Ok(()) } else { Err(("event_types", "must name each type once")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(url: &str) -> NewEndpoint {
        NewEndpoint { url: url.into(), description: None, event_types: None }
    }

    #[test]
    fn a_url_is_stored_as_it_will_be_called() {
        assert_eq!(new("HTTPS://Shop.Example/a b").check(false).unwrap().url, "https://shop.example/a%20b");
        let grows = format!("https://shop.example/{}", " x".repeat(230));
        assert_eq!(new(&grows).check(false).unwrap_err().0, "url");
    }

    #[test]
    fn types_are_those_that_exist_each_once() {
        let with = |types: &[&str]| NewEndpoint {
            event_types: Some(types.iter().map(ToString::to_string).collect()),
            ..new("https://shop.example/")
        };
        assert!(with(&["payment.succeeded", "payment.failed"]).check(false).is_ok());
        for bad in [&[][..], &["payment.exploded"], &["payment.failed", "payment.failed"], &[""]] {
            assert_eq!(with(bad).check(false).unwrap_err().0, "event_types", "{bad:?}");
        }
    }

    #[test]
    fn a_field_that_is_null_is_not_one_that_is_left_out() {
        let change: EndpointChange = serde_json::from_str(r#"{"description":null}"#).unwrap();
        assert_eq!((change.description, change.event_types, change.url), (Some(None), None, None));
        assert!(serde_json::from_str::<EndpointChange>(r#"{"status":"ENABLED"}"#).is_err());
    }

    #[test]
    fn a_description_that_cannot_be_stored_is_refused() {
        for bad in ["x".repeat(501), "a\0b".to_owned()] {
            let endpoint = NewEndpoint { description: Some(bad), ..new("https://shop.example/") };
            assert_eq!(endpoint.check(false).unwrap_err().0, "description");
        }
    }
}
