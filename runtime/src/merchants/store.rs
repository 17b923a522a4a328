//! SQL of merchants.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use sqlx::PgExecutor;

use super::{ApiKey, Merchant};
use crate::ids::MerchantId;

/// A merchant to be.
#[derive(Clone, Debug)]
pub struct NewMerchant {
    /// Name shown to people.
    pub name: String,
    /// Where its people are reached.
    pub email: String,
    /// Share that the platform keeps, in percent.
    pub fee_percentage: Decimal,
}

/// Stores a merchant with the hash of its key.
///
/// # Errors
/// When the database refuses.
pub async fn create(
    executor: impl PgExecutor<'_>,
    new: &NewMerchant,
    key: &ApiKey,
    now: DateTime<Utc>,
) -> Result<MerchantId, sqlx::Error> {
    let id = MerchantId::at(now);
    sqlx::query(
        "insert into merchants (id, name, email, api_key, api_key_prefix, fee_percentage, created_at)
         values ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(id)
    .bind(&new.name)
    .bind(&new.email)
    .bind(key.hash())
    .bind(key.shown())
    .bind(new.fee_percentage)
    .bind(id.created_at())
    .execute(executor)
    .await?;
    Ok(id)
}

/// The merchant whose key this is.
///
/// # Errors
/// When the database does not answer.
pub async fn find_by_key(executor: impl PgExecutor<'_>, key_hash: &str) -> Result<Option<Merchant>, sqlx::Error> {
    sqlx::query_as(
        "select id, name, status, fee_percentage, is_test from merchants where api_key = $1
         union all
         select m.id, m.name, m.status, m.fee_percentage, m.is_test from api_keys k join merchants m on m.id = k.merchant_id
         where k.hash = $1 and (k.expires_at is null or k.expires_at > now())
         limit 1",
    )
    .bind(key_hash)
    .fetch_optional(executor)
    .await
}

/// The merchant with this id.
///
/// # Errors
/// When the database does not answer.
pub async fn find(executor: impl PgExecutor<'_>, id: MerchantId) -> Result<Option<Merchant>, sqlx::Error> {
    sqlx::query_as("select id, name, status, fee_percentage, is_test from merchants where id = $1")
        .bind(id)
        .fetch_optional(executor)
        .await
}
