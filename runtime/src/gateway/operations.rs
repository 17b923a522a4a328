//! What captures, refunds and cancellations have in common: accepted in one commit, answered with their end when it
//! comes in time.

use axum::Json;
use axum::response::{IntoResponse, Response};
use chrono::Utc;
use http::StatusCode;
use serde::Serialize;
use sqlx::PgConnection;
use uuid::Uuid;

use super::Gateway;
use super::idempotent::Write;
use super::problem::Problem;
use crate::idempotency::Answer;
use crate::ids::{MerchantId, PaymentId, uuid_at};
use crate::operations::{Acceptance, Kind, NewOperation, OperationJson, Refusal, Request, accept, store};
use crate::page::Page;
use crate::payments::{self, PaymentJson};
use crate::processor::settled;
use crate::webhooks::bell;

/// A refusal that is only for now is one for as long as a provider takes to answer.
const ASK_AGAIN_S: u64 = 1;
const REASON_CHARS_MAX: usize = 500;
const NO_SUCH_PAYMENT: &str = "this merchant has no such payment";

/// What is asked of a payment, and where its id stands in the request.
pub(super) struct Asked {
    /// Of which payment.
    pub(super) payment: PaymentId,
    /// Whether the payment is named by the path.
    pub(super) in_path: bool,
    /// What.
    pub(super) request: Request,
    /// Why, in the merchant's words.
    pub(super) reason: Option<String>,
}

impl Gateway {
    /// Accepts what is asked for, and answers with its end when that comes in time.
    ///
    /// # Errors
    /// Why it is not accepted.
    pub(super) async fn operate(&self, write: &Write, asked: Asked) -> Result<Response, Problem> {
        let now = Utc::now();
        let new = NewOperation {
            id: uuid_at(now),
            payment: asked.payment,
            request: asked.request,
            reason: asked.reason,
            release: self.app.release.clone(),
            keyed: write.request.clone(),
        };
        // Before it is accepted, so that no end comes too early to be heard.
        let waiter = self.waiters.wait_for(&write.request, new.subject());
        let turn = self.lanes.enter(new.payment).await;
        let acceptance = accept::accept(&self.app.pool, &new, now).await;
        drop(turn);
        let acceptance = match acceptance {
            Ok(acceptance) => acceptance,
            Err(error) => return self.known_or(write, error.into()).await,
        };
        match acceptance {
            Acceptance::Accepted(operation) => {
                self.bell.operations();
                let labels = [operation.kind.as_str(), operation.status.as_str()];
                self.app.metrics.operations.with_label_values(&labels).inc();
                self.answer(write, waiter).await
            }
            Acceptance::Canceled(answer) => {
                self.app.metrics.payments.with_label_values(&["CANCELED"]).inc();
                self.tell(new.payment).await;
                bell::announce(&self.app.pool, new.keyed.merchant_id).await;
                Ok(write.respond(&answer, false))
            }
            Acceptance::KeyInUse => self.answer_again(write).await,
            Acceptance::NoSuchPayment if asked.in_path => Err(Problem::not_found("payment_not_found", NO_SUCH_PAYMENT)),
            Acceptance::NoSuchPayment => {
                Err(Problem::unprocessable("payment_not_found", NO_SUCH_PAYMENT).param("payment_id"))
            }
            Acceptance::Refused(refusal) => Err(refusal.into()),
        }
    }

    /// One page of a merchant's operations.
    ///
    /// # Errors
    /// When the database does not answer.
    pub(super) async fn list_operations(
        &self,
        merchant: MerchantId,
        kind: Kind,
        payment: Option<PaymentId>,
        page: &Page,
    ) -> Result<Response, Problem> {
        let reads = &self.app.reads;
        let found =
            reads.answer(|mut at| async move { store::list(&mut *at, merchant, kind, payment, page).await }).await?;
        let list = page.list(found, |operation| kind.id_text(operation.id));
        Ok(Json(list.each(OperationJson::of)).into_response())
    }

    /// Tells those who wait for a payment, in whichever gateway, that it is at its end. They look for themselves, too.
    async fn tell(&self, payment: PaymentId) {
        if let Err(error) = settled::tell(&self.app.pool, &[payment.as_uuid()]).await {
            tracing::debug!(%error, "a cancellation was not announced");
        }
    }
}

/// What to say of an operation that is not at its end, which it cannot reach before this transaction is over. None when
/// it did before.
///
/// # Errors
/// When the database does not answer.
pub(super) async fn on_its_way(connection: &mut PgConnection, id: Uuid) -> Result<Option<Answer>, Problem> {
    let found = store::hold_still(&mut *connection, id).await?;
    let operation = found.ok_or_else(Problem::internal)?;
    if !operation.is_pending() {
        return Ok(None);
    }
    let body = match operation.kind {
        Kind::Capture | Kind::Refund => written(&OperationJson::of(&operation))?,
        Kind::Void => {
            let payment = payments::store::load(connection, operation.payment_id).await?;
            written(&PaymentJson::of(&payment.ok_or_else(Problem::internal)?))?
        }
    };
    let status = StatusCode::ACCEPTED.as_u16();
    Ok(Some(Answer::of_operation(status, operation.kind, id, operation.payment_id, body)))
}

fn written(document: &impl Serialize) -> Result<Vec<u8>, Problem> {
    serde_json::to_vec(document).map_err(|_| Problem::internal())
}

/// The merchant's reason for what is asked, if it can be stored.
///
/// # Errors
/// When it is empty, too long, or holds what PostgreSQL cannot store.
pub(super) fn check_reason(reason: Option<&str>) -> Result<(), Problem> {
    let Some(reason) = reason else { return Ok(()) };
    if !(1..=REASON_CHARS_MAX).contains(&reason.chars().count()) {
        return Err(("reason", "must be between 1 and 500 characters").into());
    }
    if reason.contains('\0') {
        return Err(("reason", "must not contain the character U+0000").into());
    }
    Ok(())
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let status = if refusal.is_of_request() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::CONFLICT };
        let mut problem = Self::new(status, refusal.code(), refusal.to_string());
        if let Some(param) = refusal.param() {
            problem = problem.param(param);
        }
        if refusal.is_retryable() {
            problem = problem.retryable().retry_after(ASK_AGAIN_S);
        }
        problem
    }
}
