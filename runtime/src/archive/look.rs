//! What there is to archive, and what in it is not at its end.

use chrono::{DateTime, Utc};
use sqlx::{AssertSqlSafe, PgConnection};

use super::id::ArchiveId;
use super::plan::{self, Seen};
use crate::database::{DatabaseError, Doing};
use crate::partitions::{EVENTS, LEDGER, PAYMENTS, TABLES};

/// Whether a table is a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Attached,
    /// On its way out: nobody sees its rows any more.
    Detaching,
    Detached,
}

/// Every month of every table, wherever it stands.
pub(super) async fn partitions(connection: &mut PgConnection) -> Result<Vec<(ArchiveId, Place)>, DatabaseError> {
    let rows: Vec<(String, Option<bool>)> = sqlx::query_as(
        "select c.relname::text, i.inhdetachpending from pg_class c left join pg_inherits i on i.inhrelid = c.oid
         where c.relnamespace = current_schema()::regnamespace and c.relkind = 'r'
             and c.relname ~ any (select '^' || name || '_p[0-9]{8}$' from unnest($1::text[]) name)",
    )
    .bind(TABLES.map(str::to_owned).to_vec())
    .fetch_all(connection)
    .await
    .doing("could not list partitions")?;
    let place = |detaching| match detaching {
        None => Place::Detached,
        Some(true) => Place::Detaching,
        Some(false) => Place::Attached,
    };
    Ok(rows.into_iter().filter_map(|(name, detaching)| Some((name.parse().ok()?, place(detaching)))).collect())
}

/// Where one stands, if it is there.
pub(super) async fn place(connection: &mut PgConnection, id: ArchiveId) -> Result<Option<Place>, DatabaseError> {
    Ok(partitions(connection).await?.into_iter().find(|(other, _)| *other == id).map(|(_, place)| place))
}

/// What the plan rests on, and how far the ledger is summed up.
pub(super) async fn look(
    connection: &mut PgConnection,
    keep_months: u16,
    now: DateTime<Utc>,
) -> Result<(Vec<Seen>, DateTime<Utc>), DatabaseError> {
    let limit = plan::limit(keep_months, now);
    let mut all = Vec::new();
    for (id, _) in partitions(connection).await? {
        let open = if plan::is_old(id, limit) { open(connection, id, now).await? } else { Vec::new() };
        let restored_at = sqlx::query_scalar("select restored_at from archived_partitions where partition = $1")
            .bind(id.to_string())
            .fetch_optional(&mut *connection)
            .await
            .doing("could not look at what was archived")?;
        all.push(Seen { id, open, restored_at: restored_at.flatten() });
    }
    let summed_up = sqlx::query_scalar("select until from ledger_totals_progress")
        .fetch_one(connection)
        .await
        .doing("could not ask how far the ledger is summed up")?;
    Ok((all, summed_up))
}

/// What in a partition is not at its end, in words. The partition is asked by its own name, attached or not.
pub(super) async fn open(
    connection: &mut PgConnection,
    id: ArchiveId,
    now: DateTime<Utc>,
) -> Result<Vec<String>, DatabaseError> {
    let questions: &[(&str, &str)] = match id.table() {
        PAYMENTS => &OF_PAYMENTS,
        EVENTS => &OF_EVENTS,
        LEDGER => &OF_LEDGER,
        _ => &[],
    };
    let (from, to) = id.range();
    let mut open = Vec::new();
    for (question, words) in questions {
        let statement = question.replace("PARTITION", &id.to_string());
        // The name is one of ours.
        let count: i64 = sqlx::query_scalar(AssertSqlSafe(statement))
            .bind(from)
            .bind(to)
            .bind(now)
            .fetch_one(&mut *connection)
            .await
            .doing("could not look whether a month is at its end")?;
        if count > 0 {
            open.push(format!("{count} {words}"));
        }
    }
    Ok(open)
}

/// Each counts by the range of the month, and by now.
const OF_PAYMENTS: [(&str, &str); 6] = [
    (
        "select count(*) from PARTITION where created_at >= $1 and created_at < $2 and $3::timestamptz is not null
             and (status in ('PENDING', 'PROCESSING', 'IN_REVIEW', 'AUTHORIZED') or amount_capturing > 0 or amount_refunding > 0)",
        "payments that are not at their end",
    ),
    (
        "select count(*) from payment_attempts where state in ('SENT', 'UNKNOWN')
             and payment_created_at >= $1 and payment_created_at < $2 and $3::timestamptz is not null",
        "attempts whose outcome nobody knows",
    ),
    (
        "select count(*) from operations where status = 'PENDING'
             and payment_created_at >= $1 and payment_created_at < $2 and $3::timestamptz is not null",
        "captures, refunds or voids under way",
    ),
    (
        "select count(*) from work_items where payment_created_at >= $1 and payment_created_at < $2 and $3::timestamptz is not null",
        "payments in the queue",
    ),
    (
        "select count(*) from operation_items
         where payment_created_at >= $1 and payment_created_at < $2 and $3::timestamptz is not null",
        "captures, refunds or voids in the queue",
    ),
    (
        "select count(*) from idempotency_keys where payment_created_at >= $1 and payment_created_at < $2 and expires_at > $3",
        "requests that may still be repeated",
    ),
];

const OF_EVENTS: [(&str, &str); 1] = [(
    "select count(*) from webhook_deliveries
     where event_created_at >= $1 and event_created_at < $2 and $3::timestamptz is not null",
    "webhooks that are not delivered",
)];

// What stands for the month afterwards must be right.
const OF_LEDGER: [(&str, &str); 1] = [(
    "with lines as (
         select account_owner, account, currency, date_trunc('hour', created_at, 'UTC') as hour, sum(amount) as amount,
             sum(greatest(amount, 0)) as debits, count(*) as entries
         from PARTITION where account in ('MERCHANT', 'FEE') group by 1, 2, 3, 4
     ), totals as (
         select * from ledger_totals where hour >= $1 and hour < $2 and $3::timestamptz is not null
     )
     select count(*) from lines l full join totals t using (account_owner, account, currency, hour)
     where (t.amount, t.debits, t.entries) is distinct from (l.amount, l.debits, l.entries)",
    "hours whose sums are not those of their lines (purser ledger verify says which)",
)];
