//! `POST` and `GET /v1/refunds`, and one of them.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Gateway;
use super::auth::Caller;
use super::body::Document;
use super::idempotent::Write;
use super::openapi::Prefer;
use super::operations::{Asked, check_reason};
use super::page::List;
use super::problem::Problem;
use super::query::Params;
use crate::ids::{IdError, PaymentId, RefundId};
use crate::money::normalized;
use crate::operations::{Kind, OperationJson, Request, store};
use crate::page::Page;

const PATH: &str = "POST /v1/refunds";

/// A refund to be, as a merchant writes it.
#[derive(Deserialize, ToSchema)]
#[schema(as = NewRefund)]
#[serde(deny_unknown_fields)]
pub(super) struct RefundRequest {
    /// What is given back.
    payment_id: PaymentId,
    /// How much of what was taken, in major units of the payment's currency; all that is left if absent.
    #[serde(default)]
    #[schema(pattern = "^(0|[1-9][0-9]{0,11})([.][0-9]{1,4})?$", example = "4.20")]
    amount: Option<String>,
    /// Why, in the merchant's words.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 500)]
    reason: Option<String>,
}

#[derive(Serialize)]
struct Meaning<'a> {
    payment_id: PaymentId,
    amount: Option<&'a str>,
    reason: Option<&'a str>,
}

/// Which refunds are listed.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Listed {
    /// Only those of this payment.
    #[param(value_type = Option<PaymentId>)]
    payment_id: Option<String>,
    /// How many at most.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<u32>,
    /// Only those made before this one.
    #[param(value_type = Option<RefundId>)]
    starting_after: Option<String>,
    /// Only those made after this one.
    #[param(value_type = Option<RefundId>)]
    ending_before: Option<String>,
}

/// Refund a payment
///
/// Gives back what was taken, or a part of it. Accepted means that the amount is reserved and the refund committed; the
/// answer carries its end when that comes within the wait, else a refund on its way. The platform's fee is not given back.
#[utoipa::path(post, path = "/v1/refunds", operation_id = "create_refund", tag = "Refunds", request_body = RefundRequest,
    params(Prefer),
    responses(
        (status = 201, description = "The refund at its end, SUCCEEDED or FAILED", body = OperationJson, headers(("Location"), ("Idempotent-Replayed"))),
        (status = 202, description = "The refund on its way", body = OperationJson, headers(("Location"), ("Idempotent-Replayed"))),
    ))]
pub(super) async fn create(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    headers: HeaderMap,
    Document(asked): Document<RefundRequest>,
) -> Result<Response, Problem> {
    let merchant = caller.giving_back()?;
    check_reason(asked.reason.as_deref())?;
    let RefundRequest { payment_id, amount, reason } = asked;
    let meaning = Meaning { payment_id, amount: amount.as_deref().map(normalized), reason: reason.as_deref() };
    let write = Write::new(merchant.id, &headers, PATH, &meaning)?;
    let request = Request::Refund { amount };
    gateway.operate(&write, Asked { payment: payment_id, in_path: false, request, reason }).await
}

/// List refunds
#[utoipa::path(get, path = "/v1/refunds", operation_id = "list_refunds", tag = "Refunds", params(Listed),
    responses((status = 200, description = "Refunds, the newest first", body = List<OperationJson>)))]
pub(super) async fn list(
    State(gateway): State<Arc<Gateway>>,
    Caller(merchant): Caller,
    Params(listed): Params<Listed>,
) -> Result<Response, Problem> {
    let (after, before) = (listed.starting_after.as_deref(), listed.ending_before.as_deref());
    let page = Page::of::<RefundId>(listed.limit, after, before)?;
    let invalid = |error: IdError| Problem::bad_request("invalid_parameter", error.to_string()).param("payment_id");
    let payment = listed.payment_id.map(|id| id.parse::<PaymentId>()).transpose().map_err(invalid)?;
    gateway.list_operations(merchant.id, Kind::Refund, payment, &page).await
}

/// Get a refund
#[utoipa::path(get, path = "/v1/refunds/{id}", operation_id = "get_refund", tag = "Refunds",
    params(("id" = RefundId, Path, description = "The refund")),
    responses((status = 200, description = "The refund", body = OperationJson)))]
pub(super) async fn read(
    State(gateway): State<Arc<Gateway>>,
    Caller(merchant): Caller,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let unknown = |detail: &str| Problem::not_found("refund_not_found", detail);
    let id: RefundId = id.parse().map_err(|error: IdError| unknown(&error.to_string()))?;
    let found = store::find(&gateway.app.pool, id.as_uuid(), Kind::Refund, merchant.id).await?;
    let refund = found.ok_or_else(|| unknown("this merchant has no such refund"))?;
    Ok(Json(OperationJson::of(&refund)).into_response())
}
