//! The processor's SQL. Every write proves its claim on the work item first, in the same transaction.

use std::time::Duration;

use chrono::{DateTime, Utc};
use runtime_contract::ProviderName;
use rust_decimal::Decimal;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Postgres, Row, Transaction};
use thiserror::Error;
use uuid::Uuid;

use super::case::{Case, OpenAttempt, ProviderAddress};
use crate::database::Pool;
use crate::fraud::{self, Check};
use crate::ids::{AttemptId, uuid_at};
use crate::money::{Currency, Money};
use crate::payments::Status;
use crate::payments::payment::calculate_latency_ms;
use crate::queue::{GivenBack, Item, Lease, PAYMENTS, Parked};

/// Why a step was not recorded. Nothing of it was.
#[derive(Debug, Error)]
pub(super) enum StoreError {
    /// Another worker has the payment now.
    #[error("the claim was lost: another worker has the payment now")]
    Lost,
    /// The database did not answer.
    #[error("the database: {0}")]
    Database(#[from] sqlx::Error),
    /// A row is not what the program believes in.
    #[error("{0}")]
    Inconsistent(String),
}

const LOAD: &str = "
select t.t_start, t.merchant_id, t.user_id, t.amount, t.currency, t.status, t.fraud_status, t.ip_address, t.device_fingerprint,
       m.fee_percentage, pm.token,
       (select coalesce(max(number), 0) from payment_attempts where payment_id = t.id) as attempts,
       a.id as attempt_id, a.t_start as attempt_t_start, a.provider_reference as attempt_reference,
       p.resource, p.name as provider_name, coalesce(a.api_endpoint, p.api_endpoint) as api_endpoint, p.max_latency_ms
from transactions t
join merchants m on m.id = t.merchant_id
join payment_methods pm on pm.id = t.payment_method_id
left join payment_attempts a on a.payment_id = t.id and a.state in ('SENT', 'UNKNOWN')
left join payment_providers p on p.id = a.payment_provider_id
where t.id = $1 and t.created_at = $2";

/// All that is known of the payment of an item.
pub(super) async fn load(pool: &Pool, item: &Item) -> Result<Case, StoreError> {
    let row = sqlx::query(LOAD).bind(item.payment_id).bind(item.payment_created_at).fetch_optional(pool).await?;
    let missing = || StoreError::Inconsistent(format!("there is no payment {}", item.payment_id));
    case(item, &row.ok_or_else(missing)?)
}

fn case(item: &Item, row: &PgRow) -> Result<Case, StoreError> {
    let wrong = |what: &str| {
        StoreError::Inconsistent(format!("{} has a {what} that this release does not know", item.payment_id))
    };
    let currency: Currency = row.try_get::<&str, _>("currency")?.parse().map_err(|_| wrong("currency"))?;
    let fraud_status = match row.try_get::<Option<&str>, _>("fraud_status")? {
        Some(name) => Some(fraud::Status::from_name(name).ok_or_else(|| wrong("fraud status"))?),
        None => None,
    };
    Ok(Case {
        payment_id: item.payment_id,
        created_at: item.payment_created_at,
        t_start: row.try_get("t_start")?,
        merchant_id: row.try_get("merchant_id")?,
        user_id: row.try_get("user_id")?,
        money: Money::from_decimal(row.try_get::<Decimal, _>("amount")?, currency).map_err(|_| wrong("amount"))?,
        status: row.try_get::<&str, _>("status")?.parse().map_err(|_| wrong("status"))?,
        fraud_status,
        fee_percentage: row.try_get("fee_percentage")?,
        token: row.try_get::<String, _>("token")?.into(),
        ip_address: row.try_get("ip_address")?,
        device_fingerprint: row.try_get("device_fingerprint")?,
        attempts: row.try_get("attempts")?,
        open: open_attempt(row, wrong)?,
    })
}

fn open_attempt(row: &PgRow, wrong: impl Fn(&str) -> StoreError) -> Result<Option<OpenAttempt>, StoreError> {
    let Some(id) = row.try_get::<Option<Uuid>, _>("attempt_id")? else {
        return Ok(None);
    };
    let name: &str = row.try_get("provider_name")?;
    let name: ProviderName = serde_json::from_value(name.into()).map_err(|_| wrong("provider"))?;
    let max_latency_ms: i32 = row.try_get("max_latency_ms")?;
    Ok(Some(OpenAttempt {
        id: AttemptId::from_uuid(id),
        t_start: row.try_get("attempt_t_start")?,
        reference: row.try_get("attempt_reference")?,
        provider: ProviderAddress {
            resource: row.try_get("resource")?,
            name,
            api_endpoint: row.try_get("api_endpoint")?,
            max_latency_ms: max_latency_ms.unsigned_abs(),
        },
    }))
}

/// One step of a payment: a transaction that holds the claim. What is not committed did not happen.
pub(super) struct Step {
    transaction: Transaction<'static, Postgres>,
    lease: Lease,
}

impl Step {
    /// Begins a step, with the fraud check that has not been recorded yet.
    pub(super) async fn begin(
        pool: &Pool,
        item: &Item,
        case: &Case,
        check: Option<&Check>,
        release: &str,
    ) -> Result<Self, StoreError> {
        let mut transaction = pool.begin().await?;
        if PAYMENTS.hold(&mut transaction, &[item.lease()]).await?.is_empty() {
            return Err(StoreError::Lost);
        }
        if let Some(check) = check {
            save_check(&mut transaction, case, check, release).await?;
        }
        Ok(Self { transaction, lease: item.lease() })
    }

