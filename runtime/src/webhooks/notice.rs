//! The notice that an endpoint was disabled, for the merchant's other endpoints and the list of events.

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::WebhookEndpoint;
use crate::events::{Event, EventType};
use crate::ids::EventId;
use crate::payments::json::millis;

#[derive(Serialize)]
struct Document<'a> {
    id: EventId,
    r#type: &'static str,
    #[serde(serialize_with = "millis")]
    created_at: DateTime<Utc>,
    sequence: i32,
    data: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    webhook_endpoint: &'a WebhookEndpoint,
}

/// The event that tells of an endpoint which was disabled.
///
/// # Errors
/// When it cannot be written as JSON, which does not happen to texts and numbers.
pub(super) fn disabled(endpoint: &WebhookEndpoint, now: DateTime<Utc>) -> Result<Event, serde_json::Error> {
    let (id, kind) = (EventId::at(now), EventType::WebhookEndpointDisabled);
    let data = Data { webhook_endpoint: endpoint };
    let document = Document { id, r#type: kind.as_str(), created_at: id.created_at(), sequence: 0, data };
    Ok(Event {
        id,
        merchant_id: endpoint.merchant_id,
        kind,
        payment_id: None,
        operation_id: None,
        sequence: 0,
        payload: serde_json::to_string(&document)?,
    })
}
