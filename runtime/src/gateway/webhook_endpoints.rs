//! `/v1/webhook-endpoints`: making, reading and changing them.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::Response;
use chrono::{DateTime, Utc};
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use sqlx::postgres::PgConnection;
use utoipa::ToSchema;

use super::Gateway;
use super::auth::Caller;
use super::body::Document;
use super::etag::{self, Kept};
use super::idempotent::{Begun, Write};
use super::page::{List, Page};
use super::problem::Problem;
use super::query::Params;
use crate::database::Pool;
use crate::ids::{MerchantId, WebhookEndpointId};
use crate::webhooks::endpoint::EndpointChange;
use crate::webhooks::secret::WebhookSecret;
use crate::webhooks::store::{self, CreateError};
use crate::webhooks::{NewEndpoint, WebhookEndpoint, bell};

/// An endpoint and its secret, which is shown this once.
#[derive(Serialize, ToSchema)]
pub(super) struct EndpointWithSecret {
    #[serde(flatten)]
    endpoint: WebhookEndpoint,
    /// Signs what is sent, as in Standard Webhooks. It is not shown again.
    #[schema(example = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD")]
    secret: String,
}

impl EndpointWithSecret {
    pub(super) fn new(endpoint: WebhookEndpoint, secret: &WebhookSecret) -> Self {
        Self { endpoint, secret: secret.expose().to_owned() }
    }
}

/// Which endpoints.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    /// How many, 20 if absent.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
    /// Older than this endpoint.
    #[param(value_type = Option<WebhookEndpointId>)]
    starting_after: Option<String>,
    /// Newer than this endpoint.
    #[param(value_type = Option<WebhookEndpointId>)]
    ending_before: Option<String>,
}

/// Make a webhook endpoint
///
/// Events are posted to it from now on, signed with the secret in this answer. A merchant has at most 16.
#[utoipa::path(post, path = "/v1/webhook-endpoints", operation_id = "create_webhook_endpoint", tag = "Webhook endpoints",
    request_body = NewEndpoint,
    responses((status = 201, description = "The endpoint and its secret", body = EndpointWithSecret, headers(("Location"), ("Idempotent-Replayed")))))]
pub(super) async fn create(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    headers: HeaderMap,
    Document(new): Document<NewEndpoint>,
) -> Result<Response, Problem> {
    let merchant = caller.active()?;
    let new = new.check(gateway.app.config.webhooks.allow_private_addresses)?;
    let write = Write::new(merchant.id, &headers, "POST /v1/webhook-endpoints", &new)?;
    let mut creation = match gateway.begin(&write).await? {
        Begun::Fresh(creation) => creation,
        Begun::Answered(response) => return Ok(response),
    };
    let secret = WebhookSecret::generate(&mut rand::rng());
    let endpoint = match store::create(creation.connection(), merchant.id, &new, &secret, Utc::now()).await {
        Ok(endpoint) => endpoint,
        Err(error @ CreateError::TooMany) => {
            return Err(Problem::unprocessable("too_many_webhook_endpoints", error.to_string()));
        }
        Err(CreateError::Database(error)) => return Err(error.into()),
    };
    let location = format!("/v1/webhook-endpoints/{}", endpoint.id);
    creation.finish(&write, StatusCode::CREATED, location, &EndpointWithSecret::new(endpoint, &secret)).await
}

/// List webhook endpoints
///
/// Newest first.
#[utoipa::path(get, path = "/v1/webhook-endpoints", operation_id = "list_webhook_endpoints", tag = "Webhook endpoints", params(ListQuery),
    responses((status = 200, description = "A page of endpoints", body = List<WebhookEndpoint>)))]
