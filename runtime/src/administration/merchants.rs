//! Merchants: made, looked at, suspended, and charged.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::{Actor, AdminError};
use crate::database::{self, Pool};
use crate::ids::MerchantId;
use crate::merchants::{ApiKey, Status, store};
use crate::page::Page;
use crate::payments::json::millis;
use crate::webhooks::secret::WebhookSecret;
use crate::webhooks::store::CreateError;
use crate::webhooks::{self, NewEndpoint};

/// A merchant as those who run the platform see it.
#[derive(Clone, Debug, Serialize, ToSchema, sqlx::FromRow)]
#[schema(as = Merchant)]
pub struct MerchantJson {
    /// Its id.
    pub id: MerchantId,
    /// Name shown to people.
    pub name: String,
    /// Where its people are reached.
    pub email: String,
    /// Number in a register of companies.
    pub business_id: Option<String>,
    /// Line of business.
    pub category: Option<String>,
    /// Whether it may take payments.
    pub status: Status,
    /// Share of each capture that the platform keeps, in percent.
    #[schema(value_type = String, example = "2.90")]
    pub fee_percentage: Decimal,
    /// When it was made.
    #[serde(serialize_with = "millis")]
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    #[serde(serialize_with = "millis")]
    pub updated_at: DateTime<Utc>,
}

/// A merchant to be.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewMerchant {
    /// Name shown to people.
    #[schema(min_length = 1, max_length = 255)]
    pub name: String,
    /// Where its people are reached.
    #[schema(max_length = 255, example = "shop@example.com")]
    pub email: String,
    /// Share of each capture that the platform keeps, in percent, as a decimal string; 2.9 if absent.
    #[serde(default = "usual_fee")]
    #[schema(value_type = Option<String>, example = "2.90")]
    pub fee_percentage: Decimal,
    /// Where it is to be told of events.
    #[serde(default)]
    pub webhook_url: Option<String>,
}

/// What is shown of a merchant once, when it was made.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct MadeMerchant {
    /// Its id.
    pub id: MerchantId,
    /// Name shown to people.
    pub name: String,
    /// The key, which is kept nowhere.
    pub api_key: String,
    /// With what its webhook endpoint's deliveries are signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhook_secret: Option<String>,
}

fn usual_fee() -> Decimal {
    Decimal::new(290, 2)
}

const COLUMNS: &str = "id, name, email, business_id, category, status, fee_percentage, created_at, updated_at";

/// Makes a merchant with a key and, where it has a URL for that, a webhook endpoint.
///
/// # Errors
/// When a value cannot be accepted, or the database does not answer.
pub async fn create(
    pool: &Pool,
    actor: &Actor,
    new: &NewMerchant,
    allow_private_webhooks: bool,
) -> Result<MadeMerchant, AdminError> {
    check_text("name", &new.name)?;
    check_text("email", &new.email)?;
    check_fee(new.fee_percentage)?;
    let endpoint = new.webhook_url.clone().map(|url| NewEndpoint { url, description: None, event_types: None });
    let endpoint = endpoint.map(|endpoint| endpoint.check(allow_private_webhooks)).transpose();
    let endpoint = endpoint.map_err(|(_, sentence)| AdminError::invalid("webhook_url", sentence))?;
    let (key, now) = (ApiKey::generate(&mut rand::rng()), Utc::now());
    let row =
        store::NewMerchant { name: new.name.clone(), email: new.email.clone(), fee_percentage: new.fee_percentage };
    let mut transaction = database::begin(pool).await?;
    let id = store::create(&mut *transaction, &row, &key, now).await?;
    let mut webhook_secret = None;
    if let Some(endpoint) = endpoint {
        let secret = WebhookSecret::generate(&mut rand::rng());
        webhooks::store::create(&mut transaction, id, &endpoint, &secret, now).await.map_err(endpoint_refused)?;
        webhook_secret = Some(secret.expose().to_owned());
    }
    actor.did(&mut transaction, "merchant.created", &id.to_string(), json!({"name": new.name})).await?;
    transaction.commit().await?;
    Ok(MadeMerchant { id, name: new.name.clone(), api_key: key.expose().to_owned(), webhook_secret })
}

