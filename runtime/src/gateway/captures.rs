//! `POST` and `GET /v1/payments/{id}/captures`, and one of them.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Gateway;
use super::auth::Caller;
use super::body::OptionalDocument;
use super::idempotent::Write;
use super::openapi::Prefer;
use super::operations::Asked;
use super::page::List;
use super::problem::Problem;
use super::query::Params;
use crate::ids::{CaptureId, IdError, MerchantId, PaymentId};
use crate::money::normalized;
use crate::operations::{Kind, OperationJson, Request, store};
use crate::page::Page;
use crate::payments;

const PATH: &str = "POST /v1/payments/{id}/captures";

/// A capture to be, as a merchant writes it.
#[derive(Default, Deserialize, ToSchema)]
#[schema(as = NewCapture)]
#[serde(default, deny_unknown_fields)]
pub(super) struct CaptureRequest {
    /// How much of what is held, in major units of the payment's currency; all that is left if absent.
    #[schema(pattern = "^(0|[1-9][0-9]{0,11})([.][0-9]{1,4})?$", example = "4.20")]
    amount: Option<String>,
    /// Whether what is not taken is given free: then no further capture is possible.
    #[serde(rename = "final")]
    is_final: bool,
}

#[derive(Serialize)]
struct Meaning<'a> {
    payment_id: PaymentId,
    amount: Option<&'a str>,
    is_final: bool,
}

/// Which captures are listed.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Listed {
    /// How many at most.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<u32>,
    /// Only those made before this one.
    #[param(value_type = Option<CaptureId>)]
    starting_after: Option<String>,
    /// Only those made after this one.
    #[param(value_type = Option<CaptureId>)]
    ending_before: Option<String>,
}

/// Capture a payment
///
/// Takes what is held, or a part of it. Accepted means that the amount is reserved and the capture committed; the answer
/// carries its end when that comes within the wait, else a capture on its way.
#[utoipa::path(post, path = "/v1/payments/{id}/captures", operation_id = "create_capture", tag = "Captures",
    request_body = CaptureRequest,
    params(("id" = PaymentId, Path, description = "The payment"), Prefer),
    responses(
        (status = 201, description = "The capture at its end, SUCCEEDED or FAILED", body = OperationJson, headers(("Location"), ("Idempotent-Replayed"))),
        (status = 202, description = "The capture on its way", body = OperationJson, headers(("Location"), ("Idempotent-Replayed"))),
    ))]
pub(super) async fn create(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
    OptionalDocument(asked): OptionalDocument<CaptureRequest>,
) -> Result<Response, Problem> {
    let payment = payment_id(&id)?;
    let CaptureRequest { amount, is_final } = asked;
    let meaning = Meaning { payment_id: payment, amount: amount.as_deref().map(normalized), is_final };
    let write = Write::new(caller.0.id, &headers, PATH, &meaning)?;
    if let Err(problem) = caller.active() {
        // What was accepted once is answered as it was then.
        return gateway.known(&write).await?.ok_or(problem);
    }
    let request = Request::Capture { amount, is_final };
    gateway.operate(&write, Asked { payment, in_path: true, request, reason: None }).await
}

/// List the captures of a payment
#[utoipa::path(get, path = "/v1/payments/{id}/captures", operation_id = "list_captures", tag = "Captures",
    params(("id" = PaymentId, Path, description = "The payment"), Listed),
    responses((status = 200, description = "Captures, the newest first", body = List<OperationJson>)))]
pub(super) async fn list(
    State(gateway): State<Arc<Gateway>>,
    Caller(merchant): Caller,
    Path(id): Path<String>,
    Params(listed): Params<Listed>,
) -> Result<Response, Problem> {
    let (after, before) = (listed.starting_after.as_deref(), listed.ending_before.as_deref());
    let page = Page::of::<CaptureId>(listed.limit, after, before)?;
    let payment = existing(&gateway, &id, merchant.id).await?;
    gateway.list_operations(merchant.id, Kind::Capture, Some(payment), &page).await
}

/// Get a capture
#[utoipa::path(get, path = "/v1/payments/{id}/captures/{capture_id}", operation_id = "get_capture", tag = "Captures",
    params(("id" = PaymentId, Path, description = "The payment"), ("capture_id" = CaptureId, Path, description = "The capture")),
    responses((status = 200, description = "The capture", body = OperationJson)))]
pub(super) async fn read(
    State(gateway): State<Arc<Gateway>>,
    Caller(merchant): Caller,
    Path((id, capture_id)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let payment = payment_id(&id)?;
    let unknown = |detail: &str| Problem::not_found("capture_not_found", detail);
    let capture_id: CaptureId = capture_id.parse().map_err(|error: IdError| unknown(&error.to_string()))?;
    let found = store::find(&gateway.app.pool, capture_id.as_uuid(), Kind::Capture, merchant.id).await?;
    let capture = found.filter(|capture| capture.payment_id == payment);
    let capture = capture.ok_or_else(|| unknown("this payment has no such capture"))?;
    Ok(Json(OperationJson::of(&capture)).into_response())
}

/// The payment that a path names.
///
/// # Errors
/// When it is no id of a payment, so that there is none.
pub(super) fn payment_id(id: &str) -> Result<PaymentId, Problem> {
    id.parse().map_err(|error: IdError| Problem::not_found("payment_not_found", error.to_string()))
}

async fn existing(gateway: &Gateway, id: &str, merchant: MerchantId) -> Result<PaymentId, Problem> {
    let id = payment_id(id)?;
    let found = payments::store::find(&gateway.app.pool, id, merchant).await?;
    let payment = found.ok_or_else(|| Problem::not_found("payment_not_found", "this merchant has no such payment"))?;
    Ok(payment.id)
}
