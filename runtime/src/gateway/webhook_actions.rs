//! What is done with a webhook endpoint: a new secret, events once more, use after it was disabled.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use chrono::{DateTime, DurationRound, SecondsFormat, TimeDelta, Utc};
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Gateway;
use super::auth::Caller;
use super::body::Document;
use super::etag;
use super::idempotent::{Begun, Write};
use super::problem::Problem;
use super::webhook_endpoints::EndpointWithSecret;
use crate::events::EventType;
use crate::ids::WebhookEndpointId;
use crate::webhooks::endpoint::check_event_types;
use crate::webhooks::replay::{Replay, replay as queue_again};
use crate::webhooks::secret::WebhookSecret;
use crate::webhooks::{EndpointStatus, WebhookEndpoint, bell, store};

/// How long both secrets may live.
const OVERLAP_HOURS_MAX: u32 = 72;

/// A new secret.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Rotation {
    /// For how long the secret before signs as well; 24 if absent, 0 to end it at once.
    #[serde(default = "a_day")]
    #[schema(minimum = 0, maximum = 72, default = 24)]
    overlap_hours: u32,
}

const fn a_day() -> u32 {
    24
}

/// Give a webhook endpoint a new secret
///
/// Deliveries carry two signatures until the old secret ends, so that the receiver has time to change.
#[utoipa::path(post, path = "/v1/webhook-endpoints/{id}/rotate-secret", operation_id = "rotate_webhook_secret", tag = "Webhook endpoints",
    request_body = Rotation, params(("id" = WebhookEndpointId, Path, description = "The endpoint")),
    responses((status = 200, description = "The endpoint and its new secret", body = EndpointWithSecret, headers(("Idempotent-Replayed")))))]
pub(super) async fn rotate(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
    Document(rotation): Document<Rotation>,
) -> Result<Response, Problem> {
    let merchant = caller.active()?;
    let id = etag::parse::<WebhookEndpoint>(&id)?;
    if rotation.overlap_hours > OVERLAP_HOURS_MAX {
        return Err(("overlap_hours", "must be between 0 and 72").into());
    }
    let write = Write::new(merchant.id, &headers, "POST /v1/webhook-endpoints/{id}/rotate-secret", &(id, &rotation))?;
    let mut creation = match gateway.begin(&write).await? {
        Begun::Fresh(creation) => creation,
        Begun::Answered(response) => return Ok(response),
    };
    let secret = WebhookSecret::generate(&mut rand::rng());
    let overlap = TimeDelta::hours(rotation.overlap_hours.into());
    let rotated = store::rotate(creation.connection(), id, merchant.id, &secret, overlap, Utc::now()).await?;
    let document = EndpointWithSecret::new(rotated.ok_or_else(etag::missing::<WebhookEndpoint>)?, &secret);
    let response = creation.finish(&write, StatusCode::OK, location(id), &document).await?;
    bell::announce_change(&gateway.app.pool, id).await;
    Ok(response)
}

/// Events that are to be sent once more.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ReplayRequest {
    /// Of this time and later.
    #[schema(value_type = String, format = DateTime)]
    from: DateTime<Utc>,
    /// Before this time; until now if absent.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    to: Option<DateTime<Utc>>,
    /// Only these types, of those that the endpoint wants.
    #[serde(default)]
    #[schema(value_type = Option<Vec<EventType>>, min_items = 1)]
    types: Option<Vec<String>>,
}

/// What is sent once more.
#[derive(Serialize, ToSchema)]
pub(super) struct Replayed {
    /// How many events.
    events: i64,
    /// Whether the span holds more: at most 10,000 are taken at a time.
    has_more: bool,
    /// What to give as `from` for the rest.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_from: Option<String>,
}

/// Send events once more
///
/// Oldest first, with the same `webhook-id`s as before, to this endpoint alone.
#[utoipa::path(post, path = "/v1/webhook-endpoints/{id}/replay", operation_id = "replay_events", tag = "Webhook endpoints",
    request_body = ReplayRequest, params(("id" = WebhookEndpointId, Path, description = "The endpoint")),
    responses((status = 202, description = "They are on their way", body = Replayed, headers(("Idempotent-Replayed")))))]
pub(super) async fn replay(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
    Document(request): Document<ReplayRequest>,
) -> Result<Response, Problem> {
    let merchant = caller.active()?;
    let id = etag::parse::<WebhookEndpoint>(&id)?;
    check_event_types(request.types.as_deref()).map_err(|(_, sentence)| Problem::from(("types", sentence)))?;
    let write = Write::new(merchant.id, &headers, "POST /v1/webhook-endpoints/{id}/replay", &(id, &request))?;
    let to = request.to.unwrap_or_else(Utc::now);
    if request.from >= to {
        return Err(("from", "must be before \"to\", and not in the future").into());
    }
    let mut creation = match gateway.begin(&write).await? {
        Begun::Fresh(creation) => creation,
        Begun::Answered(response) => return Ok(response),
    };
    let endpoint =
        store::find(creation.connection(), id, merchant.id).await?.ok_or_else(etag::missing::<WebhookEndpoint>)?;
    if endpoint.status == EndpointStatus::Disabled {
        let detail = "this endpoint is disabled; enable it first";
        return Err(Problem::new(StatusCode::CONFLICT, "webhook_endpoint_disabled", detail));
    }
    // Events are dated to the millisecond.
    let from = request.from.duration_trunc(TimeDelta::milliseconds(1)).unwrap_or(request.from);
    let wanted = Replay { from, to, types: request.types };
    let (events, last) = queue_again(creation.connection(), &endpoint, &wanted).await?;
    let next_from = last.map(|time| time.to_rfc3339_opts(SecondsFormat::Millis, true));
    let document = Replayed { events, has_more: next_from.is_some(), next_from };
    let response = creation.finish(&write, StatusCode::ACCEPTED, location(id), &document).await?;
    bell::announce(&gateway.app.pool, merchant.id).await;
    Ok(response)
}

/// Enable a webhook endpoint
///
/// Events that happen from now on are sent. What happened while it was disabled can be replayed.
#[utoipa::path(post, path = "/v1/webhook-endpoints/{id}/enable", operation_id = "enable_webhook_endpoint", tag = "Webhook endpoints",
    params(("id" = WebhookEndpointId, Path, description = "The endpoint")),
    responses((status = 200, description = "The endpoint as it is now", body = WebhookEndpoint, headers(("Idempotent-Replayed")))))]
pub(super) async fn enable(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let merchant = caller.active()?;
    let id = etag::parse::<WebhookEndpoint>(&id)?;
    let write = Write::new(merchant.id, &headers, "POST /v1/webhook-endpoints/{id}/enable", &id)?;
    let mut creation = match gateway.begin(&write).await? {
        Begun::Fresh(creation) => creation,
        Begun::Answered(response) => return Ok(response),
    };
    let enabled = store::enable(creation.connection(), id, merchant.id, Utc::now())
        .await?
        .ok_or_else(etag::missing::<WebhookEndpoint>)?;
    let response = creation.finish(&write, StatusCode::OK, location(id), &enabled).await?;
    bell::announce_change(&gateway.app.pool, id).await;
    Ok(response)
}

fn location(id: WebhookEndpointId) -> String {
    format!("/v1/webhook-endpoints/{id}")
}
