//! SQL of operations: how they are read. How one is accepted stands in [`super::accept`].

use rust_decimal::Decimal;
use sqlx::postgres::PgRow;
use sqlx::{PgExecutor, Row};
use uuid::Uuid;

use super::{Kind, Operation, OperationStatus};
use crate::ids::{MerchantId, PaymentId};
use crate::money::{Currency, Money};
use crate::page::Page;

/// Columns of an [`Operation`], from `operations o`.
pub(crate) const COLUMNS: &str =
    "o.id, o.kind, o.payment_id, o.merchant_id, o.amount, o.currency, o.final, o.capture_id, o.status,
    o.reason, o.sent_at, o.provider_reference, o.error_code, o.error_message, o.release, o.created_at, o.t_end";

/// An operation of this merchant and kind; another merchant's does not exist for it.
///
/// # Errors
/// When the database does not answer, or holds what is no operation.
pub async fn find(
    executor: impl PgExecutor<'_>,
    id: Uuid,
    kind: Kind,
    merchant: MerchantId,
) -> Result<Option<Operation>, sqlx::Error> {
    let sql = format!("select {COLUMNS} from operations o where o.id = $1 and o.kind = $2 and o.merchant_id = $3");
    // Only constants are put into the text.
    let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(id).bind(kind.as_str()).bind(merchant);
    query.fetch_optional(executor).await?.as_ref().map(operation).transpose()
}

/// Operations of a merchant and kind, of one payment or of all, in the order of the page.
///
/// # Errors
/// As [`find`].
pub async fn list(
    executor: impl PgExecutor<'_>,
    merchant: MerchantId,
    kind: Kind,
    payment: Option<PaymentId>,
    page: &Page,
) -> Result<Vec<Operation>, sqlx::Error> {
    let (comparison, direction) = (page.comparison(), page.direction());
    let sql = format!(
        "select {COLUMNS} from operations o
         where o.merchant_id = $1 and o.kind = $2 and ($3::uuid is null or o.payment_id = $3) and o.id {comparison} $4
         order by o.id {direction} limit $5"
    );
    // Only constants are put into the text.
    let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(merchant).bind(kind.as_str()).bind(payment);
    let query = query.bind(page.cursor()).bind(page.rows());
    query.fetch_all(executor).await?.iter().map(operation).collect()
}

/// An operation, whoever's it is, with its row kept from changing until the transaction ends.
///
/// # Errors
/// As [`find`].
pub async fn hold_still(executor: impl PgExecutor<'_>, id: Uuid) -> Result<Option<Operation>, sqlx::Error> {
    let sql = format!("select {COLUMNS} from operations o where o.id = $1 for share");
    // Only constants are put into the text.
    let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(id);
    query.fetch_optional(executor).await?.as_ref().map(operation).transpose()
}

/// An operation from a row with [`COLUMNS`].
pub(crate) fn operation(row: &PgRow) -> Result<Operation, sqlx::Error> {
    let currency: Currency = parsed(row.try_get("currency")?)?;
    let amount = Money::from_decimal(row.try_get::<Decimal, _>("amount")?, currency);
    Ok(Operation {
        id: row.try_get("id")?,
        kind: named(row.try_get("kind")?, &Kind::ALL, Kind::as_str)?,
        payment_id: row.try_get("payment_id")?,
        merchant_id: row.try_get("merchant_id")?,
        amount: amount.map_err(|error| sqlx::Error::Decode(error.into()))?,
        is_final: row.try_get("final")?,
        capture_id: row.try_get("capture_id")?,
        status: named(row.try_get("status")?, &OperationStatus::ALL, OperationStatus::as_str)?,
        reason: row.try_get("reason")?,
        sent_at: row.try_get("sent_at")?,
        provider_reference: row.try_get("provider_reference")?,
        error_code: row.try_get("error_code")?,
        error_message: row.try_get("error_message")?,
        release: row.try_get("release")?,
        created_at: row.try_get("created_at")?,
        t_end: row.try_get("t_end")?,
    })
}

fn named<T: Copy>(text: &str, all: &[T], name: fn(T) -> &'static str) -> Result<T, sqlx::Error> {
    let found = all.iter().copied().find(|one| name(*one) == text);
    found.ok_or_else(|| sqlx::Error::Decode(format!("\"{text}\" is not known to this release").into()))
}

fn parsed<T: std::str::FromStr<Err: std::error::Error + Send + Sync + 'static>>(text: &str) -> Result<T, sqlx::Error> {
    text.parse().map_err(|error: T::Err| sqlx::Error::Decode(error.into()))
}
