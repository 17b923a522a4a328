//! The list of what is published, against the schema that there is.

use runtime::cdc::PUBLISHED;
use sqlx::AssertSqlSafe;

use crate::support::{connection, migrated_database};

#[tokio::test]
async fn every_published_column_is_there_and_the_keys_by_which_rows_are_found_are_among_them() {
    let mut session = connection(&migrated_database().await).await;
    for table in PUBLISHED {
        let columns: Vec<String> = table.columns.iter().map(|&column| column.to_owned()).collect();
        let missing: Vec<String> = sqlx::query_scalar(
            "select c from unnest($2::text[]) c where not exists (
                 select from pg_attribute where attrelid = to_regclass($1) and attname = c and attnum > 0 and not attisdropped)",
        )
        .bind(table.name)
        .bind(&columns)
        .fetch_all(&mut session)
        .await
        .unwrap();
        assert!(missing.is_empty(), "{} has no {missing:?}", table.name);
        // Of the table and of each of its partitions: an update of one that has none would be refused.
        let identities: Vec<(String, Option<Vec<String>>)> = sqlx::query_as(
            "select c.oid::regclass::text, (
                 select array_agg(a.attname::text) from pg_index i join pg_attribute a
                     on a.attrelid = c.oid and a.attnum = any(i.indkey)
                 where i.indrelid = c.oid and i.indisprimary and c.relreplident = 'd')
             from pg_class c where c.oid = to_regclass($1)
                 or c.oid in (select inhrelid from pg_inherits where inhparent = to_regclass($1))",
        )
        .bind(table.name)
        .fetch_all(&mut session)
        .await
        .unwrap();
        assert!(!identities.is_empty());
        for (part, identity) in identities {
            let identity = identity.unwrap_or_else(|| panic!("{part} has no identity"));
            assert!(identity.iter().all(|column| columns.contains(column)), "{part}: {identity:?}");
        }
    }
}

#[tokio::test]
async fn no_table_that_holds_keys_or_what_others_sent_is_published() {
    let mut session = connection(&migrated_database().await).await;
    let tables: Vec<String> = sqlx::query_scalar(AssertSqlSafe(
        "select relname::text from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') and not relispartition",
    ))
    .fetch_all(&mut session)
    .await
    .unwrap();
    for secret in ["api_keys", "idempotency_keys", "webhook_endpoints", "events", "admin_actions"] {
        assert!(tables.iter().any(|table| table == secret), "{secret} has another name by now");
        assert!(PUBLISHED.iter().all(|table| table.name != secret), "{secret}");
    }
}
