//! Attempts: what was asked of providers for a payment, as those see it who look at the payment.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgExecutor;
use utoipa::ToSchema;

use super::json::{millis, optional_millis};
use crate::ids::{AttemptId, PaymentId};

/// One charge asked of a provider.
#[derive(Debug, Serialize, ToSchema, sqlx::FromRow)]
#[schema(as = Attempt)]
pub struct AttemptJson {
    /// Its id, and the idempotency key at the provider.
    pub id: AttemptId,
    /// 1, 2, … within the payment.
    pub number: i32,
    /// SENT and UNKNOWN: the outcome is open. RETRYABLE: nothing was sent.
    #[schema(value_type = AttemptState)]
    pub state: String,
    /// Which provider.
    pub provider: String,
    /// Why this provider, and none of the others.
    pub route: Option<String>,
    /// The provider's name for the charge.
    pub provider_reference: Option<String>,
    /// The provider's word for what went wrong.
    pub error_code: Option<String>,
    /// The same as a sentence.
    pub error_message: Option<String>,
    /// When the first call began.
    #[serde(serialize_with = "millis")]
    pub t_start: DateTime<Utc>,
    /// When its outcome was understood.
    #[serde(serialize_with = "optional_millis")]
    pub t_end: Option<DateTime<Utc>>,
    /// From t_start to t_end.
    pub latency_ms: Option<i32>,
}

/// What became of an attempt.
#[derive(ToSchema)]
#[schema(rename_all = "SCREAMING_SNAKE_CASE")]
#[allow(dead_code, reason = "describes what the database holds")]
enum AttemptState {
    Sent,
    Approved,
    Declined,
    Retryable,
    Unknown,
}

/// The attempts of a payment, in order.
///
/// # Errors
/// When the database does not answer.
pub async fn of_payment(executor: impl PgExecutor<'_>, id: PaymentId) -> Result<Vec<AttemptJson>, sqlx::Error> {
    sqlx::query_as(
        "select a.id, a.number, a.state, p.name as provider, a.route, a.provider_reference, a.error_code, a.error_message,
             a.t_start, a.t_end, a.latency_ms
         from payment_attempts a join payment_providers p on p.id = a.payment_provider_id
         where a.payment_id = $1 order by a.number",
    )
    .bind(id)
    .fetch_all(executor)
    .await
}
