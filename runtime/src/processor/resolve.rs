//! A person says what became of an attempt, when nobody else can.

use chrono::{DateTime, Utc};
use thiserror::Error;

use super::ending::{Approval, Ended};
use super::error::StepError;
use super::load::{self, Claimed};
use super::record::{Answered, Fate, Record};
use super::settled;
use super::write;
use crate::database::{Link, Pool};
use crate::ids::{AttemptId, PaymentId};
use crate::payments::Status;

/// What that person found out at the provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// The provider took the amount, or holds it.
    Approved {
        /// The provider's name for the charge.
        reference: String,
        /// Until when it holds the amount, for a payment that is captured later.
        authorized_until: Option<DateTime<Utc>>,
    },
    /// It did not, and will not.
    Declined {
        /// As one word.
        code: String,
        /// As a sentence for the merchant.
        message: String,
    },
}

/// What was resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The payment.
    pub payment_id: PaymentId,
    /// Its status from now on.
    pub status: Status,
}

/// Why an attempt was not resolved. Nothing was written.
#[derive(Debug, Error)]
pub enum ResolveError {
    /// There is none of this id whose outcome is open.
    #[error("nothing of the id {0} is open")]
    NotOpen(String),
    /// A processor has it in work: it may be told by the provider at this very moment.
    #[error("a processor is asking the provider about {0} right now; try again in some seconds")]
    InWork(String),
    /// The record.
    #[error(transparent)]
    Step(#[from] StepError),
}

/// Ends a payment as the processor would: outcome, ledger, event and completion in one commit. `who` and `why` are kept
/// with the attempt.
///
/// # Errors
/// When the attempt is not open, or in work, or the database refuses.
pub async fn resolve(
    pool: &Pool,
    attempt: AttemptId,
    finding: &Finding,
    (who, why): (&str, &str),
    release: &str,
) -> Result<Resolved, ResolveError> {
    let Claimed { item, case, unsent: _ } = claim(pool, attempt, who).await?;
    let case = case?;
    let open = case
        .open
        .as_ref()
        .filter(|open| open.id == attempt)
        .ok_or_else(|| ResolveError::NotOpen(attempt.to_string()))?;
    let now = Utc::now();
    let (answered, ended) = match finding {
        Finding::Approved { reference, authorized_until } => {
            let approval = Approval { open, reference, authorized_until: *authorized_until };
            (Answered::approved(open, reference, now), Ended::approved(&case, &approval, now))
        }
        Finding::Declined { code, message } => {
            (Answered::declined(open, code, message, now), Ended::failed(&case, Some(open), code, message, now))
        }
    };
    let ended = ended.map_err(|error| StepError::Inconsistent(format!("{}: {error}", item.payment_id)))?;
    let status = ended.payment.status;
    let record = Record {
        lease: item.lease(),
        payment_id: item.payment_id,
        created_at: item.payment_created_at,
        check: None,
        answered: Some(answered.said_by(who, why)),
        ended: Some(Box::new(ended)),
        item: Fate::Complete,
    };
    commit(pool, release, &record).await?;
    if let Err(error) = settled::tell(pool, &[item.payment_id.as_uuid()]).await {
        tracing::debug!(%error, "not announced; whoever waits finds it by looking");
    }
    Ok(Resolved { payment_id: item.payment_id, status })
}

async fn claim(pool: &Pool, attempt: AttemptId, who: &str) -> Result<Claimed, ResolveError> {
    if let Some(claimed) = load::claim_attempt(pool, attempt, who).await.map_err(StepError::from)? {
        return Ok(claimed);
    }
    let open: Option<i32> =
        sqlx::query_scalar("select 1 from payment_attempts where id = $1 and state in ('SENT', 'UNKNOWN')")
            .bind(attempt)
            .fetch_optional(pool)
            .await
            .map_err(StepError::from)?;
    let id = attempt.to_string();
    Err(if open.is_some() { ResolveError::InWork(id) } else { ResolveError::NotOpen(id) })
}

async fn commit(pool: &Pool, release: &str, record: &Record) -> Result<(), StepError> {
    let results = write::record(&mut Link::new(pool.clone()), release, &[record]).await?;
    results.into_iter().next().unwrap_or(Err(StepError::Lost)).map(drop)
}
