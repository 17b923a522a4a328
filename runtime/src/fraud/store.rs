//! The rules' SQL.

use rust_decimal::Decimal;

use super::rules::Rule;
use crate::database::Pool;

/// The rules that count. A row that is not a rule is named in the log and left out: one bad rule must not take the
/// others out of force.
///
/// # Errors
/// When the database does not answer.
pub(super) async fn load_rules(pool: &Pool) -> Result<Vec<Rule>, sqlx::Error> {
    let rows: Vec<(String, String, Decimal, serde_json::Value)> =
        sqlx::query_as("select name, kind, points, parameters from fraud_rules where enabled order by name")
            .fetch_all(pool)
            .await?;
    let rules = rows.into_iter().filter_map(|(name, kind, points, parameters)| {
        Rule::parse(name.clone(), &kind, points, parameters)
            .inspect_err(|error| tracing::error!(rule = name, %error, "this fraud rule does not count"))
            .ok()
    });
    Ok(rules.collect())
}
