//! SQL of the ledger.

use std::borrow::Borrow;

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use super::Journal;

/// Posts journals, in the caller's transaction. The database refuses one that does not balance, or that was posted before.
///
/// # Errors
/// When the database refuses or does not answer; nothing was posted then.
pub async fn post<J: Borrow<Journal>>(connection: &mut PgConnection, journals: &[J]) -> Result<(), sqlx::Error> {
    let mut columns = Columns::default();
    journals.iter().for_each(|journal| columns.push(journal.borrow()));
    if columns.journal_id.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "insert into ledger_entries (journal_id, line, account, account_owner, payment_provider_id, currency, amount, payment_id, created_at)
         select journal_id, line, account, account_owner, payment_provider_id, currency, amount, payment_id,
             -- An hour that was summed up stays as it is, whatever a clock that was set back says.
             greatest(created_at, (select until from ledger_totals_progress))
         from unnest($1::uuid[], $2::smallint[], $3::text[], $4::uuid[], $5::int[], $6::text[], $7::numeric[], $8::uuid[], $9::timestamptz[])
             as l (journal_id, line, account, account_owner, payment_provider_id, currency, amount, payment_id, created_at)",
    )
    .bind(columns.journal_id)
    .bind(columns.line)
    .bind(columns.account)
    .bind(columns.owner)
    .bind(columns.provider)
    .bind(columns.currency)
    .bind(columns.amount)
    .bind(columns.payment_id)
    .bind(columns.created_at)
    .execute(connection)
    .await?;
    Ok(())
}

#[derive(Default)]
struct Columns {
    journal_id: Vec<Uuid>,
    line: Vec<i16>,
    account: Vec<&'static str>,
    owner: Vec<Option<Uuid>>,
    provider: Vec<Option<i32>>,
    currency: Vec<&'static str>,
    amount: Vec<Decimal>,
    payment_id: Vec<Uuid>,
    created_at: Vec<DateTime<Utc>>,
}

impl Columns {
    fn push(&mut self, journal: &Journal) {
        for (number, line) in (1..).zip(&journal.lines) {
            self.journal_id.push(journal.id);
            self.line.push(number);
            self.account.push(line.account.kind());
            self.owner.push(line.account.owner());
            self.provider.push(line.account.provider());
            self.currency.push(line.amount.currency().code());
            self.amount.push(line.amount.to_decimal());
            self.payment_id.push(journal.payment_id.as_uuid());
            self.created_at.push(journal.created_at);
        }
    }
}
