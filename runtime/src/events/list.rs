//! SQL of events as merchants read them.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{FromRow, PgExecutor, Postgres, QueryBuilder};

use crate::ids::{EventId, MerchantId, PaymentId};
use crate::page::Page;

/// Which events.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Of this type.
    pub kind: Option<String>,
    /// Of this payment.
    pub payment_id: Option<PaymentId>,
    /// Happened at this time or later.
    pub created_gte: Option<DateTime<Utc>>,
    /// Happened before this time.
    pub created_lt: Option<DateTime<Utc>>,
}

/// An event as it was told.
#[derive(Clone, Debug, FromRow)]
pub struct Told {
    /// Its id.
    pub id: EventId,
    /// The bytes that are sent.
    pub payload: String,
}

/// One event of a merchant.
///
/// # Errors
/// When the database does not answer.
pub async fn find(
    executor: impl PgExecutor<'_>,
    id: EventId,
    merchant: MerchantId,
) -> Result<Option<Told>, sqlx::Error> {
    sqlx::query_as(
        "select id, payload::text as payload from events where id = $1 and created_at = $2 and merchant_id = $3",
    )
    .bind(id)
    .bind(id.created_at())
    .bind(merchant)
    .fetch_optional(executor)
    .await
}

/// A page of a merchant's events, in the order in which they are read.
///
/// # Errors
/// When the database does not answer.
pub async fn list(
    executor: impl PgExecutor<'_>,
    merchant: MerchantId,
    filter: &Filter,
    page: &Page,
) -> Result<Vec<Told>, sqlx::Error> {
    let mut query =
        QueryBuilder::<Postgres>::new("select id, payload::text as payload from events where merchant_id = ");
    query.push_bind(merchant).push(format_args!(" and id {} ", page.comparison())).push_bind(page.cursor());
    if let Some(kind) = &filter.kind {
        query.push(" and type = ").push_bind(kind);
    }
    if let Some(payment) = filter.payment_id {
        // Nothing happens to a payment before it is accepted, but for clocks that differ: partitions of earlier months are left out.
        query.push(" and payment_id = ").push_bind(payment);
        query.push(" and created_at >= ").push_bind(payment.created_at() - TimeDelta::days(1));
    }
    if let Some(from) = filter.created_gte {
        query.push(" and created_at >= ").push_bind(from);
    }
    if let Some(to) = filter.created_lt {
        query.push(" and created_at < ").push_bind(to);
    }
    query.push(format_args!(" order by id {} limit ", page.direction())).push_bind(page.rows());
    query.build_query_as().fetch_all(executor).await
}
