//! SQL of idempotency keys.

use chrono::{DateTime, Utc};
use sqlx::{PgExecutor, Row};

use super::{Answer, IdempotencyKey, Known, RequestHash};
use crate::ids::{MerchantId, PaymentId};

/// What is known of a merchant's key.
///
/// # Errors
/// When the database does not answer.
pub async fn find(
    executor: impl PgExecutor<'_>,
    merchant: MerchantId,
    key: &IdempotencyKey,
    hash: RequestHash,
    now: DateTime<Utc>,
) -> Result<Known, sqlx::Error> {
    let row = sqlx::query(
        "select request_hash, payment_id, response_status, response_headers, response_body
         from idempotency_keys where merchant_id = $1 and key = $2 and expires_at > $3",
    )
    .bind(merchant)
    .bind(key.as_str())
    .bind(now)
    .fetch_optional(executor)
    .await?;
    let Some(row) = row else { return Ok(Known::Fresh) };
    if row.try_get::<&[u8], _>("request_hash")? != hash.as_bytes() {
        return Ok(Known::Mismatch);
    }
    Ok(match answer(&row)? {
        Some(answer) => Known::Replay(answer),
        None => Known::InFlight(row.try_get("payment_id")?),
    })
}

/// Keeps the first answer given to a key and returns it: the one given here, or the one that came before. A key that
/// was forgotten meanwhile, or stands for another payment by now, is left as it is.
///
/// # Errors
/// When the database does not answer.
pub async fn answer_once(
    executor: impl PgExecutor<'_>,
    merchant: MerchantId,
    key: &IdempotencyKey,
    payment: PaymentId,
    answer_now: &Answer,
) -> Result<Answer, sqlx::Error> {
    // A row is returned either way, so that this is one statement and there is no moment between writing and reading.
    let row = sqlx::query(
        "update idempotency_keys set
             response_status = coalesce(response_status, $3),
             response_headers = coalesce(response_headers, $4),
             response_body = coalesce(response_body, $5)
         where merchant_id = $1 and key = $2 and payment_id = $6
         returning response_status, response_headers, response_body",
    )
    .bind(merchant)
    .bind(key.as_str())
    .bind(i32::from(answer_now.status))
    .bind(serde_json::json!({ "location": answer_now.location }))
    .bind(&answer_now.body)
    .bind(payment)
    .fetch_optional(executor)
    .await?;
    let kept = row.as_ref().map(answer).transpose()?.flatten();
    Ok(kept.unwrap_or_else(|| answer_now.clone()))
}

fn answer(row: &sqlx::postgres::PgRow) -> Result<Option<Answer>, sqlx::Error> {
    let Some(status) = row.try_get::<Option<i32>, _>("response_status")? else { return Ok(None) };
    let headers: serde_json::Value = row.try_get("response_headers")?;
    Ok(Some(Answer {
        status: u16::try_from(status).map_err(|error| sqlx::Error::Decode(error.into()))?,
        location: headers["location"].as_str().unwrap_or_default().to_owned(),
        body: row.try_get("response_body")?,
    }))
}

/// Forgets keys whose time is over, a limited number at once so that no long lock arises. Returns how many.
///
/// # Errors
/// When the database does not answer.
pub async fn forget_expired(executor: impl PgExecutor<'_>, now: DateTime<Utc>) -> Result<u64, sqlx::Error> {
    let done = sqlx::query(
        "delete from idempotency_keys where (merchant_id, key) in (
             select merchant_id, key from idempotency_keys where expires_at <= $1 limit 5000 for update skip locked)",
    )
    .bind(now)
    .execute(executor)
    .await?;
    Ok(done.rows_affected())
}
