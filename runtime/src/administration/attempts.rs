//! Outcomes that nobody knows: shown by age, resolved by a person who asked at the provider, or sent again.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde::Serialize;
use serde_json::json;
use sqlx::FromRow;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Actor, AdminError};
use crate::database::{self, Pool};
use crate::ids::{AttemptId, CaptureId, MerchantId, PaymentId, RefundId, VoidId};
use crate::operations::Kind;
use crate::payments::Status;
use crate::payments::json::optional_millis;
use crate::processor::resolve::{self, Finding, Resolved};
use crate::processor::resolve_operation;
use crate::queue;

/// Something whose outcome is open, or that waits for a person.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct OpenOutcome {
    /// The attempt or operation, or the payment where no provider was asked.
    pub id: String,
    /// CHARGE, CAPTURE, REFUND or VOID.
    pub kind: String,
    /// The payment.
    pub payment_id: PaymentId,
    /// Its merchant.
    pub merchant_id: MerchantId,
    /// How much, in major units.
    pub amount: String,
    /// ISO 4217.
    pub currency: String,
    /// The provider that was asked.
    pub provider: Option<String>,
    /// The provider's name for it, where an answer carried one.
    pub provider_reference: Option<String>,
    /// When it was first sent.
    #[serde(serialize_with = "optional_millis")]
    pub sent_at: Option<DateTime<Utc>>,
    /// Seconds since then, or since it was accepted.
    pub age_s: i64,
    /// Whether it waits for a person, and nothing is tried any more.
    pub parked: bool,
    /// What the latest try met.
    pub reason: Option<String>,
}

#[derive(FromRow)]
struct Row {
    id: Uuid,
    kind: String,
    payment_id: PaymentId,
    merchant_id: MerchantId,
    amount: Decimal,
    currency: String,
    provider: Option<String>,
    provider_reference: Option<String>,
    sent_at: Option<DateTime<Utc>>,
    age_s: i64,
    parked: bool,
    reason: Option<String>,
}

// What is open is what a queue still holds.
const OPEN: &str = "
select * from (
    select coalesce(a.id, t.id) as id, case when a.id is null then 'PAYMENT' else 'CHARGE' end as kind, t.id as payment_id, t.merchant_id,
        t.amount, t.currency, p.resource as provider, a.provider_reference, a.t_start as sent_at,
        floor(extract(epoch from now() - coalesce(a.t_start, t.created_at)))::bigint as age_s,
        i.parked_at is not null as parked, coalesce(i.last_error, a.error_message) as reason
    from work_items i join transactions t on t.id = i.payment_id and t.created_at = i.payment_created_at
    left join payment_attempts a on a.payment_id = t.id and a.state in ('SENT', 'UNKNOWN')
    left join payment_providers p on p.id = a.payment_provider_id
    where a.id is not null or i.parked_at is not null
    union all
    select o.id, o.kind, o.payment_id, o.merchant_id, o.amount, o.currency, p.resource, o.provider_reference, o.sent_at,
        floor(extract(epoch from now() - coalesce(o.sent_at, o.created_at)))::bigint, i.parked_at is not null, i.last_error
    from operation_items i join operations o on o.id = i.operation_id
    left join transactions t on t.id = o.payment_id and t.created_at = o.payment_created_at
    left join payment_providers p on p.id = t.payment_provider_id
    where o.sent_at is not null or i.parked_at is not null
) outcomes where age_s >= $1 order by age_s desc, id limit 1000";

/// What is open for at least so many seconds, the oldest first; a thousand at most.
///
/// # Errors
/// When the database does not answer.
pub async fn list(pool: &Pool, older_than_s: i64) -> Result<Vec<OpenOutcome>, AdminError> {
    let rows: Vec<Row> = sqlx::query_as(OPEN).bind(older_than_s).fetch_all(pool).await?;
    Ok(rows.into_iter().map(shown).collect())
}

fn shown(row: Row) -> OpenOutcome {
    let id = match row.kind.as_str() {
        "CAPTURE" => CaptureId::from_uuid(row.id).to_string(),
        "REFUND" => RefundId::from_uuid(row.id).to_string(),
        "VOID" => VoidId::from_uuid(row.id).to_string(),
        "CHARGE" => AttemptId::from_uuid(row.id).to_string(),
        _ => PaymentId::from_uuid(row.id).to_string(),
    };
    let amount =
        row.currency.parse().ok().and_then(|currency| crate::money::Money::from_decimal(row.amount, currency).ok());
    OpenOutcome {
        id,
        kind: row.kind,
        payment_id: row.payment_id,
        merchant_id: row.merchant_id,
        amount: amount.map_or_else(|| row.amount.to_string(), |amount| amount.to_string()),
        currency: row.currency,
        provider: row.provider,
        provider_reference: row.provider_reference,
        sent_at: row.sent_at,
        age_s: row.age_s,
        parked: row.parked,
        reason: row.reason,
    }
}

/// What became of a payment whose attempt was resolved.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ResolvedJson {
    /// The payment.
    pub payment_id: PaymentId,
    /// Its status from now on.
    pub status: Status,
}

