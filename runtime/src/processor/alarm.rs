//! Outcomes that nobody knows, by age: each is a customer who may have been charged and was told nothing.

use crate::database::Pool;

/// From this age on somebody should look. Until then it is usually a provider that is slow to come back.
pub const ALARM_AFTER_S: i64 = 600;

/// How many outcomes are open, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct OpenOutcomes {
    /// Attempts and operations that were sent at least a minute ago, and of which nobody knows what became.
    pub unknown: i64,
    /// Seconds since the oldest of all that are open was sent; 0 when there is none.
    pub oldest_s: i64,
}

// What is open is what a queue still holds, so that neither part reads more than is in work.
const OPEN: &str = "
with open as (
    select t_start as sent_at from payment_attempts where state in ('SENT', 'UNKNOWN')
    union all
    select o.sent_at from operation_items i join operations o on o.id = i.operation_id where o.sent_at is not null
)
select count(*) filter (where sent_at < now() - interval '1 minute') as unknown,
    coalesce(floor(extract(epoch from now() - min(sent_at))), 0)::bigint as oldest_s
from open";

/// Measures what is open.
///
/// # Errors
/// When the database does not answer.
pub async fn open_outcomes(pool: &Pool) -> Result<OpenOutcomes, sqlx::Error> {
    sqlx::query_as(OPEN).fetch_one(pool).await
}
