//! A person says what became of a capture, refund or void, when nobody else can.

use chrono::Utc;
use sqlx::PgConnection;
use uuid::Uuid;

use super::store::{self, Step, StoreError};
use crate::database::Pool;
use crate::operations::Kind;
use crate::operations::outcome::{Change, Outcome};
use crate::processor::error::StepError;
use crate::processor::resolve::{Finding, ResolveError, Resolved};
use crate::processor::settled;
use crate::webhooks::bell;

/// An operation at its end, not committed yet: dropped, nothing happened.
pub struct Resolving {
    step: Step,
    change: Change,
}

/// Ends an operation as the processor would: outcome, sums, ledger, event and completion in one commit.
///
/// # Errors
/// When it is not open, or in work, or the database refuses.
pub async fn resolve(pool: &Pool, kind: Kind, id: Uuid, finding: &Finding) -> Result<Resolving, ResolveError> {
    let Some((mut step, item)) = Step::take(pool, kind, id).await? else {
        return Err(not_taken(pool, kind, id).await?);
    };
    let case = store::load(step.connection(), &item).await?;
    let now = Utc::now();
    if case.operation.sent_at.is_none() {
        step.send(&case.operation, now).await?;
    }
    let change = step.end(&case, outcome(kind, finding), now).await?;
    Ok(Resolving { step, change })
}

impl Resolving {
    /// The transaction, for what belongs into the same commit.
    pub fn connection(&mut self) -> &mut PgConnection {
        self.step.connection()
    }

    /// Makes it true, and tells those who wait.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn commit(self, pool: &Pool) -> Result<Resolved, ResolveError> {
        self.step.commit().await?;
        if let Err(error) = settled::tell(pool, &[self.change.operation.id]).await {
            tracing::debug!(%error, "not announced; whoever waits finds it by looking");
        }
        let payment = self.change.payment;
        bell::announce(pool, payment.merchant_id).await;
        Ok(Resolved { payment_id: payment.id, status: payment.status })
    }
}

fn outcome(kind: Kind, finding: &Finding) -> Outcome {
    match finding {
        Finding::Approved { reference, .. } => Outcome::Done { reference: reference.clone() },
        Finding::Declined { code, .. } => Outcome::Refused { code: code.clone(), message: refusal(kind).to_owned() },
    }
}

const fn refusal(kind: Kind) -> &'static str {
    match kind {
        Kind::Capture => "the provider did not take the amount",
        Kind::Refund => "the provider did not give the amount back",
        Kind::Void => "the provider did not give the amount free",
    }
}

async fn not_taken(pool: &Pool, kind: Kind, id: Uuid) -> Result<ResolveError, StepError> {
    let asked: Option<i32> = sqlx::query_scalar(
        "select 1 from operation_items i join operations o on o.id = i.operation_id
         where o.id = $1 and o.kind = $2 and (o.sent_at is not null or i.parked_at is not null)",
    )
    .bind(id)
    .bind(kind.as_str())
    .fetch_optional(pool)
    .await?;
    let id = kind.id_text(id);
    Ok(if asked.is_some() { ResolveError::InWork(id) } else { ResolveError::NotOpen(id) })
}

impl From<StoreError> for ResolveError {
    fn from(error: StoreError) -> Self {
        Self::Step(error.into())
    }
}
