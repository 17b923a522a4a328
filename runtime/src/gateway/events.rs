//! `GET /v1/events` and `GET /v1/events/{id}`.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use http::{HeaderValue, header};
use serde::Deserialize;
use utoipa::ToSchema;

use super::Gateway;
use super::auth::Caller;
use super::page::{List, Page, invalid};
use super::problem::Problem;
use super::query::Params;
use crate::events::EventType;
use crate::events::list::{self, Filter, Told};
use crate::ids::{EventId, IdError, PaymentId};
use crate::operations::OperationJson;
use crate::payments::PaymentJson;
use crate::webhooks::WebhookEndpoint;

/// Something that happened, as it is posted to endpoints.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes what is stored as text, and given out as it is stored")]
pub(super) struct EventDocument<'a> {
    /// Also the `webhook-id` of each delivery: the same event may be delivered twice.
    id: EventId,
    /// What happened.
    r#type: EventType,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    created_at: DateTime<Utc>,
    /// 1, 2, … within the payment; 0 for what is about no payment.
    sequence: i32,
    /// What it happened to, as it was right afterwards.
    data: EventData<'a>,
}

#[derive(ToSchema)]
#[allow(dead_code, reason = "as EventDocument")]
struct EventData<'a> {
    /// The payment.
    #[schema(required = false)]
    payment: Option<PaymentJson<'a>>,
    /// The capture, refund or void that came to its end.
    #[schema(required = false)]
    operation: Option<OperationJson<'a>>,
    /// The endpoint that was disabled.
    #[schema(required = false)]
    webhook_endpoint: Option<WebhookEndpoint>,
}

/// Which events.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    /// How many, 20 if absent.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
    /// Older than this event.
    #[param(value_type = Option<EventId>)]
    starting_after: Option<String>,
    /// Newer than this event.
    #[param(value_type = Option<EventId>)]
    ending_before: Option<String>,
    /// Of this type, as in `payment.succeeded`.
    #[param(value_type = Option<EventType>)]
    r#type: Option<String>,
    /// Of this payment.
    payment_id: Option<PaymentId>,
    /// Happened at this time or later.
    #[serde(rename = "created[gte]")]
    created_gte: Option<DateTime<Utc>>,
    /// Happened before this time.
    #[serde(rename = "created[lt]")]
    created_lt: Option<DateTime<Utc>>,
}

impl ListQuery {
    fn filter(self) -> Result<Filter, Problem> {
        if self.r#type.as_ref().is_some_and(|name| EventType::ALL.iter().all(|known| known.as_str() != name)) {
            return Err(invalid("type must be a type of event such as payment.succeeded", "type"));
        }
        let Self { r#type: kind, payment_id, created_gte, created_lt, .. } = self;
        Ok(Filter { kind, payment_id, created_gte, created_lt })
    }
}

/// List events
///
/// Newest first: what happened, whether or not an endpoint was told of it.
#[utoipa::path(get, path = "/v1/events", operation_id = "list_events", tag = "Events", params(ListQuery),
    responses((status = 200, description = "A page of events", body = List<EventDocument>)))]
pub(super) async fn list(
    State(gateway): State<Arc<Gateway>>,
    Caller(merchant): Caller,
    Params(query): Params<ListQuery>,
) -> Result<Response, Problem> {
    let page = Page::of::<EventId>(query.limit, query.starting_after.as_deref(), query.ending_before.as_deref())?;
    let (merchant, filter) = (merchant.id, query.filter()?);
    let (filter, asked) = (&filter, &page);
    let read = gateway.app.reads.answer(|mut at| async move { list::list(&mut *at, merchant, filter, asked).await });
    let (shown, has_more) = page.shown(read.await?);
    let next = if has_more { page.last(&shown).map(|told| told.id) } else { None };
    Ok(json(join(&shown, has_more, next)))
}

/// The page as text: the events are given out byte for byte, as they were sent.
fn join(shown: &[Told], has_more: bool, next: Option<EventId>) -> String {
    let events = shown.iter().map(|told| told.payload.as_str()).collect::<Vec<_>>().join(",");
    let next = next.map(|id| format!(r#","next_cursor":"{id}""#)).unwrap_or_default();
    format!(r#"{{"data":[{events}],"has_more":{has_more}{next}}}"#)
}

/// Get an event
///
/// Byte for byte as it is delivered, so that its signature can be checked again.
#[utoipa::path(get, path = "/v1/events/{id}", operation_id = "get_event", tag = "Events",
    params(("id" = EventId, Path, description = "The event")),
    responses((status = 200, description = "The event", body = EventDocument)))]
pub(super) async fn read(
    State(gateway): State<Arc<Gateway>>,
    Caller(merchant): Caller,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let id: EventId = id.parse().map_err(|error: IdError| Problem::not_found("event_not_found", error.to_string()))?;
    let found = list::find(&gateway.app.pool, id, merchant.id).await?;
    let missing = || Problem::not_found("event_not_found", "this merchant has no such event");
    Ok(json(found.ok_or_else(missing)?.payload))
}

fn json(text: String) -> Response {
    ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], text).into_response()
}