    /// Writes down that an attempt is about to be sent.
    pub(super) async fn send(&mut self, case: &Case, attempt: &NewAttempt<'_>) -> Result<(), StoreError> {
        let provider_id: Option<i32> = sqlx::query_scalar(
            "insert into payment_attempts
                 (id, payment_id, payment_created_at, number, payment_provider_id, state, release, t_start, api_endpoint)
             select $1, $2, $3, $4, id, 'SENT', $6, $7, $8 from payment_providers where resource = $5
             returning payment_provider_id",
        )
        .bind(attempt.id)
        .bind(case.payment_id)
        .bind(case.created_at)
        .bind(attempt.number)
        .bind(attempt.resource)
        .bind(attempt.release)
        .bind(attempt.t_start)
        .bind(attempt.api_endpoint)
        .fetch_optional(&mut *self.transaction)
        .await?;
        let no_row = || StoreError::Inconsistent(format!("provider {} has no row", attempt.resource));
        let moved = sqlx::query(
            "update transactions set status = 'PROCESSING', payment_provider_id = $3, updated_at = now()
             where id = $1 and created_at = $2 and status in ('PENDING', 'PROCESSING')",
        )
        .bind(case.payment_id)
        .bind(case.created_at)
        .bind(provider_id.ok_or_else(no_row)?)
        .execute(&mut *self.transaction)
        .await?;
        one_row(moved.rows_affected(), case)
    }

    /// Writes down what became of an open attempt.
    pub(super) async fn attempt_outcome(
        &mut self,
        id: AttemptId,
        outcome: &AttemptOutcome<'_>,
    ) -> Result<(), StoreError> {
        let AttemptOutcome { state, reference, error_code, error_message, t_start, t_end } = *outcome;
        let ended = (state != "UNKNOWN").then_some(t_end.max(t_start));
        let done = sqlx::query(
            "update payment_attempts set state = $2, provider_reference = coalesce($3, provider_reference),
                 error_code = $4, error_message = $5, t_end = $6, latency_ms = $7
             where id = $1 and state in ('SENT', 'UNKNOWN')",
        )
        .bind(id)
        .bind(state)
        .bind(reference)
        .bind(error_code)
        .bind(error_message)
        .bind(ended)
        .bind(ended.map(|t_end| calculate_latency_ms(t_start, t_end)))
        .execute(&mut *self.transaction)
        .await?;
        if done.rows_affected() == 1 {
            return Ok(());
        }
        Err(StoreError::Inconsistent(format!("attempt {id} is not open")))
    }

    /// Ends the payment and its work item.
    pub(super) async fn settle(&mut self, case: &Case, ending: &Ending<'_>) -> Result<(), StoreError> {
        let t_end = ending.t_end.max(case.t_start);
        let done = sqlx::query(
            "update transactions set status = $3, t_end = $4, latency_ms = $5, fee = $6, provider_reference = $7,
                 error_code = $8, error_message = $9, updated_at = now()
             where id = $1 and created_at = $2 and status in ('PENDING', 'PROCESSING')",
        )
        .bind(case.payment_id)
        .bind(case.created_at)
        .bind(ending.status.as_str())
        .bind(t_end)
        .bind(calculate_latency_ms(case.t_start, t_end))
        .bind(ending.fee.map(Money::to_decimal))
        .bind(ending.reference)
        .bind(ending.error.map(|(code, _)| code))
        .bind(ending.error.map(|(_, message)| message))
        .execute(&mut *self.transaction)
        .await?;
        one_row(done.rows_affected(), case)?;
        self.complete().await
    }

