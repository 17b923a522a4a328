//! SQL of operations on their way. Every write proves its claim on the work item first, in the same transaction.

use std::time::Duration;

use chrono::{DateTime, Utc};
use runtime_contract::ProviderName;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{PgExecutor, Postgres, Row, Transaction};
use uuid::Uuid;

use super::case::{Case, Charged};
pub(super) use super::error::StoreError;
use crate::database::{self, Pool};
use crate::events::{self, Event};
use crate::ledger;
use crate::money::Money;
use crate::operations::outcome::{Change, Outcome, change};
use crate::operations::store::{COLUMNS, operation};
use crate::operations::{Kind, Operation};
use crate::payments::{self, Payment};
use crate::queue::{GivenBack, Item, Lease, OPERATIONS, Parked};

/// All that is known of the operation of an item.
pub(super) async fn load(executor: impl PgExecutor<'_>, item: &Item) -> Result<Case, StoreError> {
    let sql = format!(
        "select {COLUMNS}, m.fee_percentage, coalesce(t.provider_reference, a.provider_reference) as charge,
             p.resource, p.name as provider_name, coalesce(a.api_endpoint, p.api_endpoint) as api_endpoint, p.max_latency_ms,
             c.provider_reference as capture
         from operations o
         join transactions t on t.id = o.payment_id and t.created_at = o.payment_created_at
         join merchants m on m.id = o.merchant_id
         left join payment_attempts a on a.payment_id = o.payment_id and a.state = 'APPROVED'
         left join payment_providers p on p.id = a.payment_provider_id
         left join operations c on c.id = o.capture_id
         where o.id = $1 and t.id = $2 and t.created_at = $3"
    );
    // Only constants are put into the text. The payment's id and time are given too, so that one partition is read.
    let query = sqlx::query(sqlx::AssertSqlSafe(sql));
    let query = query.bind(item.subject_id).bind(item.payment_id).bind(item.payment_created_at);
    let row = query.fetch_optional(executor).await?;
    let missing = || StoreError::Inconsistent(format!("there is no operation {}", item.subject_id));
    let row = row.ok_or_else(missing)?;
    Ok(Case {
        operation: operation(&row)?,
        fee_percentage: row.try_get("fee_percentage")?,
        charged: charged(&row)?,
        capture: row.try_get("capture")?,
    })
}

fn charged(row: &PgRow) -> Result<Option<Charged>, StoreError> {
    let Some(resource) = row.try_get::<Option<String>, _>("resource")? else { return Ok(None) };
    let name: &str = row.try_get("provider_name")?;
    let unknown = |_| StoreError::Inconsistent(format!("this release does not know the provider {name}"));
    let name: ProviderName = serde_json::from_value(name.into()).map_err(unknown)?;
    let max_latency_ms: i32 = row.try_get("max_latency_ms")?;
    Ok(Some(Charged {
        reference: row.try_get("charge")?,
        resource,
        name,
        api_endpoint: row.try_get("api_endpoint")?,
        max_latency_ms: max_latency_ms.unsigned_abs(),
    }))
}

// Nobody else can claim it until this transaction is over, and who had it before has lost it.
const TAKE: &str = "update operation_items i set attempt = i.attempt + 1, claim_token = $3
    from operations o where o.id = i.operation_id and o.id = $1 and o.kind = $2 and (o.sent_at is not null or i.parked_at is not null)
        and (i.leased_until is null or i.leased_until < now())
    returning i.id, i.operation_id as subject_id, i.payment_id, i.payment_created_at, i.release, i.attempt, i.claim_token, i.last_error";

/// One step of an operation: a transaction that holds the claim. What is not committed did not happen.
pub(super) struct Step {
    transaction: Transaction<'static, Postgres>,
    lease: Lease,
}

impl Step {
    /// Begins a step.
    pub(super) async fn begin(pool: &Pool, item: &Item) -> Result<Self, StoreError> {
        let mut transaction = database::begin(pool).await?;
        if OPERATIONS.hold(&mut transaction, &[item.lease()]).await?.is_empty() {
            return Err(StoreError::Lost);
        }
        Ok(Self { transaction, lease: item.lease() })
    }

    /// Begins a step for a person, of what was sent or waits for one, and is in nobody's work.
    pub(super) async fn take(pool: &Pool, kind: Kind, id: Uuid) -> Result<Option<(Self, Item)>, StoreError> {
        let mut transaction = database::begin(pool).await?;
        let query = sqlx::query_as(TAKE).bind(id).bind(kind.as_str()).bind(rand::random::<i64>());
        let item: Option<Item> = query.fetch_optional(&mut *transaction).await?;
        Ok(item.map(|item| (Self { transaction, lease: item.lease() }, item)))
    }

    /// The transaction, for what belongs into it as well.
    pub(super) fn connection(&mut self) -> &mut PgConnection {
        &mut self.transaction
    }

    /// Writes down that the operation is about to be sent.
    pub(super) async fn send(&mut self, operation: &Operation, now: DateTime<Utc>) -> Result<(), StoreError> {
        let query = "update operations set sent_at = $2, updated_at = now() where id = $1 and sent_at is null and status = 'PENDING'";
        let query = sqlx::query(query).bind(operation.id).bind(now);
        one_row(query.execute(&mut *self.transaction).await?.rows_affected(), operation)
    }

