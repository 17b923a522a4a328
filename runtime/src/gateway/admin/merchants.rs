//! `/v1/admin/merchants`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use http::StatusCode;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Administrator;
use crate::administration::keys::{self, KeyJson, MadeKey};
use crate::administration::merchants::{self, MadeMerchant, MerchantJson, NewMerchant};
use crate::gateway::Gateway;
use crate::gateway::body::Document;
use crate::gateway::page::{List, Page};
use crate::gateway::problem::Problem;
use crate::gateway::query::Params;
use crate::ids::{IdError, MerchantId};
use crate::merchants::Status;

/// Make a merchant
///
/// Its API key is shown this once.
#[utoipa::path(post, path = "/v1/admin/merchants", operation_id = "create_merchant", tag = "Administration",
    request_body = NewMerchant, responses((status = 201, description = "The merchant and its key", body = MadeMerchant)))]
pub(super) async fn create(
    State(gateway): State<Arc<Gateway>>,
    Administrator(actor): Administrator,
    Document(new): Document<NewMerchant>,
) -> Result<(StatusCode, Json<MadeMerchant>), Problem> {
    let allow_private = gateway.app.config.webhooks.allow_private_addresses;
    let made = merchants::create(&gateway.app.pool, &actor, &new, allow_private).await?;
    Ok((StatusCode::CREATED, Json(made)))
}

/// Which merchants.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    /// How many, 20 if absent.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
    /// Older than this merchant.
    #[param(value_type = Option<MerchantId>)]
    starting_after: Option<String>,
    /// Newer than this merchant.
    #[param(value_type = Option<MerchantId>)]
    ending_before: Option<String>,
}

/// List merchants
#[utoipa::path(get, path = "/v1/admin/merchants", operation_id = "list_merchants", tag = "Administration", params(ListQuery),
    responses((status = 200, description = "A page of merchants", body = List<MerchantJson>)))]
pub(super) async fn list(
    State(gateway): State<Arc<Gateway>>,
    _: Administrator,
    Params(query): Params<ListQuery>,
) -> Result<Json<List<MerchantJson>>, Problem> {
    let page = Page::of::<MerchantId>(query.limit, query.starting_after.as_deref(), query.ending_before.as_deref())?;
    let found = merchants::list(&gateway.app.pool, &page).await?;
    Ok(Json(page.list(found, |merchant| merchant.id.to_string())))
}

/// Get a merchant
#[utoipa::path(get, path = "/v1/admin/merchants/{id}", operation_id = "get_merchant", tag = "Administration",
    params(("id" = MerchantId, Path, description = "The merchant")),
    responses((status = 200, description = "The merchant", body = MerchantJson)))]
pub(super) async fn read(
    State(gateway): State<Arc<Gateway>>,
    _: Administrator,
    Path(id): Path<String>,
) -> Result<Json<MerchantJson>, Problem> {
    Ok(Json(merchants::show(&gateway.app.pool, parse(&id)?).await?))
}

/// A change of a merchant: what is absent stays as it is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct MerchantChange {
    /// Whether it may take payments. INACTIVE is for good.
    #[serde(default)]
    status: Option<Status>,
    /// Share of captures from now on, in percent, as a decimal string.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "2.90")]
    fee_percentage: Option<Decimal>,
}

/// Change a merchant
#[utoipa::path(patch, path = "/v1/admin/merchants/{id}", operation_id = "update_merchant", tag = "Administration",
    request_body = MerchantChange, params(("id" = MerchantId, Path, description = "The merchant")),
    responses((status = 200, description = "The merchant as it is now", body = MerchantJson)))]
pub(super) async fn update(
    State(gateway): State<Arc<Gateway>>,
    Administrator(actor): Administrator,
    Path(id): Path<String>,
    Document(change): Document<MerchantChange>,
) -> Result<Json<MerchantJson>, Problem> {
    let (pool, id) = (&gateway.app.pool, parse(&id)?);
    if let Some(fee) = change.fee_percentage {
        merchants::set_fee(pool, &actor, id, fee).await?;
    }
    if let Some(status) = change.status {
        merchants::set_status(pool, &actor, id, status).await?;
    }
    Ok(Json(merchants::show(pool, id).await?))
}

/// A key to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewKey {
    /// It ends after so many days; never if absent.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 3650)]
    expires_in_days: Option<u32>,
}

/// Make a further key
///
/// It is shown this once.
#[utoipa::path(post, path = "/v1/admin/merchants/{id}/keys", operation_id = "create_key", tag = "Administration",
    request_body = NewKey, params(("id" = MerchantId, Path, description = "The merchant")),
    responses((status = 201, description = "The key", body = MadeKey)))]
pub(super) async fn create_key(
    State(gateway): State<Arc<Gateway>>,
    Administrator(actor): Administrator,
    Path(id): Path<String>,
    Document(new): Document<NewKey>,
) -> Result<(StatusCode, Json<MadeKey>), Problem> {
    let made = keys::create(&gateway.app.pool, &actor, parse(&id)?, new.expires_in_days).await?;
    Ok((StatusCode::CREATED, Json(made)))
}

/// The keys of a merchant.
#[derive(Serialize, ToSchema)]
pub(super) struct Keys {
    /// Those that work now, oldest first.
    data: Vec<KeyJson>,
}

/// List keys
#[utoipa::path(get, path = "/v1/admin/merchants/{id}/keys", operation_id = "list_keys", tag = "Administration",
    params(("id" = MerchantId, Path, description = "The merchant")),
    responses((status = 200, description = "The keys that work now", body = Keys)))]
pub(super) async fn list_keys(
    State(gateway): State<Arc<Gateway>>,
    _: Administrator,
    Path(id): Path<String>,
) -> Result<Json<Keys>, Problem> {
    Ok(Json(Keys { data: keys::list(&gateway.app.pool, parse(&id)?).await? }))
}

/// How a key is replaced.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Rotation {
    /// For so long both work.
    #[schema(minimum = 0, maximum = 720)]
    overlap_hours: u32,
}

/// Replace a merchant's own key
///
/// The new one is shown this once; the one before works for a while yet.
#[utoipa::path(post, path = "/v1/admin/merchants/{id}/keys/rotate", operation_id = "rotate_key", tag = "Administration",
    request_body = Rotation, params(("id" = MerchantId, Path, description = "The merchant")),
    responses((status = 201, description = "The new key", body = MadeKey)))]
pub(super) async fn rotate_key(
    State(gateway): State<Arc<Gateway>>,
    Administrator(actor): Administrator,
    Path(id): Path<String>,
    Document(rotation): Document<Rotation>,
) -> Result<(StatusCode, Json<MadeKey>), Problem> {
    let made = keys::rotate(&gateway.app.pool, &actor, parse(&id)?, rotation.overlap_hours).await?;
    Ok((StatusCode::CREATED, Json(made)))
}

/// End a key
///
/// Within seconds no gateway takes it.
#[utoipa::path(delete, path = "/v1/admin/merchants/{id}/keys/{prefix}", operation_id = "revoke_key", tag = "Administration",
    params(("id" = MerchantId, Path, description = "The merchant"), ("prefix" = String, Path, description = "The key's first characters")),
    responses((status = 204, description = "It is revoked")))]
pub(super) async fn revoke_key(
    State(gateway): State<Arc<Gateway>>,
    Administrator(actor): Administrator,
    Path((id, prefix)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    keys::revoke(&gateway.app.pool, &actor, parse(&id)?, &prefix).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn parse(id: &str) -> Result<MerchantId, Problem> {
    id.parse().map_err(|error: IdError| Problem::not_found("not_found", error.to_string()))
}
