//! Claiming payments and reading all that is known of them, in one statement.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use sqlx::postgres::PgRow;
use sqlx::{PgExecutor, Row};
use uuid::Uuid;

use super::case::{Case, Judgement, OpenAttempt, ProviderAddress};
use super::error::StepError;
use crate::fraud;
use crate::ids::{AttemptId, PaymentId};
use crate::payments::row;
use crate::queue::{Claimant, First, Item, claimed};

/// A payment that was claimed, and what is known of it: or why that is not to be understood, which must not keep the
/// others of the same claim from their end.
pub struct Claimed {
    /// The claim.
    pub item: Item,
    /// The payment.
    pub case: Result<Case, StepError>,
    /// An attempt that was committed with the claim, and is yet to be sent.
    pub unsent: Option<OpenAttempt>,
}

impl Claimed {
    fn read(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self { item: item(row)?, case: case(row), unsent: None })
    }
}

// `offset 0` keeps each part a look-up by the keys of one claimed row, in the one partition of its `created_at`, however
// the planner judges the sizes of the tables. Of what is claimed for the first time there is no attempt and no check yet.
macro_rules! loaded {
    ($claimed:expr) => {
        concat!(
            $claimed,
    "select c.id as item_id, c.payment_id, c.payment_created_at, c.release as item_release, c.attempt as claim, c.claim_token,
         c.last_error, (select purchase from work_items w where w.id = c.id) as purchase, loaded.*, asked.*, judged.*
     from claimed c
     left join lateral (
         select ",
    row::columns!(as stored),
    ", m.fee_percentage, m.is_test, pm.token
         from transactions t
         join merchants m on m.id = t.merchant_id
         join payment_methods pm on pm.id = t.payment_method_id
         left join payment_providers p on p.id = t.payment_provider_id
         where t.id = c.payment_id and t.created_at = c.payment_created_at offset 0
     ) loaded on true
     left join lateral (
         select (select max(number) from payment_attempts where payment_id = c.payment_id) as attempts,
             a.id as attempt_id, a.t_start as attempt_t_start, a.provider_reference as attempt_reference,
             p.id as attempt_provider_id, p.resource as attempt_resource, p.name as attempt_provider,
             coalesce(a.api_endpoint, p.api_endpoint) as attempt_endpoint, p.max_latency_ms as attempt_latency_max
         from (values (1)) as one
         left join payment_attempts a on a.payment_id = c.payment_id and a.state in ('SENT', 'UNKNOWN')
         left join payment_providers p on p.id = a.payment_provider_id
         where c.attempt > 1 offset 0
     ) asked on true
     left join lateral (
         select f.status as judged_status, f.risk_score as judged_score, f.deadline_missed as judged_too_late
         from fraud_checks f
         where c.attempt > 1 and f.transaction_id = c.payment_id and f.created_at = c.payment_created_at offset 0
     ) judged on true"

        )
    };
}

const CLAIM: &str = loaded!(claimed!("work_items", "payment_id"));

// Nobody has it, or its claim ran out.
const CLAIM_ATTEMPT: &str = loaded!(
    "with claimed as (
         update work_items as item set attempt = item.attempt + 1, claim_token = $2, leased_until = now() + interval '30 seconds', leased_by = $3
         from payment_attempts a
         where a.id = $1 and a.state in ('SENT', 'UNKNOWN') and item.payment_id = a.payment_id
             and (item.leased_until is null or item.leased_until < now())
         returning item.id, item.payment_id as subject_id, item.payment_id, item.payment_created_at, item.release,
             item.attempt, item.claim_token, item.last_error
     ) "
);

/// Claims up to `limit` payments that are due, with all that is known of them.
///
/// # Errors
/// When the database does not answer.
pub async fn claim(
    executor: impl PgExecutor<'_>,
    claimant: &Claimant,
    limit: u32,
    first: First,
) -> Result<Vec<Claimed>, sqlx::Error> {
    let rows = sqlx::query(CLAIM)
        .bind(&claimant.release)
        .bind(&claimant.worker)
        .bind(claimant.lease)
        .bind(claimant.grace)
        .bind(i64::from(limit))
        .bind(first == First::Own)
        .bind(rand::random::<i64>())
        .fetch_all(executor)
        .await?;
    rows.iter().map(Claimed::read).collect()
}