    /// Takes that back: no byte was sent.
    pub(super) async fn unsend(&mut self, operation: &Operation) -> Result<(), StoreError> {
        let query = "update operations set sent_at = null, updated_at = now() where id = $1 and status = 'PENDING'";
        one_row(sqlx::query(query).bind(operation.id).execute(&mut *self.transaction).await?.rows_affected(), operation)
    }

    /// Keeps the provider's name for the operation.
    pub(super) async fn named(&mut self, operation: &Operation, reference: &str) -> Result<(), StoreError> {
        let query = "update operations set provider_reference = coalesce(provider_reference, $2), updated_at = now()
                     where id = $1 and status = 'PENDING'";
        let query = sqlx::query(query).bind(operation.id).bind(reference);
        one_row(query.execute(&mut *self.transaction).await?.rows_affected(), operation)
    }

    /// Writes down the outcome with everything that follows from it, and ends the work item.
    pub(super) async fn end(
        &mut self,
        case: &Case,
        outcome: Outcome,
        now: DateTime<Utc>,
    ) -> Result<Change, StoreError> {
        let locked = payments::store::lock(&mut *self.transaction, case.operation.payment_id).await?;
        let missing = || StoreError::Inconsistent(format!("there is no payment {}", case.operation.payment_id));
        let change = change(&locked.ok_or_else(missing)?, &case.operation, outcome, case.fee_percentage, now)?;
        let event = Event::of_payment(change.event, &change.payment, Some(&change.operation), now)?;
        save_operation(&mut self.transaction, &change.operation).await?;
        save_payment(&mut self.transaction, &change.payment).await?;
        if let Some(journal) = &change.journal {
            ledger::store::post(&mut self.transaction, std::slice::from_ref(journal)).await?;
        }
        events::store::record(&mut self.transaction, &[event]).await?;
        self.complete().await?;
        Ok(change)
    }

    /// Removes the work item.
    pub(super) async fn complete(&mut self) -> Result<(), StoreError> {
        still_held(OPERATIONS.complete(&mut self.transaction, &[self.lease]).await?)
    }

    /// Gives the work item back for later.
    pub(super) async fn retry_later(&mut self, delay: Duration, reason: &str) -> Result<(), StoreError> {
        let back = GivenBack { lease: self.lease, delay, reason: reason.to_owned() };
        still_held(OPERATIONS.give_back(&mut self.transaction, &[back]).await?)
    }

    /// Sets the work item aside for a person.
    pub(super) async fn park(&mut self, reason: &str) -> Result<(), StoreError> {
        let parked = Parked { lease: self.lease, reason: reason.to_owned() };
        still_held(OPERATIONS.park(&mut self.transaction, &[parked]).await?)
    }

    /// Makes the step true.
    pub(super) async fn commit(self) -> Result<(), StoreError> {
        Ok(self.transaction.commit().await?)
    }
}

async fn save_operation(connection: &mut PgConnection, operation: &Operation) -> Result<(), StoreError> {
    let saved = sqlx::query(
        "update operations set status = $2, provider_reference = $3, error_code = $4, error_message = $5, t_end = $6, updated_at = now()
         where id = $1 and status = 'PENDING'",
    )
    .bind(operation.id)
    .bind(operation.status.as_str())
    .bind(&operation.provider_reference)
    .bind(&operation.error_code)
    .bind(&operation.error_message)
    .bind(operation.t_end)
    .execute(connection)
    .await?;
    one_row(saved.rows_affected(), operation)
}

/// The payment is locked, and its sequence says that it is the one that was read.
async fn save_payment(connection: &mut PgConnection, payment: &Payment) -> Result<(), StoreError> {
    let amounts = &payment.amounts;
    let major = |minor: i64| Money::from_minor(minor, amounts.currency).to_decimal();
    // What an earlier release took has no journal, and so no sums here: they would not agree with the ledger.
    let saved = sqlx::query(
        "update transactions set status = $3, sequence = $4, fee = $5,
             amount_authorized = case when amount_captured is not null then $6 end, amount_captured = case when amount_captured is not null then $7 end,
             amount_capturing = $8, amount_refunded = $9, amount_refunding = $10, authorized_until = $11, updated_at = now()
         where id = $1 and created_at = $2 and sequence = $4 - 1",
    )
    .bind(payment.id)
    .bind(payment.id.created_at())
    .bind(payment.status.as_str())
    .bind(payment.sequence)
    .bind(payment.fee.map(Money::to_decimal))
    .bind(amounts.authorized.map(major))
    .bind(amounts.captured.map(major))
    .bind(major(amounts.capturing))
    .bind(major(amounts.refunded))
    .bind(major(amounts.refunding))
    .bind(payment.authorized_until)
    .execute(connection)
    .await?;
    if saved.rows_affected() == 1 {
        return Ok(());
    }
    Err(StoreError::Inconsistent(format!("{} is not as it was when it was locked", payment.id)))
}

fn one_row(rows: u64, operation: &Operation) -> Result<(), StoreError> {
    if rows == 1 {
        return Ok(());
    }
    let id = operation.kind.id_text(operation.id);
    Err(StoreError::Inconsistent(format!("{id} is not where it was when it was read")))
}

fn still_held(rows: u64) -> Result<(), StoreError> {
    if rows == 1 { Ok(()) } else { Err(StoreError::Lost) }
}
