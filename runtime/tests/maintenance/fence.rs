//! What the database itself refuses, and what it does not.

use std::time::Duration;

use runtime::backup::MONEY_TABLES;
use runtime::database;
use runtime::maintenance::DrainError;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::ground::Ground;

const SOON: Duration = Duration::from_millis(500);

async fn run(session: &mut PgConnection, statement: &str) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(session).await.map(drop)
}

fn is_refused(done: &Result<(), sqlx::Error>) -> bool {
    done.as_ref().is_err_and(|error| database::maintenance(error) == Some(7))
}

/// Statements that change nothing, and would be run all the same.
fn writes(table: &str) -> [String; 3] {
    [
        format!("insert into {table} select * from {table} where false"),
        format!("update {table} set created_at = created_at where false"),
        format!("delete from {table} where false"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_money_is_written_once_it_is_frozen_and_everything_before() {
    let ground = Ground::without_processors().await;
    ground.maintenance(true).await;
    let mut session = ground.session().await;
    let all: Vec<String> = MONEY_TABLES
        .iter()
        .flat_map(|table| {
            let column = if *table == "payment_attempts" { "t_start" } else { "created_at" };
            writes(table).map(|statement| statement.replace("created_at = created_at", &format!("{column} = {column}")))
        })
        .collect();
    for statement in &all {
        // The ledger is nobody's to change, whatever the time.
        let done = run(&mut session, statement).await;
        assert!(!is_refused(&done), "{statement}: {done:?}");
    }
    ground.drained().await;
    for statement in &all {
        let done = run(&mut session, statement).await;
        let is_ledgers = statement.contains("ledger_entries") && !statement.starts_with("insert");
        assert!(is_refused(&done) || is_ledgers && done.is_err(), "{statement}: {done:?}");
    }
    for claim in
        ["update work_items set claim_token = 1 where false", "update operation_items set claim_token = 1 where false"]
    {
        assert!(is_refused(&run(&mut session, claim).await), "{claim}");
    }
    // What says how far deliveries are is none of it; and migrations are what maintenance is for.
    run(&mut session, "update webhook_endpoints set leased_until = null where false").await.unwrap();
    run(&mut session, "update work_items set run_at = run_at where false").await.unwrap();
    run(&mut session, "set purser.migrates = 'on'; update transactions set description = description").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_began_before_is_waited_for_and_named_and_whoever_only_reads_is_not() {
    let ground = Ground::without_processors().await;
    let (mut writer, mut reader) = (ground.session().await, ground.session().await);
    run(&mut reader, "begin isolation level repeatable read; select count(*) from transactions").await.unwrap();
    let pid: i32 = sqlx::query_scalar("select pg_backend_pid()").fetch_one(&mut writer).await.unwrap();
    for (table, statement) in [
        ("idempotency_keys", "insert into idempotency_keys select * from idempotency_keys where false"),
        ("work_items", "update work_items set claim_token = 1 where false"),
        ("transactions", "update transactions set description = 'late' where false"),
    ] {
        run(&mut writer, &format!("begin; {statement}")).await.unwrap();
        ground.maintenance(true).await;
        let error = ground.drain(SOON).await.unwrap_err();
        let said = error.to_string();
        assert!(matches!(error, DrainError::Unfinished { .. }), "{table}: {said}");
        assert!(said.contains(&format!("process {pid} of PostgreSQL")), "{table}: {said}");
        let state = ground.state().await.unwrap();
        assert_eq!((state.held_at, state.frozen_at), (None, None), "{table}");
        run(&mut writer, "commit").await.unwrap();
        ground.drained().await;
        assert!(ground.state().await.unwrap().frozen_at.is_some(), "{table}");
        // Again is the same.
        ground.drained().await;
        ground.maintenance(false).await;
    }
    reader.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn it_begins_and_ends_with_the_settings_whoever_writes_them() {
    let ground = Ground::without_processors().await;
    assert!(matches!(ground.drain(SOON).await, Err(DrainError::Off)));
    ground.maintenance(true).await;
    let since = ground.state().await.unwrap().since;
    ground.drained().await;
    ground.maintenance(true).await;
    let state = ground.state().await.unwrap();
    assert!(
        state.since == since && state.frozen_at.is_some(),
        "newer settings that leave it on change nothing: {state:?}"
    );
    // As an earlier release would, which knows nothing of the table.
    let off = "update platform_settings set revision = revision + 1, document = document - 'maintenance'";
    sqlx::query(off).execute(ground.pool()).await.unwrap();
    assert_eq!(ground.state().await, None);
}
