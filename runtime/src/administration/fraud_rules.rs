//! Fraud rules: read as the fraud workload reads them before they are written, so that none is written that does not count.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::{Actor, AdminError};
use crate::database::{self, Pool};
use crate::fraud::rules::Rule;
use crate::payments::json::millis;

/// A rule as it is stored.
#[derive(Clone, Debug, Serialize, ToSchema, sqlx::FromRow)]
#[schema(as = FraudRule)]
pub struct RuleJson {
    /// Shown as a reason.
    pub name: String,
    /// AMOUNT or VELOCITY.
    pub kind: String,
    /// Added to the score when it matches, 0 to 100.
    #[schema(value_type = String, example = "40")]
    pub points: Decimal,
    /// What it looks at, by its kind.
    pub parameters: Value,
    /// Whether it counts.
    pub enabled: bool,
    /// When it was last changed.
    #[serde(serialize_with = "millis")]
    pub updated_at: DateTime<Utc>,
}

/// A rule to be.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RuleChange {
    /// AMOUNT: over a limit of its currency. VELOCITY: too many payments of a user in a window.
    pub kind: String,
    /// Added to the score when it matches: a whole number from 0 to 100.
    pub points: u8,
    /// AMOUNT: `{"limits": {CURRENCY: decimal string}}`. VELOCITY: `{"subject": "USER", "window": "1m"|"1h"|"24h", "payments_max": N}`.
    pub parameters: Value,
}

/// All rules, by name.
///
/// # Errors
/// When the database does not answer.
pub async fn list(pool: &Pool) -> Result<Vec<RuleJson>, AdminError> {
    let sql = "select name, kind, points, parameters, enabled, updated_at from fraud_rules order by name";
    Ok(sqlx::query_as(sql).fetch_all(pool).await?)
}

/// Writes a rule, new or in place of the one with its name. It counts at once; one that was switched off stays off.
///
/// # Errors
/// When it is no rule, or the database does not answer.
pub async fn set(pool: &Pool, actor: &Actor, name: &str, change: &RuleChange) -> Result<RuleJson, AdminError> {
    if name.is_empty() || name.chars().count() > 100 || name.chars().any(char::is_control) {
        return Err(AdminError::invalid("name", "must be 1 to 100 characters"));
    }
    let points = Decimal::from(change.points);
    Rule::parse(name.to_owned(), &change.kind, points, change.parameters.clone())
        .map_err(|error| AdminError::invalid("rule", format!("is none: {error}")))?;
    let mut transaction = database::begin(pool).await?;
    let rule = sqlx::query_as(
        "insert into fraud_rules (name, kind, points, parameters) values ($1, $2, $3, $4)
         on conflict (name) do update set kind = excluded.kind, points = excluded.points, parameters = excluded.parameters, updated_at = now()
         returning name, kind, points, parameters, enabled, updated_at",
    )
    .bind(name)
    .bind(&change.kind)
    .bind(points)
    .bind(&change.parameters)
    .fetch_one(&mut *transaction)
    .await?;
    let detail = json!({"kind": change.kind, "points": change.points, "parameters": change.parameters});
    actor.did(&mut transaction, "fraud_rule.set", name, detail).await?;
    transaction.commit().await?;
    Ok(rule)
}

/// Lets a rule count, or not.
///
/// # Errors
/// When there is none, or the database does not answer.
pub async fn enable(pool: &Pool, actor: &Actor, name: &str, enabled: bool) -> Result<RuleJson, AdminError> {
    let mut transaction = database::begin(pool).await?;
    let rule: Option<RuleJson> = sqlx::query_as(
        "update fraud_rules set enabled = $2, updated_at = now() where name = $1
         returning name, kind, points, parameters, enabled, updated_at",
    )
    .bind(name)
    .bind(enabled)
    .fetch_optional(&mut *transaction)
    .await?;
    let rule = rule.ok_or_else(|| missing(name))?;
    let action = if enabled { "fraud_rule.enabled" } else { "fraud_rule.disabled" };
    actor.did(&mut transaction, action, name, json!({})).await?;
    transaction.commit().await?;
    Ok(rule)
}

/// Removes a rule.
///
/// # Errors
/// When there is none, or the database does not answer.
pub async fn delete(pool: &Pool, actor: &Actor, name: &str) -> Result<(), AdminError> {
    let mut transaction = database::begin(pool).await?;
    let gone = sqlx::query("delete from fraud_rules where name = $1").bind(name).execute(&mut *transaction).await?;
    if gone.rows_affected() == 0 {
        return Err(missing(name));
    }
    actor.did(&mut transaction, "fraud_rule.deleted", name, json!({})).await?;
    transaction.commit().await?;
    Ok(())
}

fn missing(name: &str) -> AdminError {
    AdminError::NotFound(format!("fraud rule {name}"))
}
