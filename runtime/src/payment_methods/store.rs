//! SQL of payment methods.

use chrono::{DateTime, Utc};
use sqlx::postgres::PgConnection;
use sqlx::{Acquire, PgExecutor, Postgres};

use super::{NewPaymentMethod, PaymentMethodChange, PaymentMethodJson};
use crate::ids::{MerchantId, PaymentMethodId, UserId};
use crate::page::Page;

/// Columns of a [`PaymentMethodJson`], from `payment_methods m`.
macro_rules! columns {
    () => {
        "m.id, m.user_id, m.type, m.provider, m.last_four, m.expiry_month, m.expiry_year, m.cardholder_name, m.billing_address,
         m.is_default, m.is_verified, m.created_at, m.updated_at, m.detached_at"
    };
}

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
        no_default(&mut transaction, new.user_id).await?;
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

/// Takes the place of the default away. The user's row is the lock: of two new defaults at once, the later one stays.
async fn no_default(connection: &mut PgConnection, user: UserId) -> Result<(), sqlx::Error> {
    sqlx::query("select from users where id = $1 for update").bind(user).execute(&mut *connection).await?;
    sqlx::query(
        "update payment_methods set is_default = false, updated_at = greatest(clock_timestamp(), updated_at + interval '1 microsecond')
         where user_id = $1 and is_default",
    )
    .bind(user)
    .execute(connection)
    .await?;
    Ok(())
}

/// A payment method as it is shown, detached or not.
///
/// # Errors
/// When the database does not answer.
pub async fn show(
    executor: impl PgExecutor<'_>,
    id: PaymentMethodId,
    merchant: MerchantId,
) -> Result<Option<PaymentMethodJson>, sqlx::Error> {
    let found: Option<PaymentMethodJson> = sqlx::query_as(concat!(
        "select ",
        columns!(),
        " from payment_methods m join users u on u.id = m.user_id where m.id = $1 and u.merchant_id = $2"
    ))
    .bind(id)
    .bind(merchant)
    .fetch_optional(executor)
    .await?;
    Ok(found.map(PaymentMethodJson::masked))
}

/// Nobody changes a user's payment methods until this transaction is over.
///
/// # Errors
/// When the database does not answer.
pub async fn hold_all_of(connection: &mut PgConnection, user: UserId) -> Result<(), sqlx::Error> {
    sqlx::query("select from users where id = $1 for update").bind(user).execute(connection).await?;
    Ok(())
}

/// What this user pays with unless told otherwise.
///
/// # Errors
/// When the database does not answer.
pub async fn get_default_payment_method(
    executor: impl PgExecutor<'_>,
    user: UserId,
) -> Result<Option<PaymentMethodJson>, sqlx::Error> {
    let found: Option<PaymentMethodJson> = sqlx::query_as(concat!(
        "select ",
        columns!(),
        " from payment_methods m where m.user_id = $1 and m.is_default and m.detached_at is null"
    ))
    .bind(user)
    .fetch_optional(executor)
    .await?;
    Ok(found.map(PaymentMethodJson::masked))
}

/// Payment methods of this user that can be paid with, in the order of the page.
///
/// # Errors
/// When the database does not answer.
pub async fn list(
    executor: impl PgExecutor<'_>,
    user: UserId,
    merchant: MerchantId,
    page: &Page,
) -> Result<Vec<PaymentMethodJson>, sqlx::Error> {
    let sql = format!(
        concat!(
            "select ",
            columns!(),
            " from payment_methods m join users u on u.id = m.user_id
             where m.user_id = $1 and u.merchant_id = $2 and m.detached_at is null and m.id {} $3 order by m.id {} limit $4"
        ),
        page.comparison(),
        page.direction()
    );
    // Only constants are put into the text.
    let found: Vec<PaymentMethodJson> = sqlx::query_as(sqlx::AssertSqlSafe(sql))
        .bind(user)
        .bind(merchant)
        .bind(page.cursor())
        .bind(page.rows())
        .fetch_all(executor)
        .await?;
    Ok(found.into_iter().map(PaymentMethodJson::masked).collect())
}

/// Changes a payment method of this user.
///
/// # Errors
/// When the database refuses or does not answer.
pub async fn update(
    connection: &mut PgConnection,
    id: PaymentMethodId,
    user: UserId,
    change: &PaymentMethodChange,
) -> Result<PaymentMethodJson, sqlx::Error> {
    if change.is_default == Some(true) {
        no_default(connection, user).await?;
    }
    let changed: PaymentMethodJson = sqlx::query_as(concat!(
        "update payment_methods m set
             is_default = coalesce($2, is_default), is_verified = coalesce($3, is_verified),
             expiry_month = coalesce($4, expiry_month), expiry_year = coalesce($5, expiry_year),
             cardholder_name = case when $6 then $7 else cardholder_name end,
             billing_address = case when $8 then $9 else billing_address end,
             updated_at = greatest(clock_timestamp(), updated_at + interval '1 microsecond')
         where id = $1 returning ",
        columns!()
    ))
    .bind(id)
    .bind(change.is_default)
    .bind(change.is_verified)
    .bind(change.expiry_month)
    .bind(change.expiry_year)
    .bind(change.cardholder_name.is_some())
    .bind(change.cardholder_name.as_ref().and_then(Option::as_ref))
    .bind(change.billing_address.is_some())
    .bind(change.billing_address.as_ref().and_then(Option::as_ref))
    .fetch_one(connection)
    .await?;
    Ok(changed.masked())
}

/// Takes a payment method out of use; doing it again changes nothing. Whether this merchant has it.
///
/// # Errors
/// When the database does not answer.
pub async fn detach(
    executor: impl PgExecutor<'_>,
    id: PaymentMethodId,
    merchant: MerchantId,
    now: DateTime<Utc>,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(
        "update payment_methods m set detached_at = coalesce(m.detached_at, $3), is_default = false,
             updated_at = greatest(clock_timestamp(), m.updated_at + interval '1 microsecond')
         from users u where m.id = $1 and u.id = m.user_id and u.merchant_id = $2",
    )
    .bind(id)
    .bind(merchant)
    .bind(now)
    .execute(executor)
    .await?;
    Ok(done.rows_affected() == 1)
}
