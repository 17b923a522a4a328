//! SQL of endpoints, as merchants see them. What delivers has its own ([`super::dispatch`]).

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::postgres::PgConnection;
use sqlx::{Connection, PgExecutor, Postgres, QueryBuilder};

use super::endpoint::{ENDPOINTS_MAX, EndpointChange, NewEndpoint};
use super::secret::WebhookSecret;
use super::{WebhookEndpoint, notice};
use crate::events;
use crate::ids::{MerchantId, WebhookEndpointId};
use crate::page::Page;

/// Why an endpoint was not made.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// The merchant has as many as it may.
    #[error("a merchant has at most {ENDPOINTS_MAX} endpoints")]
    TooMany,
    /// The database.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// Makes an endpoint, in a transaction or in the caller's.
///
/// # Errors
/// [`CreateError`].
pub async fn create(
    connection: &mut PgConnection,
    merchant: MerchantId,
    new: &NewEndpoint,
    secret: &WebhookSecret,
    now: DateTime<Utc>,
) -> Result<WebhookEndpoint, CreateError> {
    let mut transaction = connection.begin().await?;
    // One after the other for a merchant, so that the number holds. Payments refer to the row and are not held up.
    sqlx::query("select from merchants where id = $1 for no key update")
        .bind(merchant)
        .execute(&mut *transaction)
        .await?;
    let id = WebhookEndpointId::at(now);
    let made = sqlx::query_as(
        "insert into webhook_endpoints (id, merchant_id, url, description, event_types, secret, created_at, updated_at)
         select $1, $2, $3, $4, $5, $6, $7, $7
         where (select count(*) from webhook_endpoints where merchant_id = $2) < $8
         returning *",
    )
    .bind(id)
    .bind(merchant)
    .bind(&new.url)
    .bind(&new.description)
    .bind(&new.event_types)
    .bind(secret.expose())
    .bind(id.created_at())
    .bind(ENDPOINTS_MAX)
    .fetch_optional(&mut *transaction)
    .await?;
    transaction.commit().await?;
    made.ok_or(CreateError::TooMany)
}

/// One endpoint of a merchant.
///
/// # Errors
/// When the database does not answer.
pub async fn find(
    executor: impl PgExecutor<'_>,
    id: WebhookEndpointId,
    merchant: MerchantId,
) -> Result<Option<WebhookEndpoint>, sqlx::Error> {
    one(executor, ONE, id, merchant).await
}

/// The same, and nobody changes it until the transaction ends.
///
/// # Errors
/// When the database does not answer.
pub async fn hold(
    executor: impl PgExecutor<'_>,
    id: WebhookEndpointId,
    merchant: MerchantId,
) -> Result<Option<WebhookEndpoint>, sqlx::Error> {
    one(executor, ONE_HELD, id, merchant).await
}

macro_rules! one {
    ($held:literal) => {
        concat!("select * from webhook_endpoints where id = $1 and merchant_id = $2", $held)
    };
}
const ONE: &str = one!("");
const ONE_HELD: &str = one!(" for update");

async fn one(
    executor: impl PgExecutor<'_>,
    query: &'static str,
    id: WebhookEndpointId,
    merchant: MerchantId,
) -> Result<Option<WebhookEndpoint>, sqlx::Error> {
    sqlx::query_as(query).bind(id).bind(merchant).fetch_optional(executor).await
}

/// A page of a merchant's endpoints, in the order in which they are read.
///
/// # Errors
/// When the database does not answer.
pub async fn list(
    executor: impl PgExecutor<'_>,
    merchant: MerchantId,
    page: &Page,
) -> Result<Vec<WebhookEndpoint>, sqlx::Error> {
    let mut query = QueryBuilder::<Postgres>::new("select * from webhook_endpoints where merchant_id = ");
    query.push_bind(merchant).push(format_args!(" and id {} ", page.comparison())).push_bind(page.cursor());
    query.push(format_args!(" order by id {} limit ", page.direction())).push_bind(page.rows());
    query.build_query_as().fetch_all(executor).await
}

