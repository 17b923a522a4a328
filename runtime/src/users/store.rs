//! SQL of users.

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;

use super::{NewUser, User};
use crate::ids::{MerchantId, UserId};

/// Why a user was not made.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// The merchant has a user with this address.
    #[error("a user with this email exists")]
    EmailTaken,
    /// The database.
    #[error(transparent)]
    Database(sqlx::Error),
}

/// Makes a user of this merchant.
///
/// # Errors
/// [`CreateError`].
pub async fn create(
    executor: impl PgExecutor<'_>,
    merchant: MerchantId,
    new: &NewUser,
    now: DateTime<Utc>,
) -> Result<User, CreateError> {
    let id = UserId::at(now);
    sqlx::query_as(
        "insert into users (id, merchant_id, email, full_name, phone, created_at) values ($1, $2, $3, $4, $5, $6)
         returning id, email, full_name, phone, status, risk_level",
    )
    .bind(id)
    .bind(merchant)
    .bind(&new.email)
    .bind(&new.full_name)
    .bind(&new.phone)
    .bind(id.created_at())
    .fetch_one(executor)
    .await
    .map_err(|error| match error.as_database_error().and_then(|e| e.constraint()) {
        Some("users_merchant_id_email_key") => CreateError::EmailTaken,
        _ => CreateError::Database(error),
    })
}

/// Whether this user belongs to this merchant.
///
/// # Errors
/// When the database does not answer.
pub async fn belongs_to(
    executor: impl PgExecutor<'_>,
    user: UserId,
    merchant: MerchantId,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("select exists (select from users where id = $1 and merchant_id = $2)")
        .bind(user)
        .bind(merchant)
        .fetch_one(executor)
        .await
}