/// Claims the payment of an open attempt, unless somebody has it.
///
/// # Errors
/// When the database does not answer.
pub(super) async fn claim_attempt(
    executor: impl PgExecutor<'_>,
    attempt: AttemptId,
    who: &str,
) -> Result<Option<Claimed>, sqlx::Error> {
    let query = sqlx::query(CLAIM_ATTEMPT).bind(attempt).bind(rand::random::<i64>()).bind(who);
    let row = query.fetch_optional(executor).await?;
    row.as_ref().map(Claimed::read).transpose()
}

fn item(row: &PgRow) -> Result<Item, sqlx::Error> {
    let payment_id: PaymentId = row.try_get("payment_id")?;
    Ok(Item {
        id: row.try_get("item_id")?,
        subject_id: payment_id.as_uuid(),
        payment_id,
        payment_created_at: row.try_get("payment_created_at")?,
        release: row.try_get("item_release")?,
        attempt: row.try_get("claim")?,
        claim_token: row.try_get("claim_token")?,
        last_error: row.try_get("last_error")?,
    })
}

fn case(row: &PgRow) -> Result<Case, StepError> {
    let payment_id: PaymentId = row.try_get("payment_id")?;
    if row.try_get::<Option<Uuid>, _>("id")?.is_none() {
        return Err(StepError::Inconsistent(format!("there is no payment {payment_id}")));
    }
    let unknown =
        |what: String| StepError::Inconsistent(format!("{payment_id} has {what}, which this release does not know"));
    let payment = row::payment(row).map_err(|error| unknown(error.to_string()))?;
    Ok(Case {
        judgement: judgement(row, unknown)?,
        open: open_attempt(row, unknown)?,
        attempts: row.try_get::<Option<i32>, _>("attempts")?.unwrap_or(0),
        is_test: row.try_get("is_test")?,
        fee_percentage: row.try_get("fee_percentage")?,
        token: row.try_get::<String, _>("token")?.into(),
        purchase: row.try_get("purchase")?,
        payment,
    })
}

fn judgement(row: &PgRow, unknown: impl Fn(String) -> StepError) -> Result<Option<Judgement>, StepError> {
    let Some(name) = row.try_get::<Option<&str>, _>("judged_status")? else {
        return Ok(None);
    };
    let status = fraud::Status::from_name(name).ok_or_else(|| unknown(format!("the fraud status {name}")))?;
    let too_late: bool = row.try_get("judged_too_late")?;
    let score: Decimal = row.try_get("judged_score")?;
    Ok(Some(Judgement { status, score: (!too_late).then_some(score) }))
}

fn open_attempt(row: &PgRow, unknown: impl Fn(String) -> StepError) -> Result<Option<OpenAttempt>, StepError> {
    let Some(id) = row.try_get::<Option<Uuid>, _>("attempt_id")? else {
        return Ok(None);
    };
    let name: &str = row.try_get("attempt_provider")?;
    let name = serde_json::from_value(name.into()).map_err(|_| unknown(format!("an attempt at {name}")))?;
    let max_latency_ms: i32 = row.try_get("attempt_latency_max")?;
    Ok(Some(OpenAttempt {
        id: AttemptId::from_uuid(id),
        t_start: row.try_get::<DateTime<Utc>, _>("attempt_t_start")?,
        reference: row.try_get("attempt_reference")?,
        provider_id: row.try_get("attempt_provider_id")?,
        provider: ProviderAddress {
            resource: row.try_get("attempt_resource")?,
            name,
            api_endpoint: row.try_get("attempt_endpoint")?,
            max_latency_ms: max_latency_ms.unsigned_abs(),
        },
    }))
}
