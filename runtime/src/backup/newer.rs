//! What the database has and a backup lacks: the payments that a restore would lose.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use futures::TryStreamExt;
use futures::stream::BoxStream;
use sqlx::{AssertSqlSafe, PgConnection};
use uuid::Uuid;

use super::sums::{self, Known};
use crate::database::{DatabaseError, Doing};

/// Tables that say what was promised and what was charged, and their column that names the payment. Every acknowledged change of a
/// payment is in one of them. What is derived from them, or says how far the work is, can be made again.
pub(super) const MONEY: [(&str, &str); 4] = [
    ("transactions", "id"),
    ("payment_attempts", "payment_id"),
    ("operations", "payment_id"),
    ("ledger_entries", "payment_id"),
];

/// The names of [`MONEY`].
pub const MONEY_TABLES: [&str; MONEY.len()] = [MONEY[0].0, MONEY[1].0, MONEY[2].0, MONEY[3].0];

/// A payment and the sum of the hashes of its rows.
type PaymentSum = (Uuid, String);

/// What a restore would lose.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Newer {
    /// These payments were made or changed since.
    Payments(BTreeSet<Uuid>),
    /// This table is not in the database any more, under its name at least, so nobody can say.
    Unknown(&'static str),
}

/// Compares what both have: columns that only one of them knows are a migration's, not a payment's.
pub(super) async fn newer(current: &mut PgConnection, restored: &mut PgConnection) -> Result<Newer, DatabaseError> {
    let (now, then) = (sums::tables(current).await?, sums::tables(restored).await?);
    let mut payments = BTreeSet::new();
    for (name, payment) in MONEY {
        let find = |tables: &[Known]| tables.iter().find(|table| table.name == name).cloned();
        match (find(&now), find(&then)) {
            (Some(now), Some(then)) => {
                let statement = statement(&now, &then, payment);
                let now = sums_of(current, &statement);
                let then = sums_of(restored, &statement);
                payments.extend(compare(now, then).await.doing("could not compare payments")?);
            }
            // A database that was lost has nothing to lose.
            (None, Some(_)) if now.is_empty() => {}
            (None, Some(_)) => return Ok(Newer::Unknown(name)),
            (_, None) => {}
        }
    }
    Ok(Newer::Payments(payments))
}

fn statement(now: &Known, then: &Known, payment: &str) -> String {
    let both: Vec<String> = then.columns.iter().filter(|column| now.columns.contains(column)).cloned().collect();
    format!(
        "select t.{payment}, sum(hashtextextended({}, 0)::numeric)::text from {} t group by 1 order by 1",
        sums::row(&both),
        now.place
    )
}

fn sums_of<'a>(session: &'a mut PgConnection, statement: &str) -> BoxStream<'a, Result<PaymentSum, sqlx::Error>> {
    // Names come from the catalogue, quoted.
    sqlx::query_as(AssertSqlSafe(statement.to_owned())).fetch(session)
}

/// Both are in the order of ids. Those that are not `then`, or were different.
async fn compare(
    mut now: BoxStream<'_, Result<PaymentSum, sqlx::Error>>,
    mut then: BoxStream<'_, Result<PaymentSum, sqlx::Error>>,
) -> Result<Vec<Uuid>, sqlx::Error> {
    let mut newer = Vec::new();
    let (mut left, mut right) = (now.try_next().await?, then.try_next().await?);
    while let Some((id, sum)) = &left {
        let order = right.as_ref().map_or(Ordering::Less, |(other, _)| id.cmp(other));
        if order == Ordering::Less
            || (order == Ordering::Equal && right.as_ref().is_some_and(|(_, other)| other != sum))
        {
            newer.push(*id);
        }
        if order != Ordering::Less {
            right = then.try_next().await?;
        }
        if order != Ordering::Greater {
            left = now.try_next().await?;
        }
    }
    Ok(newer)
}

#[cfg(test)]
mod tests {
    use futures::StreamExt;

    use super::*;

    async fn found(now: &[(u128, &str)], then: &[(u128, &str)]) -> Vec<u128> {
        let stream = |all: &[(u128, &str)]| {
            let all: Vec<_> = all.iter().map(|(id, sum)| Ok((Uuid::from_u128(*id), (*sum).to_owned()))).collect();
            futures::stream::iter(all).boxed()
        };
        compare(stream(now), stream(then)).await.unwrap().into_iter().map(|id| id.as_u128()).collect()
    }

    #[tokio::test]
    async fn what_is_new_or_changed_is_found_and_what_is_gone_is_not() {
        assert_eq!(found(&[(1, "a"), (3, "c")], &[(1, "a"), (3, "c")]).await, [0; 0]);
        assert_eq!(found(&[(1, "a"), (2, "b"), (3, "x"), (9, "n")], &[(1, "a"), (3, "c"), (4, "d")]).await, [2, 3, 9]);
        assert_eq!(found(&[(1, "a")], &[]).await, [1]);
        assert_eq!(found(&[], &[(1, "a")]).await, [0; 0]);
    }
}
