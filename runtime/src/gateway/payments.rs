//! `POST /v1/payments`.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use chrono::Utc;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use tokio::time::Instant;

use super::Gateway;
use super::auth::Caller;
use super::body::Document;
use super::openapi::Prefer;
use super::payment_request::{self, Checked, PaymentRequest};
use super::problem::Problem;
use crate::idempotency::{self, Answer, IdempotencyKey, Known, RequestHash};
use crate::ids::{MerchantId, PaymentId};
use crate::merchants::Merchant;
use crate::payments::{self, Acceptance, NewPayment, Payment, PaymentJson};
use crate::{payment_methods, users};

const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
/// A notification that was lost costs at most this much.
const RESCUE: Duration = Duration::from_secs(1);

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
    let merchant = caller.active()?;
    let key = payment_request::idempotency_key(&headers)?;
    let wait = payment_request::wait(&headers)?;
    let request = request.check()?;
    let hash = RequestHash::of(&request).map_err(|_| Problem::internal())?;
    let until = Instant::now() + wait;
    let pool = &gateway.app.pool;
    let known = idempotency::store::find(pool, merchant.id, &key, hash, Utc::now()).await?;
    let (answer, replayed) = match known {
        Known::Fresh => accept(&gateway, &merchant, key, hash, request, until).await?,
        Known::Replay(answer) => (answer, true),
        Known::InFlight(id) => (answer_for(&gateway, merchant.id, &key, id, until).await?, true),
        Known::Mismatch => return Err(mismatch()),
    };
    Ok(respond(answer, replayed, wait))
}

/// Checks what only the database knows, accepts, and waits for the end. True when another request was faster.
async fn accept(
    gateway: &Gateway,
    merchant: &Merchant,
    key: IdempotencyKey,
    hash: RequestHash,
    request: Checked,
    until: Instant,
) -> Result<(Answer, bool), Problem> {
    let pool = &gateway.app.pool;
    let found = payment_methods::store::find(pool, request.payment_method_id, merchant.id).await?;
    let now = Utc::now();
    let id = PaymentId::at(now);
    let user_id = request.payer(found.as_ref(), now.date_naive())?;
    let new = NewPayment {
        id,
        merchant_id: merchant.id,
        user_id,
        payment_method_id: request.payment_method_id,
        amount: request.amount(),
        description: request.description,
        ip_address: request.ip_address.map(|address| address.to_string()),
        device_fingerprint: request.device_fingerprint,
        release: gateway.app.release.clone(),
        key: key.clone(),
        hash,
    };
    let _waiting_already = gateway.waiters.wait_for(id);
    match payments::store::accept(pool, &new).await? {
        Acceptance::Accepted => {
            gateway.bell.ring();
            gateway.app.metrics.payments.with_label_values(&["PENDING"]).inc();
            Ok((answer_for(gateway, merchant.id, &key, id, until).await?, false))
        }
        Acceptance::KeyInUse => match idempotency::store::find(pool, merchant.id, &key, hash, now).await? {
            Known::Replay(answer) => Ok((answer, true)),
            Known::InFlight(first) => Ok((answer_for(gateway, merchant.id, &key, first, until).await?, true)),
            Known::Mismatch => Err(mismatch()),
            // The key expired between two statements.
            Known::Fresh => Err(Problem::internal()),
        },
    }
}

/// Waits for the payment's end and makes the answer. It is kept before it is given; if another request with the
/// same key was answered meanwhile, that answer is given here too.
async fn answer_for(
    gateway: &Gateway,
    merchant: MerchantId,
    key: &IdempotencyKey,
    id: PaymentId,
    until: Instant,
) -> Result<Answer, Problem> {
    let payment = settled(gateway, id, until).await?;
    let status = if payment.status.is_settled() { StatusCode::CREATED } else { StatusCode::ACCEPTED };
    let body = serde_json::to_vec(&PaymentJson::of(&payment)).map_err(|_| Problem::internal())?;
    let answer = Answer { status: status.as_u16(), location: format!("/v1/payments/{id}"), body };
    Ok(idempotency::store::answer_once(&gateway.app.pool, merchant, key, id, &answer).await?)
}

/// The payment, at its end or when time is up, or when this process is told to stop.
async fn settled(gateway: &Gateway, id: PaymentId, until: Instant) -> Result<Payment, Problem> {
    let mut waiter = gateway.waiters.wait_for(id);
    loop {
        let over = Instant::now() >= until || gateway.app.shutdown.is_cancelled();
        let payment = payments::store::load(&gateway.app.pool, id).await?.ok_or_else(Problem::internal)?;
        if payment.status.is_settled() || over {
            return Ok(payment);
        }
        tokio::select! {
            () = waiter.told() => {}
            () = gateway.app.shutdown.cancelled() => {}
            () = tokio::time::sleep_until(until.min(Instant::now() + RESCUE)) => {}
        }
    }
}

fn respond(answer: Answer, replayed: bool, wait: Duration) -> Response {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    let mut response = (status, answer.body).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Ok(location) = HeaderValue::try_from(answer.location) {
        headers.insert(header::LOCATION, location);
    }
    if let Ok(applied) = HeaderValue::try_from(format!("wait={}", wait.as_secs())) {
        headers.insert(HeaderName::from_static("preference-applied"), applied);
    }
    if replayed {
        headers.insert(REPLAYED, HeaderValue::from_static("true"));
    }
    response
}

fn mismatch() -> Problem {
    let detail = "this Idempotency-Key came with another request before; a new payment needs a new key";
    Problem::unprocessable("idempotency_key_reused", detail).param("Idempotency-Key")
}

impl Checked {
    /// Who pays, if this payment method and its user may.
    fn payer(
        &self,
        found: Option<&payment_methods::PaymentMethod>,
        today: chrono::NaiveDate,
    ) -> Result<crate::ids::UserId, Problem> {
        let missing = || {
            Problem::unprocessable("payment_method_not_found", "this merchant has no such payment method")
                .param("payment_method_id")
        };
        let method = found.ok_or_else(missing)?;
        if self.user_id.is_some_and(|user| user != method.user_id) {
            return Err(
                Problem::unprocessable("user_mismatch", "the payment method belongs to another user").param("user_id")
            );
        }
        match method.user_status {
            users::Status::Active => {}
            users::Status::Suspended => {
                return Err(Problem::unprocessable("user_suspended", "this user is suspended").param("user_id"));
            }
            users::Status::Blocked => {
                return Err(Problem::unprocessable("user_blocked", "this user is blocked").param("user_id"));
            }
        }
        if method.is_expired(today) {
            let detail = format!("the payment method {} is expired", method.masked());
            return Err(Problem::unprocessable("payment_method_expired", detail).param("payment_method_id"));
        }
        Ok(method.user_id)
    }
}
