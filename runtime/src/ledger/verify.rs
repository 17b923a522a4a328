//! Proof that the ledger is right: that it balances, that it says of every payment what the payment, its attempts and its
//! operations say, and that nothing in it came from nowhere.
//!
//! Each rule is one query that looks for what breaks it, sorted by id, so that the first row that is wrong is named, the
//! same one each time. All of them see one moment. The database sorts, and spills where it must: memory stays bounded.

use serde::Serialize;
use sqlx::postgres::PgConnection;
use sqlx::{Connection, FromRow};

use super::rules::{RULES, Rule};

/// What was looked at, and what is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verification {
    /// Whether nothing is wrong.
    pub sound: bool,
    /// Lines of the ledger.
    pub entries: i64,
    /// Journals that they form.
    pub journals: i64,
    /// Payments that they are about.
    pub payments: i64,
    /// The first break of each rule that is broken.
    pub findings: Vec<Finding>,
}

/// The first row that breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The rule, as in `journals-balance`.
    pub rule: &'static str,
    /// What the rule says.
    pub says: &'static str,
    /// The row that breaks it.
    pub row: String,
    /// How.
    pub how: String,
}

#[derive(FromRow)]
struct Broken {
    row: String,
    how: String,
}

/// Looks at the whole ledger.
///
/// # Errors
/// When the database does not answer.
pub async fn verify(connection: &mut PgConnection) -> Result<Verification, sqlx::Error> {
    let mut transaction = connection.begin_with("begin isolation level repeatable read, read only").await?;
    let (entries, journals, payments) = sqlx::query_as(
        "select coalesce(sum(lines), 0)::bigint, count(*), count(distinct payment_id)
         from (select journal_id, payment_id, count(*) as lines from ledger_entries group by journal_id, payment_id) journals",
    )
    .fetch_one(&mut *transaction)
    .await?;
    let findings = findings(&mut transaction).await?;
    transaction.rollback().await?;
    Ok(Verification { sound: findings.is_empty(), entries, journals, payments, findings })
}

/// The first break of each rule that is broken, as this transaction sees the ledger.
///
/// # Errors
/// When the database does not answer.
pub async fn findings(connection: &mut PgConnection) -> Result<Vec<Finding>, sqlx::Error> {
    let mut findings = Vec::new();
    for rule in RULES {
        findings.extend(look(connection, rule).await?);
    }
    Ok(findings)
}

async fn look(connection: &mut PgConnection, rule: &Rule) -> Result<Option<Finding>, sqlx::Error> {
    let broken: Option<Broken> = sqlx::query_as(rule.broken).fetch_optional(connection).await?;
    Ok(broken.map(|Broken { row, how }| Finding { rule: rule.name, says: rule.says, row, how }))
}
