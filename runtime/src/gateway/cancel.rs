//! `POST /v1/payments/{id}/cancel`.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use http::HeaderMap;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Gateway;
use super::auth::Caller;
use super::body::OptionalDocument;
use super::captures::payment_id;
use super::idempotent::Write;
use super::openapi::Prefer;
use super::operations::{Asked, check_reason};
use super::problem::Problem;
use crate::ids::PaymentId;
use crate::operations::Request;
use crate::payments::PaymentJson;

const PATH: &str = "POST /v1/payments/{id}/cancel";

/// Why a payment is given up.
#[derive(Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Cancellation {
    /// In the merchant's words.
    #[schema(min_length = 1, max_length = 500)]
    reason: Option<String>,
}

#[derive(Serialize)]
struct Meaning<'a> {
    payment_id: PaymentId,
    reason: Option<&'a str>,
}

/// Cancel a payment
///
/// Gives up what was not taken yet. A payment that no provider knows of ends at once. Where a provider holds the amount,
/// it gives the rest free, and what was captured stays; the answer carries the payment after that when it comes within
/// the wait. The payment's status says what came of it: one that is still AUTHORIZED was not given free.
#[utoipa::path(post, path = "/v1/payments/{id}/cancel", operation_id = "cancel_payment", tag = "Payments",
    request_body = Cancellation,
    params(("id" = PaymentId, Path, description = "The payment"), Prefer),
    responses(
        (status = 200, description = "The payment afterwards", body = PaymentJson, headers(("Location"), ("Idempotent-Replayed"))),
        (status = 202, description = "The payment while it is being canceled", body = PaymentJson, headers(("Location"), ("Idempotent-Replayed"))),
    ))]
pub(super) async fn cancel(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
    OptionalDocument(asked): OptionalDocument<Cancellation>,
) -> Result<Response, Problem> {
    let merchant = caller.giving_back()?;
    let payment = payment_id(&id)?;
    let reason = asked.reason;
    check_reason(reason.as_deref())?;
    let write = Write::new(merchant.id, &headers, PATH, &Meaning { payment_id: payment, reason: reason.as_deref() })?;
    gateway.operate(&write, Asked { payment, in_path: true, request: Request::Cancel, reason }).await
}
