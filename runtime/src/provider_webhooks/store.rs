//! What a message of a provider changes: names that were missing, and when the payment is looked at.

use super::Effect;
use crate::database::Pool;
use crate::ids::PaymentId;
use crate::providers::Notice;

/// The names go only to the very attempt or operation that the message is about, and only where there was none. A parked
/// item comes up again: the provider has something to say of it. A lease is left alone, since its worker is asking now.
const MAKE_DUE: &str = "
with attempt as (
    select a.id, a.payment_id, a.state from payment_attempts a
    join payment_providers p on p.id = a.payment_provider_id
    where a.payment_id = $1 and p.resource = $2
), named as (
    update payment_attempts a set provider_reference = $4 from attempt
    where a.id = attempt.id and a.id = $3 and a.state in ('SENT', 'UNKNOWN') and a.provider_reference is null and $4 is not null
), payment as (
    update work_items w set run_at = now(), parked_at = null from attempt
    where w.payment_id = attempt.payment_id and attempt.state in ('SENT', 'UNKNOWN') returning 1
), open as (
    select o.id from operations o where o.payment_id = $1 and o.status = 'PENDING' and o.sent_at is not null
        and exists (select from attempt where state = 'APPROVED')
), operation_named as (
    update operations o set provider_reference = $4, updated_at = now() from open
    where o.id = open.id and o.id = $3 and o.provider_reference is null and $4 is not null
), operation as (
    update operation_items i set run_at = now(), parked_at = null from open where i.operation_id = open.id returning 1
)
select exists (select from attempt), exists (select from payment) or exists (select from operation)";

/// Makes due now whatever of this payment the provider was asked for and has not ended.
///
/// # Errors
/// When the database does not answer.
pub async fn make_due(pool: &Pool, resource: &str, payment: PaymentId, notice: &Notice) -> Result<Effect, sqlx::Error> {
    let (is_known, is_due): (bool, bool) = sqlx::query_as(MAKE_DUE)
        .bind(payment)
        .bind(resource)
        .bind(notice.call_id)
        .bind(&notice.reference)
        .fetch_one(pool)
        .await?;
    Ok(match (is_known, is_due) {
        (_, true) => Effect::Due,
        (true, false) => Effect::Nothing,
        (false, false) => Effect::Unknown,
    })
}
