//! Accepting an operation: one short transaction that locks the payment, asks the rules, and writes all or nothing.

use chrono::{DateTime, Utc};
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use super::rules::{self, Cancellation, Plan};
use super::{Kind, Operation, OperationStatus, Refusal, reserve};
use crate::database::{self, Pool};
use crate::idempotency::{self, Answer, KeyedRequest, Subject};
use crate::ids::{PaymentId, time_of};
use crate::payments::{self, Payment};
use crate::providers::{self, Capabilities};

/// What is asked of a payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// To take what is held.
    Capture {
        /// How much, as the client wrote it; all that can be taken when none.
        amount: Option<String>,
        /// Whether the rest is given free.
        is_final: bool,
    },
    /// To give back what was taken.
    Refund {
        /// How much, as the client wrote it; all that can go back when none.
        amount: Option<String>,
    },
    /// To give up what was not taken yet.
    Cancel,
}

/// An operation that a merchant asks for.
#[derive(Clone, Debug)]
pub struct NewOperation {
    /// Its id, should it become one; carries the time.
    pub id: Uuid,
    /// Of which payment.
    pub payment: PaymentId,
    /// What.
    pub request: Request,
    /// Why, in the merchant's words.
    pub reason: Option<String>,
    /// The release that accepts it.
    pub release: String,
    /// Who asks, under which key: another merchant's payment does not exist.
    pub keyed: KeyedRequest,
}

impl NewOperation {
    /// What the key stands for.
    #[must_use]
    pub const fn subject(&self) -> Subject {
        Subject::Operation { id: self.id, payment_id: self.payment }
    }
}

/// What became of the request.
#[derive(Clone, Debug, PartialEq)]
pub enum Acceptance {
    /// The operation is committed: its row, what it reserves, its work item and the key.
    Accepted(Operation),
    /// The payment was canceled at once, and this answer is kept: the payment as it is now.
    Canceled(Answer),
    /// Another request with the same key was faster; nothing was written.
    KeyInUse,
    /// The merchant has no such payment; nothing was written.
    NoSuchPayment,
    /// It cannot be; nothing was written.
    Refused(Refusal),
}

/// Accepts an operation, or cancels a payment that no provider knows of. When this says that it did, no crash can undo
/// it; when it fails, the same key tells what happened.
///
/// # Errors
/// When the database does not answer. The operation may be accepted nevertheless.
pub async fn accept(pool: &Pool, new: &NewOperation, now: DateTime<Utc>) -> Result<Acceptance, sqlx::Error> {
    let mut transaction = database::begin(pool).await?;
    // The order in which rows are locked is the same everywhere: key, work item, payment.
    if !idempotency::store::claim(&mut transaction, &new.keyed, Some(new.subject()), now).await? {
        return Ok(Acceptance::KeyInUse);
    }
    if new.request == Request::Cancel {
        reserve::take_from_worker(&mut transaction, new.payment).await?;
    }
    let found = payments::store::lock(&mut *transaction, new.payment).await?;
    let Some(payment) = found.filter(|payment| payment.merchant_id == new.keyed.merchant_id) else {
        return Ok(Acceptance::NoSuchPayment);
    };
    let acceptance = match decide(&mut transaction, new, &payment, now).await? {
        Err(refusal) => return Ok(Acceptance::Refused(refusal)),
        Ok(Decision::CancelAtOnce) => {
            Acceptance::Canceled(reserve::cancel_at_once(&mut transaction, new, payment, now).await?)
        }
        Ok(Decision::Operation(plan, capture_id)) => {
            let operation = operation(new, plan, capture_id);
            reserve::write(&mut transaction, &operation).await?;
            Acceptance::Accepted(operation)
        }
    };
    transaction.commit().await?;
    Ok(acceptance)
}

enum Decision {
    CancelAtOnce,
    /// With the capture that a refund goes to.
    Operation(Plan, Option<Uuid>),
}

async fn decide(
    connection: &mut PgConnection,
    new: &NewOperation,
    payment: &Payment,
    now: DateTime<Utc>,
) -> Result<Result<Decision, Refusal>, sqlx::Error> {
    let able = capabilities(payment);
    let on_their_way = reserve::on_their_way(connection, payment.id).await?;
    let plan = match &new.request {
        Request::Capture { amount, is_final } => {
            rules::capture(payment, on_their_way, able, amount.as_deref(), *is_final, now)
        }
        Request::Refund { amount } => rules::refund(payment, able, amount.as_deref()),
        Request::Cancel => {
            let attempt_open = reserve::attempt_open(connection, payment.id).await?;
            match rules::cancel(payment, on_their_way, able, attempt_open) {
                Ok(Cancellation::AtOnce) => return Ok(Ok(Decision::CancelAtOnce)),
                Ok(Cancellation::Void(plan)) => Ok(plan),
                Err(refusal) => Err(refusal),
            }
        }
    };
    let plan = match plan {
        Ok(plan) => plan,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let mut capture_id = None;
    if plan.kind == Kind::Refund {
        let taken = reserve::taken(connection, payment).await?;
        capture_id = match rules::capture_of_refund(&taken, able, plan.amount) {
            Ok(capture_id) => capture_id,
            Err(refusal) => return Ok(Err(refusal)),
        };
    }
    Ok(Ok(Decision::Operation(plan, capture_id)))
}

/// What the payment's provider is able to. Where this release does not speak to it, the provider itself will say.
fn capabilities(payment: &Payment) -> Capabilities {
    let everything = Capabilities {
        manual_capture: true,
        partial_capture: true,
        multiple_captures: true,
        partial_refund: true,
        refund_spans_captures: true,
        void: true,
    };
    let name = payment.provider.as_deref().and_then(|name| serde_json::from_value(name.into()).ok());
    name.and_then(providers::adapter).map_or(everything, providers::Adapter::capabilities)
}

fn operation(new: &NewOperation, plan: Plan, capture_id: Option<Uuid>) -> Operation {
    Operation {
        id: new.id,
        kind: plan.kind,
        payment_id: new.payment,
        merchant_id: new.keyed.merchant_id,
        amount: plan.amount,
        is_final: plan.is_final,
        capture_id,
        status: OperationStatus::Pending,
        reason: new.reason.clone(),
        sent_at: None,
        provider_reference: None,
        error_code: None,
        error_message: None,
        release: new.release.clone(),
        created_at: time_of(new.id),
        t_end: None,
    }
}