    /// Removes the work item.
    pub(super) async fn complete(&mut self) -> Result<(), StoreError> {
        held(PAYMENTS.complete(&mut self.transaction, &[self.lease]).await?)
    }

    /// Gives the work item back for later.
    pub(super) async fn retry_later(&mut self, delay: Duration, reason: &str) -> Result<(), StoreError> {
        let item = GivenBack { lease: self.lease, delay, reason: reason.to_owned() };
        held(PAYMENTS.give_back(&mut self.transaction, &[item]).await?)
    }

    /// Sets the work item aside for a person.
    pub(super) async fn park(&mut self, reason: &str) -> Result<(), StoreError> {
        let item = Parked { lease: self.lease, reason: reason.to_owned() };
        held(PAYMENTS.park(&mut self.transaction, &[item]).await?)
    }

    /// Makes the step true.
    pub(super) async fn commit(self) -> Result<(), StoreError> {
        Ok(self.transaction.commit().await?)
    }
}

/// An attempt that is about to be sent.
pub(super) struct NewAttempt<'a> {
    pub(super) id: AttemptId,
    pub(super) number: i32,
    pub(super) resource: &'a str,
    pub(super) api_endpoint: &'a str,
    pub(super) release: &'a str,
    pub(super) t_start: DateTime<Utc>,
}

/// What became of an attempt.
#[derive(Clone, Copy)]
pub(super) struct AttemptOutcome<'a> {
    pub(super) state: &'static str,
    pub(super) reference: Option<&'a str>,
    pub(super) error_code: Option<&'a str>,
    pub(super) error_message: Option<&'a str>,
    pub(super) t_start: DateTime<Utc>,
    pub(super) t_end: DateTime<Utc>,
}

/// How a payment ends.
pub(super) struct Ending<'a> {
    pub(super) status: Status,
    pub(super) t_end: DateTime<Utc>,
    pub(super) fee: Option<Money>,
    pub(super) reference: Option<&'a str>,
    pub(super) error: Option<(&'a str, &'a str)>,
}

async fn save_check(
    connection: &mut PgConnection,
    case: &Case,
    check: &Check,
    release: &str,
) -> Result<(), StoreError> {
    let score = check.verdict.as_ref().map(|verdict| Decimal::from(verdict.score));
    let judged = sqlx::query(
        "update transactions set fraud_status = $3, fraud_score = $4, updated_at = now()
         where id = $1 and created_at = $2 and fraud_status is null",
    )
    .bind(case.payment_id)
    .bind(case.created_at)
    .bind(check.status.as_str())
    .bind(score)
    .execute(&mut *connection)
    .await?;
    one_row(judged.rows_affected(), case)?;
    let rules = check.verdict.as_ref().map(|verdict| serde_json::json!(verdict.rules));
    sqlx::query(
        "insert into fraud_checks (id, transaction_id, risk_score, rules_triggered, ip_address, device_fingerprint,
             check_duration_ms, status, degraded, deadline_missed, release, created_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
    )
    .bind(uuid_at(Utc::now()))
    .bind(case.payment_id)
    .bind(score.unwrap_or_default())
    .bind(rules.unwrap_or_else(|| serde_json::json!([])))
    .bind(&case.ip_address)
    .bind(&case.device_fingerprint)
    .bind(i32::try_from(check.duration.as_millis()).unwrap_or(i32::MAX))
    .bind(check.status.as_str())
    .bind(check.verdict.as_ref().is_some_and(|verdict| verdict.degraded))
    .bind(check.verdict.is_none())
    .bind(release)
    .bind(case.created_at)
    .execute(connection)
    .await?;
    Ok(())
}

fn one_row(rows: u64, case: &Case) -> Result<(), StoreError> {
    if rows == 1 {
        return Ok(());
    }
    Err(StoreError::Inconsistent(format!("{} is not where it was when it was read", case.payment_id)))
}

fn held(items: u64) -> Result<(), StoreError> {
    if items == 1 { Ok(()) } else { Err(StoreError::Lost) }
}
