//! API keys: further ones, replaced ones that still work for a while, and the end of those that leaked.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use serde_json::json;
use sqlx::postgres::PgConnection;
use utoipa::ToSchema;

use super::{Actor, AdminError, merchants};
use crate::database::{self, Pool};
use crate::ids::MerchantId;
use crate::merchants::ApiKey;
use crate::payments::json::{millis, optional_millis};

/// A replaced key works for at most so long.
pub const OVERLAP_MAX_H: u32 = 24 * 30;
/// Stands in `merchants.api_key_prefix` when the merchant's own key was revoked.
const REVOKED: &str = "revoked";

/// A key as it is shown: the key itself is kept nowhere.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema, sqlx::FromRow)]
#[schema(as = ApiKey)]
pub struct KeyJson {
    /// Its first characters, by which it is named.
    pub prefix: String,
    /// When it was made.
    #[serde(serialize_with = "millis")]
    pub created_at: DateTime<Utc>,
    /// When it ends; null for never.
    #[serde(serialize_with = "optional_millis")]
    pub expires_at: Option<DateTime<Utc>>,
}

/// A key, this once.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct MadeKey {
    /// The key, which is kept nowhere.
    pub api_key: String,
    /// Its first characters, by which it is named.
    pub prefix: String,
    /// When it ends; null for never.
    #[serde(serialize_with = "optional_millis")]
    pub expires_at: Option<DateTime<Utc>>,
}

/// The keys of a merchant that work now.
///
/// # Errors
/// When there is no such merchant, or the database does not answer.
pub async fn list(pool: &Pool, merchant: MerchantId) -> Result<Vec<KeyJson>, AdminError> {
    merchants::show(pool, merchant).await?;
    let found = sqlx::query_as(
        "select api_key_prefix as prefix, created_at, null::timestamptz as expires_at from merchants where id = $1 and api_key_prefix <> $2
         union all
         select prefix, created_at, expires_at from api_keys where merchant_id = $1 and (expires_at is null or expires_at > now())
         order by created_at",
    )
    .bind(merchant)
    .bind(REVOKED)
    .fetch_all(pool)
    .await?;
    Ok(found)
}

/// Makes a further key, which ends after so many days, or never.
///
/// # Errors
/// When there is no such merchant, or the database does not answer.
pub async fn create(
    pool: &Pool,
    actor: &Actor,
    merchant: MerchantId,
    days: Option<u32>,
) -> Result<MadeKey, AdminError> {
    if days.is_some_and(|days| !(1..=3650).contains(&days)) {
        return Err(AdminError::invalid("expires_in_days", "must be between 1 and 3650"));
    }
    merchants::show(pool, merchant).await?;
    let key = ApiKey::generate(&mut rand::rng());
    let expires_at = days.map(|days| Utc::now() + TimeDelta::days(i64::from(days)));
    let mut transaction = database::begin(pool).await?;
    keep(&mut transaction, merchant, &key.hash(), key.shown(), expires_at).await?;
    actor.did(&mut transaction, "key.created", &merchant.to_string(), json!({"prefix": key.shown()})).await?;
    transaction.commit().await?;
    Ok(made(&key, expires_at))
}

/// Replaces a merchant's own key. The one before works for so many hours yet.
///
/// # Errors
/// When there is no such merchant, or the time is too long, or the database does not answer.
pub async fn rotate(pool: &Pool, actor: &Actor, merchant: MerchantId, overlap_h: u32) -> Result<MadeKey, AdminError> {
    if overlap_h > OVERLAP_MAX_H {
        return Err(AdminError::invalid("overlap_hours", format!("must be at most {OVERLAP_MAX_H}")));
    }
    let key = ApiKey::generate(&mut rand::rng());
    let mut transaction = database::begin(pool).await?;
    let before: Option<(String, String)> =
        sqlx::query_as("select api_key, api_key_prefix from merchants where id = $1 for update")
            .bind(merchant)
            .fetch_optional(&mut *transaction)
            .await?;
    let (hash, prefix) = before.ok_or_else(|| merchants::missing(merchant))?;
    replace(&mut transaction, merchant, &key.hash(), key.shown()).await?;
    if overlap_h > 0 && prefix != REVOKED {
        let until = Utc::now() + TimeDelta::hours(i64::from(overlap_h));
        keep(&mut transaction, merchant, &hash, &prefix, Some(until)).await?;
    }
    let detail = json!({"from": prefix, "to": key.shown(), "overlap_hours": overlap_h});
    actor.did(&mut transaction, "key.rotated", &merchant.to_string(), detail).await?;
    transaction.commit().await?;
    Ok(made(&key, None))
}

/// Ends a key, named by its first characters: within seconds no gateway takes it.
///
/// # Errors
/// When the merchant has no such key, or the database does not answer.
pub async fn revoke(pool: &Pool, actor: &Actor, merchant: MerchantId, prefix: &str) -> Result<(), AdminError> {
    let mut transaction = database::begin(pool).await?;
    let further = sqlx::query("delete from api_keys where merchant_id = $1 and prefix = $2")
        .bind(merchant)
        .bind(prefix)
        .execute(&mut *transaction)
        .await?;
    let own: Option<bool> =
        sqlx::query_scalar("select api_key_prefix = $2 and $2 <> $3 from merchants where id = $1 for update")
            .bind(merchant)
            .bind(prefix)
            .bind(REVOKED)
            .fetch_optional(&mut *transaction)
            .await?;
    if own.ok_or_else(|| merchants::missing(merchant))? {
        // The hash of a key that nobody has seen: nothing opens it.
        let nobodys = ApiKey::generate(&mut rand::rng()).hash();
        replace(&mut transaction, merchant, &nobodys, REVOKED).await?;
    } else if further.rows_affected() == 0 {
        return Err(AdminError::NotFound(format!("key {prefix} of {merchant}")));
    }
    actor.did(&mut transaction, "key.revoked", &merchant.to_string(), json!({"prefix": prefix})).await?;
    transaction.commit().await?;
    Ok(())
}

async fn replace(
    connection: &mut PgConnection,
    merchant: MerchantId,
    hash: &str,
    prefix: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query("update merchants set api_key = $2, api_key_prefix = $3, updated_at = now() where id = $1")
        .bind(merchant)
        .bind(hash)
        .bind(prefix)
        .execute(connection)
        .await?;
    Ok(())
}

async fn keep(
    connection: &mut PgConnection,
    merchant: MerchantId,
    hash: &str,
    prefix: &str,
    expires_at: Option<DateTime<Utc>>,
) -> Result<(), sqlx::Error> {
    sqlx::query("insert into api_keys (hash, merchant_id, prefix, expires_at) values ($1, $2, $3, $4)")
        .bind(hash)
        .bind(merchant)
        .bind(prefix)
        .bind(expires_at)
        .execute(connection)
        .await?;
    Ok(())
}

fn made(key: &ApiKey, expires_at: Option<DateTime<Utc>>) -> MadeKey {
    MadeKey { api_key: key.expose().to_owned(), prefix: key.shown().to_owned(), expires_at }
}