/// Changes an endpoint. To be announced after the commit.
///
/// # Errors
/// When the database does not answer.
pub async fn update(
    executor: impl PgExecutor<'_>,
    id: WebhookEndpointId,
    change: &EndpointChange,
    now: DateTime<Utc>,
) -> Result<WebhookEndpoint, sqlx::Error> {
    sqlx::query_as(
        "update webhook_endpoints set
             url = coalesce($2, url),
             description = case when $3 then $4 else description end,
             event_types = case when $5 then $6 else event_types end,
             status = case when $7 then 'DISABLED' else status end,
             updated_at = $8
         where id = $1
         returning *",
    )
    .bind(id)
    .bind(&change.url)
    .bind(change.description.is_some())
    .bind(change.description.as_ref().and_then(Option::as_ref))
    .bind(change.event_types.is_some())
    .bind(change.event_types.as_ref().and_then(Option::as_ref))
    .bind(change.disabled == Some(true))
    .bind(now)
    .fetch_one(executor)
    .await
}

/// Puts an endpoint into use again, with a clean slate. What happened meanwhile is not sent: it can be replayed.
///
/// # Errors
/// When the database does not answer.
pub async fn enable(
    executor: impl PgExecutor<'_>,
    id: WebhookEndpointId,
    merchant: MerchantId,
    now: DateTime<Utc>,
) -> Result<Option<WebhookEndpoint>, sqlx::Error> {
    sqlx::query_as(
        "update webhook_endpoints set status = 'ENABLED', disabled_reason = null, failures = 0, updated_at = $3
         where id = $1 and merchant_id = $2 returning *",
    )
    .bind(id)
    .bind(merchant)
    .bind(now)
    .fetch_optional(executor)
    .await
}

/// Gives an endpoint a new secret. The one before signs as well for as long as `overlap`.
///
/// # Errors
/// When the database does not answer.
pub async fn rotate(
    executor: impl PgExecutor<'_>,
    id: WebhookEndpointId,
    merchant: MerchantId,
    secret: &WebhookSecret,
    overlap: TimeDelta,
    now: DateTime<Utc>,
) -> Result<Option<WebhookEndpoint>, sqlx::Error> {
    let until = (overlap > TimeDelta::zero()).then_some(now + overlap);
    sqlx::query_as(
        "update webhook_endpoints set
             previous_secret = case when $4::timestamptz is not null then secret end,
             previous_secret_until = $4, secret = $3, updated_at = $5
         where id = $1 and merchant_id = $2 returning *",
    )
    .bind(id)
    .bind(merchant)
    .bind(secret.expose())
    .bind(until)
    .bind(now)
    .fetch_optional(executor)
    .await
}

/// Removes an endpoint. What was still to be delivered goes with it, a little later.
///
/// # Errors
/// When the database does not answer.
pub async fn delete(
    executor: impl PgExecutor<'_>,
    id: WebhookEndpointId,
    merchant: MerchantId,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query("delete from webhook_endpoints where id = $1 and merchant_id = $2")
        .bind(id)
        .bind(merchant)
        .execute(executor)
        .await?;
    Ok(done.rows_affected() > 0)
}

/// Takes an endpoint out of use because of what it answered, and tells the merchant's other endpoints, in one transaction.
/// False when it was not in use any more.
///
/// # Errors
/// When the database does not answer.
pub async fn disable(
    connection: &mut PgConnection,
    id: WebhookEndpointId,
    reason: &str,
    now: DateTime<Utc>,
) -> Result<bool, sqlx::Error> {
    let mut transaction = connection.begin().await?;
    let disabled: Option<WebhookEndpoint> = sqlx::query_as(
        "update webhook_endpoints set status = 'DISABLED', disabled_reason = $2, updated_at = $3
         where id = $1 and status = 'ENABLED' returning *",
    )
    .bind(id)
    .bind(reason)
    .bind(now)
    .fetch_optional(&mut *transaction)
    .await?;
    let Some(endpoint) = disabled else { return Ok(false) };
    let event = notice::disabled(&endpoint, now).map_err(|error| sqlx::Error::Encode(error.into()))?;
    events::store::record(&mut transaction, &[event]).await?;
    transaction.commit().await?;
    Ok(true)
}
