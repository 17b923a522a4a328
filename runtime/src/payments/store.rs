//! SQL of payments: how they are read. How they are accepted stands in [`super::accept`].

use sqlx::PgExecutor;
use sqlx::postgres::PgConnection;

use super::{Payment, row};
use crate::ids::{MerchantId, PaymentId};

const LOAD: &str = concat!(
    "select ",
    row::columns!(),
    " from transactions t left join payment_providers p on p.id = t.payment_provider_id where t.id = $1 and t.created_at = $2"
);

const LOCK: &str = concat!(
    "select ",
    row::columns!(as stored),
    " from transactions t left join payment_providers p on p.id = t.payment_provider_id
     where t.id = $1 and t.created_at = $2 for update of t"
);

/// A payment, whoever's it is. For the platform's own use: what a merchant asks for goes through [`find`].
///
/// # Errors
/// When the database does not answer, or holds what is no payment.
pub async fn load(executor: impl PgExecutor<'_>, id: PaymentId) -> Result<Option<Payment>, sqlx::Error> {
    let row = sqlx::query(LOAD).bind(id).bind(id.created_at()).fetch_optional(executor).await?;
    row.as_ref().map(row::payment).transpose()
}

/// Keeps a payment as it is until the caller's transaction is over, whoever would change it waits, and then knows that the
/// answer to the payment's key was given.
///
/// # Errors
/// When the database does not answer.
pub async fn hold_still_for_answer(connection: &mut PgConnection, id: PaymentId) -> Result<(), sqlx::Error> {
    // In the order in which the payment's end takes its locks.
    sqlx::query("update work_items set is_answered = true where payment_id = $1")
        .bind(id)
        .execute(&mut *connection)
        .await?;
    sqlx::query("select from transactions where id = $1 and created_at = $2 for share")
        .bind(id)
        .bind(id.created_at())
        .execute(connection)
        .await?;
    Ok(())
}

/// The payment with its row locked until the transaction ends: what is written from it is then still so. Its status is
/// the row's.
///
/// # Errors
/// As [`load`].
pub async fn lock(executor: impl PgExecutor<'_>, id: PaymentId) -> Result<Option<Payment>, sqlx::Error> {
    let row = sqlx::query(LOCK).bind(id).bind(id.created_at()).fetch_optional(executor).await?;
    row.as_ref().map(row::payment).transpose()
}

/// A payment of this merchant; another merchant's does not exist for it.
///
/// # Errors
/// As [`load`].
pub async fn find(
    executor: impl PgExecutor<'_>,
    id: PaymentId,
    merchant: MerchantId,
) -> Result<Option<Payment>, sqlx::Error> {
    Ok(load(executor, id).await?.filter(|payment| payment.merchant_id == merchant))
}
