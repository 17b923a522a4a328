//! `/v1/admin/fraud-rules`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Administrator;
use crate::administration::fraud_rules::{self, RuleChange, RuleJson};
use crate::gateway::Gateway;
use crate::gateway::body::Document;
use crate::gateway::problem::Problem;

/// What payments are judged by.
#[derive(Serialize, ToSchema)]
pub(super) struct FraudRules {
    /// By name.
    data: Vec<RuleJson>,
}

/// List fraud rules
#[utoipa::path(get, path = "/v1/admin/fraud-rules", operation_id = "list_fraud_rules", tag = "Administration",
    responses((status = 200, description = "The rules", body = FraudRules)))]
pub(super) async fn list(State(gateway): State<Arc<Gateway>>, _: Administrator) -> Result<Json<FraudRules>, Problem> {
    Ok(Json(FraudRules { data: fraud_rules::list(&gateway.app.pool).await? }))
}

/// Write a fraud rule
///
/// New, or in place of the one with its name. What is no rule is refused; a rule counts everywhere within seconds.
#[utoipa::path(put, path = "/v1/admin/fraud-rules/{name}", operation_id = "set_fraud_rule", tag = "Administration",
    request_body = RuleChange, params(("name" = String, Path, description = "The rule's name")),
    responses((status = 200, description = "The rule", body = RuleJson)))]
pub(super) async fn set(
    State(gateway): State<Arc<Gateway>>,
    Administrator(actor): Administrator,
    Path(name): Path<String>,
    Document(change): Document<RuleChange>,
) -> Result<Json<RuleJson>, Problem> {
    Ok(Json(fraud_rules::set(&gateway.app.pool, &actor, &name, &change).await?))
}

/// Whether a rule counts.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Enabled {
    enabled: bool,
}

/// Let a fraud rule count, or not
#[utoipa::path(patch, path = "/v1/admin/fraud-rules/{name}", operation_id = "enable_fraud_rule", tag = "Administration",
    request_body = Enabled, params(("name" = String, Path, description = "The rule's name")),
    responses((status = 200, description = "The rule", body = RuleJson)))]
pub(super) async fn enable(
    State(gateway): State<Arc<Gateway>>,
    Administrator(actor): Administrator,
    Path(name): Path<String>,
    Document(Enabled { enabled }): Document<Enabled>,
) -> Result<Json<RuleJson>, Problem> {
    Ok(Json(fraud_rules::enable(&gateway.app.pool, &actor, &name, enabled).await?))
}

/// Remove a fraud rule
#[utoipa::path(delete, path = "/v1/admin/fraud-rules/{name}", operation_id = "delete_fraud_rule", tag = "Administration",
    params(("name" = String, Path, description = "The rule's name")), responses((status = 204, description = "It is gone")))]
pub(super) async fn delete(
    State(gateway): State<Arc<Gateway>>,
    Administrator(actor): Administrator,
    Path(name): Path<String>,
) -> Result<StatusCode, Problem> {
    fraud_rules::delete(&gateway.app.pool, &actor, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}
