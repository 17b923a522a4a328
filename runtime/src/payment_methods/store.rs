//! SQL of payment methods.

use chrono::{DateTime, Utc};
use sqlx::{Acquire, PgExecutor, Postgres};

use super::{NewPaymentMethod, PaymentMethod};
use crate::ids::{MerchantId, PaymentMethodId};

/// Stores a payment method. Where it is to be the default, the one before is no longer.
///
/// # Errors
/// When the database refuses.
pub async fn create<'a>(
    database: impl Acquire<'a, Database = Postgres>,
    new: &NewPaymentMethod,
    now: DateTime<Utc>,
) -> Result<PaymentMethodId, sqlx::Error> {
    let id = PaymentMethodId::at(now);
    let mut transaction = database.begin().await?;
    if new.is_default {
        // The user's row is the lock: of two new defaults at once, the later one stays.
        sqlx::query("select from users where id = $1 for update").bind(new.user_id).execute(&mut *transaction).await?;
        sqlx::query(
            "update payment_methods set is_default = false, updated_at = now() where user_id = $1 and is_default",
        )
        .bind(new.user_id)
        .execute(&mut *transaction)
        .await?;
    }
    sqlx::query(
        "insert into payment_methods (id, user_id, type, token, provider, last_four, expiry_month, expiry_year,
             cardholder_name, billing_address, is_default, created_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
    )
    .bind(id)
    .bind(new.user_id)
    .bind(new.kind)
    .bind(&new.token)
    .bind(&new.provider)
    .bind(&new.last_four)
    .bind(new.expiry_month)
    .bind(new.expiry_year)
    .bind(&new.cardholder_name)
    .bind(&new.billing_address)
    .bind(new.is_default)
    .bind(id.created_at())
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(id)
}

/// A payment method of one of this merchant's users; another merchant's does not exist for it.
///
/// # Errors
/// When the database does not answer.
pub async fn find(
    executor: impl PgExecutor<'_>,
    id: PaymentMethodId,
    merchant: MerchantId,
) -> Result<Option<PaymentMethod>, sqlx::Error> {
    sqlx::query_as(
        "select m.id, m.user_id, u.status as user_status, m.type, m.last_four, m.expiry_month, m.expiry_year, m.token
         from payment_methods m join users u on u.id = m.user_id
         where m.id = $1 and u.merchant_id = $2",
    )
    .bind(id)
    .bind(merchant)
    .fetch_optional(executor)
    .await
}
