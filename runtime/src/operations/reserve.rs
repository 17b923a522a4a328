//! SQL of accepting: what is looked up under the payment's lock, and what is written with it.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use sqlx::Row;
use sqlx::postgres::PgConnection;

use super::rules::{OnTheirWay, Taken};
use super::{Kind, NewOperation, Operation};
use crate::events::{self, Event, EventType};
use crate::idempotency::{self, Answer};
use crate::ids::PaymentId;
use crate::money::Money;
use crate::payments::payment::calculate_latency_ms;
use crate::payments::{Payment, PaymentJson, Status};

/// Takes the payment away from the worker that may have it: its next step must hold this row, and waits for us.
pub(super) async fn take_from_worker(connection: &mut PgConnection, payment: PaymentId) -> Result<(), sqlx::Error> {
    sqlx::query("select from work_items where payment_id = $1 for update").bind(payment).execute(connection).await?;
    Ok(())
}

/// What is on its way for a payment besides the sums in its row.
pub(super) async fn on_their_way(connection: &mut PgConnection, payment: PaymentId) -> Result<OnTheirWay, sqlx::Error> {
    let row = sqlx::query(
        "select coalesce(bool_or(kind = 'VOID'), false) as void, coalesce(bool_or(final), false) as final_capture
         from operations where payment_id = $1 and status = 'PENDING'",
    )
    .bind(payment)
    .fetch_one(connection)
    .await?;
    Ok(OnTheirWay { void: row.try_get("void")?, final_capture: row.try_get("final_capture")? })
}

/// Whether a provider may have charged the payment, and nobody knows yet.
pub(super) async fn attempt_open(connection: &mut PgConnection, payment: PaymentId) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(
        "select exists (select from payment_attempts where payment_id = $1 and state in ('SENT', 'UNKNOWN'))",
    )
    .bind(payment)
    .fetch_one(connection)
    .await
}

/// The payment's captures, and what of each did not go back and is not about to.
pub(super) async fn taken(connection: &mut PgConnection, payment: &Payment) -> Result<Vec<Taken>, sqlx::Error> {
    let rows = sqlx::query(
        "select c.id, c.amount - coalesce(sum(r.amount), 0) as kept from operations c
         left join operations r on r.payment_id = c.payment_id and r.capture_id = c.id and r.status <> 'FAILED'
         where c.payment_id = $1 and c.kind = 'CAPTURE' and c.status = 'SUCCEEDED' group by c.id, c.amount",
    )
    .bind(payment.id)
    .fetch_all(connection)
    .await?;
    let taken = |row: &sqlx::postgres::PgRow| {
        let kept = Money::from_decimal(row.try_get::<Decimal, _>("kept")?, payment.amount.currency());
        let kept = kept.map_err(|error| sqlx::Error::Decode(error.into()))?.minor();
        Ok(Taken { capture: row.try_get("id")?, kept })
    };
    rows.iter().map(taken).collect()
}

/// Writes an operation, its work item, and what it reserves of the payment's sums: only if they still allow it.
///
/// # Errors
/// When the database does not answer, or the sums do not allow what the rules did, which cannot be while the payment is
/// locked.
pub(super) async fn write(connection: &mut PgConnection, operation: &Operation) -> Result<(), sqlx::Error> {
    // A void reserves nothing: while it is on its way no capture is accepted.
    let reserve = match operation.kind {
        Kind::Capture => {
            "update transactions set amount_capturing = amount_capturing + $3, updated_at = now()
             where id = $1 and created_at = $2 and status = 'AUTHORIZED'
                 and amount_captured + amount_capturing + $3 <= amount_authorized"
        }
        Kind::Refund => {
            "update transactions set amount_refunding = amount_refunding + $3, updated_at = now()
             where id = $1 and created_at = $2 and amount_refunded + amount_refunding + $3 <= coalesce(amount_captured, amount)"
        }
        Kind::Void => {
            "update transactions set updated_at = now()
             where id = $1 and created_at = $2 and status = 'AUTHORIZED' and amount_capturing = 0
                 and amount_captured + $3 = amount_authorized"
        }
    };
    let reserved = sqlx::query(reserve)
        .bind(operation.payment_id)
        .bind(operation.payment_id.created_at())
        .bind(operation.amount.to_decimal())
        .execute(&mut *connection)
        .await?;
    if reserved.rows_affected() != 1 {
        return Err(sqlx::Error::Protocol(format!("the sums of {} allow no such operation", operation.payment_id)));
    }
    insert(connection, operation).await
}

async fn insert(connection: &mut PgConnection, operation: &Operation) -> Result<(), sqlx::Error> {
    sqlx::query(
        "with operation as (
             insert into operations (id, payment_id, payment_created_at, merchant_id, kind, amount, currency, final, capture_id,
                 reason, release, created_at)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
             returning id, payment_id, payment_created_at, merchant_id, release
         )
         insert into operation_items (operation_id, payment_id, payment_created_at, merchant_id, release)
         select id, payment_id, payment_created_at, merchant_id, release from operation",
    )
    .bind(operation.id)
    .bind(operation.payment_id)
    .bind(operation.payment_id.created_at())
    .bind(operation.merchant_id)
    .bind(operation.kind.as_str())
    .bind(operation.amount.to_decimal())
    .bind(operation.amount.currency().code())
    .bind(operation.is_final)
    .bind(operation.capture_id)
    .bind(&operation.reason)
    .bind(&operation.release)
    .bind(operation.created_at)
    .execute(connection)
    .await?;
    Ok(())
}

/// Ends a payment that no provider knows of: status, event and the key's answer, and its work item is gone. Returns
/// that answer.
pub(super) async fn cancel_at_once(
    connection: &mut PgConnection,
    new: &NewOperation,
    payment: Payment,
    now: DateTime<Utc>,
) -> Result<Answer, sqlx::Error> {
    let t_end = now.max(payment.t_start);
    let canceled = Payment {
        status: Status::Canceled,
        t_end: Some(t_end),
        latency_ms: Some(calculate_latency_ms(payment.t_start, t_end)),
        sequence: payment.sequence + 1,
        ..payment
    };
    sqlx::query(
        "with done as (delete from work_items where payment_id = $1)
         update transactions set status = 'CANCELED', t_end = $3, latency_ms = $4, sequence = $5, updated_at = now()
         where id = $1 and created_at = $2",
    )
    .bind(canceled.id)
    .bind(canceled.id.created_at())
    .bind(canceled.t_end)
    .bind(canceled.latency_ms)
    .bind(canceled.sequence)
    .execute(&mut *connection)
    .await?;
    let unwritable = |error: serde_json::Error| sqlx::Error::Encode(error.into());
    let event = Event::of_payment(EventType::PaymentCanceled, &canceled, None, now).map_err(unwritable)?;
    events::store::record(&mut *connection, &[event]).await?;
    let body = serde_json::to_vec(&PaymentJson::of(&canceled)).map_err(unwritable)?;
    let location = format!("/v1/payments/{}", new.payment);
    let answer = Answer { status: 200, location, body };
    idempotency::store::keep(connection, &new.keyed, Some(new.subject()), &answer).await
}
