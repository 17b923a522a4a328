//! `POST /v1/payments`.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use chrono::Utc;
use http::HeaderMap;

use super::Gateway;
use super::auth::Caller;
use super::body::Document;
use super::idempotent::Write;
use super::intake::Acceptance;
use super::openapi::Prefer;
use super::payer;
use super::payment_request::{Checked, PaymentRequest};
use super::problem::Problem;
use crate::idempotency::Subject;
use crate::ids::PaymentId;
use crate::payments::{NewPayment, PaymentJson};

/// Take a payment
///
/// Accepted means committed. The answer carries the end when it comes within the wait, else a payment on its way.
#[utoipa::path(post, path = "/v1/payments", operation_id = "create_payment", tag = "Payments", request_body = PaymentRequest,
    params(Prefer),
    responses(
        (status = 201, description = "The payment at its end", body = PaymentJson, headers(("Location"), ("Idempotent-Replayed"))),
        (status = 202, description = "The payment on its way", body = PaymentJson, headers(("Location"), ("Idempotent-Replayed"))),
    ))]
pub(super) async fn create(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    headers: HeaderMap,
    Document(request): Document<PaymentRequest>,
) -> Result<Response, Problem> {
    let request = request.check()?;
    let write = Write::new(caller.0.id, &headers, "POST /v1/payments", &request)?;
    let checked = match caller.active() {
        Ok(_) => check(&gateway, &write, request).await,
        Err(problem) => Err(problem),
    };
    let new = match checked {
        Ok(new) => new,
        // What was accepted once is answered as it was then, whatever became of merchant and payer meanwhile.
        Err(problem) => return gateway.known(&write).await?.ok_or(problem),
    };
    let waiter = gateway.waiters.wait_for(&write.request, Subject::Payment(new.id));
    let draft = gateway.express.begin(&new).await;
    match gateway.intake.accept(new, draft).await {
        Ok(Acceptance::Accepted) => gateway.answer(&write, waiter).await,
        Ok(Acceptance::KeyInUse) => gateway.answer_again(&write).await,
        Err(problem) => gateway.known_or(&write, problem).await,
    }
}

/// Checks what the request alone does not tell.
async fn check(gateway: &Gateway, write: &Write, request: Checked) -> Result<NewPayment, Problem> {
    let now = Utc::now();
    let user_id = payer::of(&gateway.app.copies, write.request.merchant_id, &request, now.date_naive()).await?;
    Ok(NewPayment {
        id: PaymentId::at(now),
        request: write.request.clone(),
        user_id,
        payment_method_id: request.payment_method_id,
        amount: request.amount(),
        capture_method: request.capture_method,
        description: request.description,
        ip_address: request.ip_address.map(|address| address.to_string()),
        device_fingerprint: request.device_fingerprint,
    })
}
