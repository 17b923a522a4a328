//! `/v1/admin/providers`, `/v1/admin/attempts` and what waits for a person.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use chrono::{DateTime, Utc};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Administrator;
use crate::administration::attempts::{self, OpenOutcome, ResolvedJson, Subject};
use crate::administration::providers::{self, ProviderJson};
use crate::administration::{Actor, AdminError};
use crate::gateway::Gateway;
use crate::gateway::body::Document;
use crate::gateway::page::invalid;
use crate::gateway::problem::Problem;
use crate::gateway::query::Params;
use crate::processor::resolve::Finding;

/// The providers.
#[derive(Serialize, ToSchema)]
pub(super) struct Providers {
    /// In the order in which they are asked.
    data: Vec<ProviderJson>,
}

/// How far back.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Window {
    /// The attempts of so many minutes, 15 if absent.
    #[param(minimum = 1, maximum = 10080)]
    minutes: Option<u16>,
}

/// List providers, and how they did lately
#[utoipa::path(get, path = "/v1/admin/providers", operation_id = "list_providers", tag = "Administration", params(Window),
    responses((status = 200, description = "The providers", body = Providers)))]
pub(super) async fn providers(
    State(gateway): State<Arc<Gateway>>,
    _: Administrator,
    Params(window): Params<Window>,
) -> Result<Json<Providers>, Problem> {
    let minutes = i32::from(window.minutes.unwrap_or(15));
    if !(1..=10_080).contains(&minutes) {
        return Err(invalid("minutes must be between 1 and 10080", "minutes"));
    }
    Ok(Json(Providers { data: providers::list(&gateway.app.pool, minutes).await? }))
}

/// What nobody knows the outcome of.
#[derive(Serialize, ToSchema)]
pub(super) struct OpenOutcomes {
    /// The oldest first; a thousand at most.
    data: Vec<OpenOutcome>,
}

/// How old.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Age {
    /// Open for at least so many seconds.
    older_than_s: Option<u32>,
}

/// List outcomes that nobody knows, and what waits for a person
#[utoipa::path(get, path = "/v1/admin/attempts", operation_id = "list_open_outcomes", tag = "Administration", params(Age),
    responses((status = 200, description = "What is open", body = OpenOutcomes)))]
pub(super) async fn list(
    State(gateway): State<Arc<Gateway>>,
    _: Administrator,
    Params(age): Params<Age>,
) -> Result<Json<OpenOutcomes>, Problem> {
    let older_than_s = i64::from(age.older_than_s.unwrap_or(0));
    Ok(Json(OpenOutcomes { data: attempts::list(&gateway.app.pool, older_than_s).await? }))
}

/// What a person found out at the provider.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, tag = "outcome", rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum Resolution {
    /// The provider did it: took the amount, holds it, gave it back or free.
    Approved {
        /// The provider's name for the charge, or for what was done to it.
        #[schema(min_length = 1, max_length = 255)]
        reference: String,
        /// Until when the provider holds the amount, for a payment that is captured later.
        #[serde(default)]
        authorized_until: Option<DateTime<Utc>>,
        /// How that was found out.
        #[schema(min_length = 1, max_length = 500)]
        reason: String,
    },
    /// It did not, and will not.
    Declined {
        /// The provider's word for its refusal.
        #[schema(min_length = 1, max_length = 50)]
        code: String,
        /// How that was found out.
        #[schema(min_length = 1, max_length = 500)]
        reason: String,
    },
}

/// Say what became of an attempt, capture, refund or void
///
/// After asking at the provider. It ends the payment or the operation, and cannot be undone.
#[utoipa::path(post, path = "/v1/admin/attempts/{id}/resolve", operation_id = "resolve_attempt", tag = "Administration",
    request_body = Resolution, params(("id" = String, Path, description = "The attempt, capture, refund or void")),
    responses((status = 200, description = "What became of the payment", body = ResolvedJson)))]
pub(super) async fn resolve(
    State(gateway): State<Arc<Gateway>>,
    Administrator(actor): Administrator,
    Path(id): Path<String>,
    Document(resolution): Document<Resolution>,
) -> Result<Json<ResolvedJson>, Problem> {
    let id: Subject = id.parse().map_err(|error: AdminError| Problem::not_found("not_found", error.to_string()))?;
    let (finding, reason) = match resolution {
        Resolution::Approved { reference, authorized_until, reason } => {
            (Finding::Approved { reference, authorized_until }, reason)
        }
        Resolution::Declined { code, reason } => {
            (Finding::Declined { code, message: "the provider did not take the payment".to_owned() }, reason)
        }
    };
    let actor = Actor::new(actor.name(), Some(reason))?;
    Ok(Json(attempts::resolve(&gateway.app.pool, &actor, id, &finding, &gateway.app.release).await?))
}

/// Try what waits for a person again
#[utoipa::path(post, path = "/v1/admin/parked/{id}/retry", operation_id = "retry_parked", tag = "Administration",
    params(("id" = String, Path, description = "The payment, attempt, capture, refund or void")),
    responses((status = 204, description = "It is tried again")))]
pub(super) async fn retry(
    State(gateway): State<Arc<Gateway>>,
    Administrator(actor): Administrator,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    attempts::retry(&gateway.app.pool, &actor, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}
