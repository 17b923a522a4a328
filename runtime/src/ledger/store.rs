//! SQL of the ledger.

use std::borrow::Borrow;

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use super::Journal;

/// Posts [`Lines`], in the arrays of these parameters: an `insert`, with a condition if need be.
macro_rules! posting {
    ($journal:literal, $line:literal, $account:literal, $owner:literal, $provider:literal, $currency:literal, $amount:literal,
     $payment:literal, $created:literal, $condition:literal) => {
        concat!(
            "insert into ledger_entries
                 (journal_id, line, account, account_owner, payment_provider_id, currency, amount, payment_id, created_at)
             select journal_id, line, account, account_owner, payment_provider_id, currency, amount, payment_id,
                 -- An hour that was summed up stays as it is, whatever a clock that was set back says.
                 greatest(created_at, (select until from ledger_totals_progress))
             from unnest(", $journal, "::uuid[], ", $line, "::smallint[], ", $account, "::text[], ", $owner, "::uuid[], ",
                 $provider, "::int[], ", $currency, "::text[], ", $amount, "::numeric[], ", $payment, "::uuid[], ",
                 $created, "::timestamptz[])
                 as l (journal_id, line, account, account_owner, payment_provider_id, currency, amount, payment_id, created_at) ",
            $condition
        )
    };
}
pub(crate) use posting;

/// Posts journals, in the caller's transaction. The database refuses one that does not balance, or that was posted before.
///
/// # Errors
/// When the database refuses or does not answer; nothing was posted then.
pub async fn post<J: Borrow<Journal>>(connection: &mut PgConnection, journals: &[J]) -> Result<(), sqlx::Error> {
    let lines = Lines::of(journals.iter().map(Borrow::borrow));
    if lines.journal_id.is_empty() {
        return Ok(());
    }
    sqlx::query(posting!("$1", "$2", "$3", "$4", "$5", "$6", "$7", "$8", "$9", ""))
        .bind(lines.journal_id)
        .bind(lines.line)
        .bind(lines.account)
        .bind(lines.owner)
        .bind(lines.provider)
        .bind(lines.currency)
        .bind(lines.amount)
        .bind(lines.payment_id)
        .bind(lines.created_at)
        .execute(connection)
        .await?;
    Ok(())
}

/// Lines of journals, as the columns of [`posting!`], in this order.
#[derive(Default)]
pub(crate) struct Lines {
    pub(crate) journal_id: Vec<Uuid>,
    pub(crate) line: Vec<i16>,
    pub(crate) account: Vec<&'static str>,
    pub(crate) owner: Vec<Option<Uuid>>,
    pub(crate) provider: Vec<Option<i32>>,
    pub(crate) currency: Vec<&'static str>,
    pub(crate) amount: Vec<Decimal>,
    pub(crate) payment_id: Vec<Uuid>,
    pub(crate) created_at: Vec<DateTime<Utc>>,
}

impl Lines {
    pub(crate) fn of<'a>(journals: impl Iterator<Item = &'a Journal>) -> Self {
        let mut lines = Self::default();
        journals.for_each(|journal| lines.push(journal));
        lines
    }

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
