//! SQL of lists of payments.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use sqlx::{PgExecutor, Postgres, QueryBuilder};

use super::{Payment, Status, row};
use crate::ids::{MerchantId, PaymentId, UserId};
use crate::money::Currency;
use crate::page::Page;

/// Which payments are asked for; what is absent does not matter.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Where they stand.
    pub status: Option<Status>,
    /// Who pays.
    pub user_id: Option<UserId>,
    /// In which currency.
    pub currency: Option<Currency>,
    /// Accepted at this time or later.
    pub created_gte: Option<DateTime<Utc>>,
    /// Accepted before this time.
    pub created_lt: Option<DateTime<Utc>>,
    /// At least so much, in major units.
    pub amount_gte: Option<Decimal>,
    /// At most so much, in major units.
    pub amount_lte: Option<Decimal>,
}

/// Payments of this merchant, in the order of the page.
///
/// # Errors
/// When the database does not answer, or holds what is no payment.
pub async fn list(
    executor: impl PgExecutor<'_>,
    merchant: MerchantId,
    filter: &Filter,
    page: &Page,
) -> Result<Vec<Payment>, sqlx::Error> {
    let mut query = QueryBuilder::new(concat!(
        "select ",
        row::columns!(),
        " from transactions t left join payment_providers p on p.id = t.payment_provider_id where t.merchant_id = "
    ));
    query.push_bind(merchant);
    restrict(&mut query, filter);
    if !page.is_first() {
        // The bound on created_at alone lets whole months be left out; an id carries its time.
        let created_at = PaymentId::from_uuid(page.cursor()).created_at();
        let comparison = page.comparison();
        query.push(format_args!(" and t.created_at {comparison}= ")).push_bind(created_at);
        query.push(format_args!(" and (t.created_at, t.id) {comparison} (")).push_bind(created_at);
        query.push(", ").push_bind(page.cursor()).push(")");
    }
    let direction = page.direction();
    query.push(format_args!(" order by t.created_at {direction}, t.id {direction} limit ")).push_bind(page.rows());
    let rows = query.build().fetch_all(executor).await?;
    rows.iter().map(row::payment).collect()
}

fn restrict(query: &mut QueryBuilder<Postgres>, filter: &Filter) {
    let Filter { status, user_id, currency, created_gte, created_lt, amount_gte, amount_lte } = filter;
    match status {
        // PROCESSING is not written: it is a PENDING payment of which a provider was asked.
        Some(Status::Processing) => {
            query.push(concat!(" and t.status in ('PENDING', 'PROCESSING') and ", row::status!(), " = 'PROCESSING'"));
        }
        Some(Status::Pending) => {
            query.push(concat!(" and t.status = 'PENDING' and ", row::status!(), " = 'PENDING'"));
        }
        Some(status) => {
            query.push(" and t.status = ").push_bind(status.as_str());
        }
        None => {}
    }
    if let Some(user) = user_id {
        query.push(" and t.user_id = ").push_bind(*user);
    }
    if let Some(currency) = currency {
        query.push(" and t.currency = ").push_bind(currency.code());
    }
    for (comparison, time) in [(">=", created_gte), ("<", created_lt)] {
        if let Some(time) = time {
            query.push(format_args!(" and t.created_at {comparison} ")).push_bind(*time);
        }
    }
    for (comparison, amount) in [(">=", amount_gte), ("<=", amount_lte)] {
        if let Some(amount) = amount {
            query.push(format_args!(" and t.amount {comparison} ")).push_bind(*amount);
        }
    }
}