/// What can be resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The attempt of a payment.
    Attempt(AttemptId),
    /// A capture, refund or void.
    Operation(Kind, Uuid),
}

impl FromStr for Subject {
    type Err = AdminError;

    fn from_str(id: &str) -> Result<Self, AdminError> {
        let attempt = id.parse().map(Self::Attempt).ok();
        let other = || AdminError::invalid("id", "must be that of an attempt, a capture, a refund or a void");
        attempt.or_else(|| operation(id).map(|(kind, id)| Self::Operation(kind, id))).ok_or_else(other)
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Attempt(id) => id.fmt(f),
            Self::Operation(kind, id) => f.write_str(&kind.id_text(*id)),
        }
    }
}

fn operation(id: &str) -> Option<(Kind, Uuid)> {
    let capture = id.parse::<CaptureId>().map(|id| (Kind::Capture, id.as_uuid()));
    let refund = || id.parse::<RefundId>().map(|id| (Kind::Refund, id.as_uuid()));
    capture.or_else(|_| refund()).or_else(|_| id.parse::<VoidId>().map(|id| (Kind::Void, id.as_uuid()))).ok()
}

/// Ends an attempt or operation by what a person found out at the provider: outcome, ledger, event and completion in one
/// commit, and who said so. What is not open, or in a processor's work, is refused.
///
/// # Errors
/// When it cannot be, or the database does not answer.
pub async fn resolve(
    pool: &Pool,
    actor: &Actor,
    subject: Subject,
    finding: &Finding,
    release: &str,
) -> Result<ResolvedJson, AdminError> {
    check(subject, finding)?;
    let why = actor.reason.as_deref().ok_or_else(|| AdminError::invalid("reason", "is needed"))?;
    let Resolved { payment_id, status } = match subject {
        Subject::Attempt(attempt) => {
            let resolved = resolve::resolve(pool, attempt, finding, (actor.name(), why), release).await?;
            // The attempt itself says who and why, in the commit that ended it; this is for those who look by actor.
            let mut connection = pool.acquire().await?;
            let detail = json!({"payment": resolved.payment_id, "status": resolved.status});
            actor.did(&mut connection, "attempt.resolved", &attempt.to_string(), detail).await?;
            resolved
        }
        Subject::Operation(kind, id) => {
            let mut resolving = resolve_operation(pool, kind, id, finding).await?;
            let detail = match finding {
                Finding::Approved { reference, .. } => json!({"outcome": "APPROVED", "reference": reference}),
                Finding::Declined { code, .. } => json!({"outcome": "DECLINED", "code": code}),
            };
            actor.did(resolving.connection(), "operation.resolved", &subject.to_string(), detail).await?;
            resolving.commit(pool).await?
        }
    };
    Ok(ResolvedJson { payment_id, status })
}

fn check(subject: Subject, finding: &Finding) -> Result<(), AdminError> {
    let fits = |text: &str, max: usize| (1..=max).contains(&text.chars().count()) && !text.contains('\0');
    match finding {
        Finding::Approved { reference, .. } if !fits(reference, 255) => {
            Err(AdminError::invalid("reference", "must be the provider's name for the charge, 1 to 255 characters"))
        }
        Finding::Declined { code, .. } if !fits(code, 50) => {
            Err(AdminError::invalid("code", "must be 1 to 50 characters"))
        }
        Finding::Approved { authorized_until: Some(_), .. } if matches!(subject, Subject::Operation(..)) => {
            Err(AdminError::invalid("authorized_until", "is for the attempt of a payment only"))
        }
        _ => Ok(()),
    }
}

/// Sends what waits for a person again: the item of a payment, or of an operation, is tried at once.
///
/// # Errors
/// When nothing of this id waits for a person, or the database does not answer.
pub async fn retry(pool: &Pool, actor: &Actor, id: &str) -> Result<(), AdminError> {
    let payment = id.parse::<PaymentId>().ok().map(PaymentId::as_uuid);
    let attempt = id.parse::<AttemptId>().ok().map(AttemptId::as_uuid);
    let mut transaction = database::begin(pool).await?;
    let again = match (payment.or(attempt), operation(id)) {
        (Some(payment), _) => {
            sqlx::query("update work_items set parked_at = null, run_at = now() where (payment_id = $1 or payment_id = (select payment_id from payment_attempts where id = $1))
                 and parked_at is not null")
                .bind(payment)
        }
        (_, Some((_, operation))) => {
            sqlx::query("update operation_items set parked_at = null, run_at = now() where operation_id = $1 and parked_at is not null")
                .bind(operation)
        }
        (None, None) => {
            return Err(AdminError::invalid("id", "must be that of a payment, an attempt, a capture, a refund or a void"));
        }
    };
    if again.execute(&mut *transaction).await?.rows_affected() == 0 {
        return Err(AdminError::Conflict(format!("{id} does not wait for a person")));
    }
    actor.did(&mut transaction, "attempt.sent_again", id, json!({})).await?;
    transaction.commit().await?;
    if let Err(error) = database::notify(pool, queue::listen::CHANNEL, "").await {
        tracing::debug!(%error, "processors were not told; they look for themselves");
    }
    Ok(())
}
