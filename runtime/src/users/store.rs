//! SQL of users.

use chrono::{DateTime, Utc};
use sqlx::postgres::PgConnection;
use sqlx::{PgExecutor, Postgres, QueryBuilder};

use super::{NewUser, RiskLevel, Status, User, UserChange};
use crate::ids::{MerchantId, UserId};
use crate::page::Page;

/// Columns of a [`User`].
macro_rules! columns {
    () => {
        "id, email, email_verified, full_name, phone, status, risk_level, created_at, updated_at"
    };
}

/// Why a user was not made or changed.
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
    sqlx::query_as(concat!(
        "insert into users (id, merchant_id, email, full_name, phone, created_at, updated_at) values ($1, $2, $3, $4, $5, $6, $6)
         returning ",
        columns!()
    ))
    .bind(id)
    .bind(merchant)
    .bind(&new.email)
    .bind(&new.full_name)
    .bind(&new.phone)
    .bind(id.created_at())
    .fetch_one(executor)
    .await
    .map_err(refused)
}

fn refused(error: sqlx::Error) -> CreateError {
    match error.as_database_error().and_then(|e| e.constraint()) {
        Some("users_merchant_id_email_key") => CreateError::EmailTaken,
        _ => CreateError::Database(error),
    }
}

/// A user of this merchant; another merchant's does not exist for it.
///
/// # Errors
/// When the database does not answer.
pub async fn find(
    executor: impl PgExecutor<'_>,
    id: UserId,
    merchant: MerchantId,
) -> Result<Option<User>, sqlx::Error> {
    sqlx::query_as(concat!("select ", columns!(), " from users where id = $1 and merchant_id = $2"))
        .bind(id)
        .bind(merchant)
        .fetch_optional(executor)
        .await
}

/// The same, and nobody changes it until this transaction is over.
///
/// # Errors
/// When the database does not answer.
pub async fn hold(
    connection: &mut PgConnection,
    id: UserId,
    merchant: MerchantId,
) -> Result<Option<User>, sqlx::Error> {
    sqlx::query_as(concat!("select ", columns!(), " from users where id = $1 and merchant_id = $2 for update"))
        .bind(id)
        .bind(merchant)
        .fetch_optional(connection)
        .await
}

/// Changes a user.
///
/// # Errors
/// [`CreateError`].
pub async fn update(executor: impl PgExecutor<'_>, id: UserId, change: &UserChange) -> Result<User, CreateError> {
    sqlx::query_as(concat!(
        "update users set
             email = coalesce($2, email),
             email_verified = coalesce($3, email_verified and ($2 is null or lower($2) = lower(email))),
             full_name = case when $4 then $5 else full_name end,
             phone = case when $6 then $7 else phone end,
             status = coalesce($8, status),
             risk_level = coalesce($9, risk_level),
             updated_at = greatest(clock_timestamp(), updated_at + interval '1 microsecond')
         where id = $1 returning ",
        columns!()
    ))
    .bind(id)
    .bind(&change.email)
    .bind(change.email_verified)
    .bind(change.full_name.is_some())
    .bind(change.full_name.as_ref().and_then(Option::as_ref))
    .bind(change.phone.is_some())
    .bind(change.phone.as_ref().and_then(Option::as_ref))
    .bind(change.status)
    .bind(change.risk_level)
    .fetch_one(executor)
    .await
    .map_err(refused)
}

/// Which users are asked for; what is absent does not matter.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// With this address, whatever the case of its letters.
    pub email: Option<String>,
    /// Who may, or may not, pay.
    pub status: Option<Status>,
    /// How much trouble they have been.
    pub risk_level: Option<RiskLevel>,
}

/// Users of this merchant, in the order of the page.
///
/// # Errors
/// When the database does not answer.
pub async fn list(
    executor: impl PgExecutor<'_>,
    merchant: MerchantId,
    filter: &Filter,
    page: &Page,
) -> Result<Vec<User>, sqlx::Error> {
    let mut query = QueryBuilder::<Postgres>::new(concat!("select ", columns!(), " from users where merchant_id = "));
    query.push_bind(merchant).push(format_args!(" and id {} ", page.comparison())).push_bind(page.cursor());
    if let Some(email) = &filter.email {
        query.push(" and lower(email) = lower(").push_bind(email).push(")");
    }
    if let Some(status) = filter.status {
        query.push(" and status = ").push_bind(status);
    }
    if let Some(risk_level) = filter.risk_level {
        query.push(" and risk_level = ").push_bind(risk_level);
    }
    query.push(format_args!(" order by id {} limit ", page.direction())).push_bind(page.rows());
    query.build_query_as().fetch_all(executor).await
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