pub(super) async fn list(
    State(gateway): State<Arc<Gateway>>,
    Caller(merchant): Caller,
    Params(query): Params<ListQuery>,
) -> Result<Json<List<WebhookEndpoint>>, Problem> {
    let (after, before) = (query.starting_after.as_deref(), query.ending_before.as_deref());
    let page = Page::of::<WebhookEndpointId>(query.limit, after, before)?;
    let endpoints = store::list(&gateway.app.pool, merchant.id, &page).await?;
    Ok(Json(page.list(endpoints, |endpoint| endpoint.id.to_string())))
}

/// Get a webhook endpoint
#[utoipa::path(get, path = "/v1/webhook-endpoints/{id}", operation_id = "get_webhook_endpoint", tag = "Webhook endpoints",
    params(("id" = WebhookEndpointId, Path, description = "The endpoint")),
    responses((status = 200, description = "The endpoint", body = WebhookEndpoint, headers(("ETag")))))]
pub(super) async fn read(
    State(gateway): State<Arc<Gateway>>,
    Caller(merchant): Caller,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    // Always whole: its figures change by themselves, and its tag does not.
    etag::read::<WebhookEndpoint>(&gateway, merchant.id, &id, &HeaderMap::new()).await
}

/// Change a webhook endpoint
///
/// What is absent stays as it is. With `If-Match`, only if nobody changed the endpoint meanwhile.
#[utoipa::path(patch, path = "/v1/webhook-endpoints/{id}", operation_id = "update_webhook_endpoint", tag = "Webhook endpoints",
    request_body = EndpointChange,
    params(("id" = WebhookEndpointId, Path, description = "The endpoint"), ("If-Match" = Option<String>, Header, description = "The ETag of what you read")),
    responses(
        (status = 200, description = "The endpoint as it is now", body = WebhookEndpoint, headers(("ETag"))),
        (status = 412, description = "The endpoint was changed meanwhile"),
    ))]
pub(super) async fn update(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
    Document(change): Document<EndpointChange>,
) -> Result<Response, Problem> {
    let merchant = caller.active()?;
    let change = change.check(gateway.app.config.webhooks.allow_private_addresses)?;
    etag::patch::<WebhookEndpoint>(&gateway, merchant.id, &id, &headers, &change).await
}

/// Remove a webhook endpoint
///
/// What was still to be delivered to it is dropped.
#[utoipa::path(delete, path = "/v1/webhook-endpoints/{id}", operation_id = "delete_webhook_endpoint", tag = "Webhook endpoints",
    params(("id" = WebhookEndpointId, Path, description = "The endpoint")),
    responses((status = 204, description = "It is gone")))]
pub(super) async fn delete(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let merchant = caller.active()?;
    let id = etag::parse::<WebhookEndpoint>(&id)?;
    if !store::delete(&gateway.app.pool, id, merchant.id).await? {
        return Err(etag::missing::<WebhookEndpoint>());
    }
    WebhookEndpoint::announce(&gateway, id).await;
    Ok(StatusCode::NO_CONTENT)
}

impl Kept for WebhookEndpoint {
    type Id = WebhookEndpointId;
    type Change = EndpointChange;
    const MISSING: (&'static str, &'static str) =
        ("webhook_endpoint_not_found", "this merchant has no such webhook endpoint");

    fn updated_at(&self) -> DateTime<Utc> {
        self.updated_at
    }

    async fn find(pool: &Pool, id: WebhookEndpointId, merchant: MerchantId) -> Result<Option<Self>, sqlx::Error> {
        store::find(pool, id, merchant).await
    }

    async fn hold(
        connection: &mut PgConnection,
        id: WebhookEndpointId,
        merchant: MerchantId,
    ) -> Result<Option<Self>, Problem> {
        Ok(store::hold(connection, id, merchant).await?)
    }

    async fn change(self, connection: &mut PgConnection, change: &EndpointChange) -> Result<Self, Problem> {
        Ok(store::update(connection, self.id, change, Utc::now()).await?)
    }

    async fn announce(gateway: &Gateway, id: WebhookEndpointId) {
        bell::announce_change(&gateway.app.pool, id).await;
    }
}