/// Merchants, in the order of the page.
///
/// # Errors
/// When the database does not answer.
pub async fn list(pool: &Pool, page: &Page) -> Result<Vec<MerchantJson>, AdminError> {
    let sql = format!(
        "select {COLUMNS} from merchants where id {} $1 order by id {} limit $2",
        page.comparison(),
        page.direction()
    );
    // Only constants are put into the text, here and below.
    let query = sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(page.cursor()).bind(page.rows());
    Ok(query.fetch_all(pool).await?)
}

/// One merchant.
///
/// # Errors
/// When there is none, or the database does not answer.
pub async fn show(pool: &Pool, id: MerchantId) -> Result<MerchantJson, AdminError> {
    let sql = format!("select {COLUMNS} from merchants where id = $1");
    let found = sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(id).fetch_optional(pool).await?;
    found.ok_or_else(|| missing(id))
}

/// Lets a merchant take payments, or not. One that is INACTIVE stays so.
///
/// # Errors
/// When there is none, or it is INACTIVE, or the database does not answer.
pub async fn set_status(
    pool: &Pool,
    actor: &Actor,
    id: MerchantId,
    status: Status,
) -> Result<MerchantJson, AdminError> {
    let before = show(pool, id).await?;
    if before.status == Status::Inactive && status != Status::Inactive {
        return Err(AdminError::Conflict(format!("{id} is inactive for good")));
    }
    let detail = json!({"from": before.status, "to": status});
    let mut transaction = database::begin(pool).await?;
    sqlx::query("update merchants set status = $2, updated_at = now() where id = $1 and (status <> 'INACTIVE' or $2 = 'INACTIVE')")
        .bind(id)
        .bind(status)
        .execute(&mut *transaction)
        .await?;
    actor.did(&mut transaction, "merchant.status", &id.to_string(), detail).await?;
    transaction.commit().await?;
    show(pool, id).await
}

/// Changes what the platform keeps of captures from now on.
///
/// # Errors
/// When there is none, or the share is none, or the database does not answer.
pub async fn set_fee(pool: &Pool, actor: &Actor, id: MerchantId, fee: Decimal) -> Result<MerchantJson, AdminError> {
    check_fee(fee)?;
    let before = show(pool, id).await?;
    let mut transaction = database::begin(pool).await?;
    sqlx::query("update merchants set fee_percentage = $2, updated_at = now() where id = $1")
        .bind(id)
        .bind(fee)
        .execute(&mut *transaction)
        .await?;
    let detail = json!({"from": before.fee_percentage, "to": fee});
    actor.did(&mut transaction, "merchant.fee", &id.to_string(), detail).await?;
    transaction.commit().await?;
    show(pool, id).await
}

fn endpoint_refused(error: CreateError) -> AdminError {
    match error {
        CreateError::TooMany => AdminError::Conflict(error.to_string()),
        CreateError::Database(error) => error.into(),
    }
}

pub(super) fn missing(id: MerchantId) -> AdminError {
    AdminError::NotFound(format!("merchant {id}"))
}

fn check_text(field: &'static str, text: &str) -> Result<(), AdminError> {
    let fits = !text.trim().is_empty() && text.chars().count() <= 255 && !text.contains('\0');
    if fits { Ok(()) } else { Err(AdminError::invalid(field, "must be 1 to 255 characters")) }
}

fn check_fee(fee: Decimal) -> Result<(), AdminError> {
    if !(Decimal::ZERO..=Decimal::ONE_HUNDRED).contains(&fee) {
        return Err(AdminError::invalid("fee_percentage", "must be between 0 and 100"));
    }
    if fee.normalize().scale() > 2 {
        return Err(AdminError::invalid("fee_percentage", "has at most two decimals"));
    }
    Ok(())
}
