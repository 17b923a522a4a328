//! `purser migrate plan|lint|status` against a real PostgreSQL.

// A helper that fails is a test that fails.
#![allow(clippy::unwrap_used)]

mod support;

use runtime::migrate::{self, FileOutlook, MigrateError, Mismatch, Outlook, Patience, State, Stops};
use secrecy::SecretString;
use serde_json::Value;
use sqlx::migrate::{Migration, MigrationType};
use sqlx::{AssertSqlSafe, PgConnection, SqlSafeStr};
use support::process::{purser, run};
use support::{OWNER, PATIENCE, connection, empty_database, migrated_database};

async fn plan(url: &str) -> Result<Outlook, MigrateError> {
    migrate::plan(&SecretString::from(url), PATIENCE).await
}

/// As if the files from this one on had not been applied yet.
async fn as_before(connection: &mut PgConnection, version: i64) {
    let forget = format!("delete from _sqlx_migrations where version >= {version}");
    sqlx::raw_sql(AssertSqlSafe(forget)).execute(connection).await.unwrap();
}

async fn schemas(connection: &mut PgConnection) -> Vec<String> {
    let query = "select nspname::text from pg_namespace where nspname not like 'pg\\_%' order by 1";
    sqlx::query_scalar(query).fetch_all(connection).await.unwrap()
}

#[tokio::test]
async fn a_plan_says_what_the_pending_files_lock_and_changes_nothing() {
    let url = migrated_database().await;
    let mut connection = connection(&url).await;
    sqlx::raw_sql("analyze").execute(&mut connection).await.unwrap();
    as_before(&mut connection, 10).await;
    let before = schemas(&mut connection).await;
    let outlook = plan(&url).await.unwrap();
    assert_eq!((outlook.database_version, outlook.program_version), (9, migrate::schema_version()));
    assert!(outlook.online && outlook.safe, "{outlook:?}");
    let versions: Vec<i64> = outlook.files.iter().map(|file| file.version).collect();
    assert_eq!(versions, (10..=migrate::schema_version()).collect::<Vec<_>>());
    let locks = |version: i64| -> Vec<(&str, &str, Stops)> {
        let file = outlook.files.iter().find(|file| file.version == version).unwrap();
        let locks = file.statements.iter().flat_map(|statement| &statement.locks);
        locks.map(|lock| (lock.table.as_str(), lock.mode.as_str(), lock.stops)).collect()
    };
    assert!(locks(10).contains(&("transactions", "AccessExclusiveLock", Stops::ReadsAndWrites)));
    assert_eq!(locks(11)[0], ("transactions", "ShareUpdateExclusiveLock", Stops::Nobody), "a constraint is validated");
    assert_eq!(locks(15), [("users", "ShareUpdateExclusiveLock", Stops::Nobody)], "an index is built concurrently");
    let by_file = |version: i64| outlook.files.iter().find(|file| file.version == version).unwrap();
    assert!(by_file(10).transaction && !by_file(15).transaction);
    assert!(by_file(10).statements.iter().flat_map(|statement| &statement.locks).all(|lock| lock.rows == Some(0)));
    assert_eq!(schemas(&mut connection).await, before, "what was rehearsed in is gone");
    let applied: i64 =
        sqlx::query_scalar("select count(*) from _sqlx_migrations").fetch_one(&mut connection).await.unwrap();
    assert_eq!(applied, 9);
}

#[tokio::test]
async fn what_a_killed_plan_left_behind_is_dropped() {
    let url = migrated_database().await;
    let mut connection = connection(&url).await;
    sqlx::raw_sql("create schema purser_rehearsal; create table purser_rehearsal.merchants (id int)")
        .execute(&mut connection)
        .await
        .unwrap();
    as_before(&mut connection, 18).await;
    assert!(plan(&url).await.unwrap().safe);
    assert!(!schemas(&mut connection).await.contains(&"purser_rehearsal".to_owned()));
}

#[tokio::test]
async fn a_plan_waits_for_no_real_table() {
    let url = migrated_database().await;
    as_before(&mut connection(&url).await, 10).await;
    let mut busy = connection(&url).await;
    sqlx::raw_sql("begin; lock table transactions, merchants, users in access exclusive mode")
        .execute(&mut busy)
        .await
        .unwrap();
    assert!(plan(&url).await.unwrap().safe);
}

#[tokio::test]
async fn nothing_to_apply_needs_no_right_to_rehearse() {
    let url = migrated_database().await;
    let role = "create role reads_history login password 'word'; grant select on _sqlx_migrations to reads_history";
    sqlx::raw_sql(role).execute(&mut connection(&url).await).await.unwrap();
    let own = format!("{}:{}@", support::server::USER, support::server::PASSWORD);
    let outlook = plan(&url.replace(&own, "reads_history:word@")).await.unwrap();
    assert!(outlook.files.is_empty() && outlook.safe && outlook.online);
}

/// The plan for a file that follows this program's own, and whether `users` has the column `extra` afterwards.
async fn plan_with(sql: &'static str) -> (FileOutlook, bool) {
    let url = migrated_database().await;
    let files = sqlx::migrate!("../migrations").migrations;
    let next = Migration::new(9_999, "next".into(), MigrationType::Simple, sql.into_sql_str(), false);
    let files: Vec<Migration> = files.iter().cloned().chain([next]).collect();
    let outlook = migrate::plan_files(&SecretString::from(url.as_str()), &files, PATIENCE).await.unwrap();
    let mut connection = connection(&url).await;
    let query =
        "select exists (select from pg_attribute where attrelid = 'public.users'::regclass and attname = 'extra')";
    let changed = sqlx::query_scalar(query).fetch_one(&mut connection).await.unwrap();
    assert!(!schemas(&mut connection).await.contains(&"purser_rehearsal".to_owned()));
    (outlook.files.into_iter().next().unwrap(), changed)
}

#[tokio::test]
async fn a_file_that_reaches_for_real_tables_is_refused_and_undone() {
    for sql in [
        "-- phase: expand\nalter table public.users add column extra int;",
        "-- phase: expand\nset search_path = public;\nalter table users add column extra int;",
    ] {
        let (file, changed) = plan_with(sql).await;
        let refused = file.statements.last().unwrap().refused.clone().unwrap();
        assert!(refused.contains("public.users"), "{refused}");
        assert!(!changed && !file.online, "{sql}");
    }
}

#[tokio::test]
async fn what_is_written_anew_is_seen_also_in_partitions() {
    let (file, _) =
        plan_with("-- phase: expand\nalter table transactions add column extra float8 default random();").await;
    assert_eq!(file.statements[0].rewrites, ["transactions"]);
    assert!(!file.online);
    let (file, _) = plan_with("-- phase: expand\nalter table users add column extra int default 7;").await;
    assert!(file.online && file.statements[0].rewrites.is_empty(), "{file:?}");
    let (file, _) = plan_with("-- phase: expand\nupdate users set email = email;").await;
    assert_eq!(file.statements[0].locks[0].stops, Stops::SameRows);
}

#[tokio::test]
async fn a_plan_for_an_empty_database_lists_every_file() {
    let url = empty_database().await;
    let outlook = plan(&url).await.unwrap();
    assert_eq!((outlook.database_version, outlook.files.len() as u64), (0, migrate::schema_version().unsigned_abs()));
    assert!(outlook.safe && outlook.files.iter().all(|file| file.statements.is_empty()), "{outlook:?}");
}

#[tokio::test]
async fn a_plan_waits_for_whoever_migrates_and_refuses_a_database_that_differs() {
    let url = migrated_database().await;
    let mut connection = connection(&url).await;
    sqlx::raw_sql("select pg_advisory_lock(x'7075727365720001'::bigint)").execute(&mut connection).await.unwrap();
    let hasty = Patience { lock: std::time::Duration::from_millis(600), ..PATIENCE };
    let busy = migrate::plan(&SecretString::from(url.as_str()), hasty).await.unwrap_err();
    assert!(matches!(busy, MigrateError::Locked { .. }), "{busy}");
    sqlx::raw_sql("select pg_advisory_unlock_all(); update _sqlx_migrations set checksum = '\\x00' where version = 3")
        .execute(&mut connection)
        .await
        .unwrap();
    let differs = plan(&url).await.unwrap_err();
    assert!(matches!(differs, MigrateError::Mismatch(Mismatch::Differs { version: 3 })), "{differs}");
    let status = migrate::status(&mut connection).await.unwrap();
    assert_eq!(status.state, State::Differs);
    assert!(status.problem.unwrap().contains("migration 3"));
}

#[tokio::test]
async fn the_status_tells_where_a_database_stands() {
    let url = empty_database().await;
    let mut connection = connection(&url).await;
    let nothing = migrate::status(&mut connection).await.unwrap();
    assert_eq!((nothing.state, nothing.owner, nothing.database_version), (State::Pending, None, 0));
    migrate::run(&SecretString::from(url.as_str()), OWNER, PATIENCE, chrono::Utc::now()).await.unwrap();
    let current = migrate::status(&mut connection).await.unwrap();
    assert_eq!((current.state, current.owner.as_deref(), current.pending.len()), (State::Current, Some(OWNER), 0));
    assert_eq!(current.applied.len() as u64, migrate::schema_version().unsigned_abs());
    as_before(&mut connection, migrate::schema_version()).await;
    let pending = migrate::status(&mut connection).await.unwrap();
    assert_eq!((pending.state, pending.pending.len()), (State::Pending, 1));
    sqlx::raw_sql("update _sqlx_migrations set version = 9999 where version = 1")
        .execute(&mut connection)
        .await
        .unwrap();
    assert_eq!(migrate::status(&mut connection).await.unwrap().state, State::Newer);
}

/// Runs a command for people: its exit code and what it printed.
fn shown(arguments: &[&str], url: &str) -> (Option<i32>, String) {
    let output = run(purser(arguments).env("PURSER_DATABASE_URL", url));
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

#[tokio::test]
async fn the_commands_speak_to_people_and_to_programs() {
    let url = migrated_database().await;
    let mut connection = connection(&url).await;
    let (code, words) = shown(&["migrate", "plan"], &url);
    assert_eq!(code, Some(0));
    assert_eq!(words.trim(), format!("nothing to apply: the schema is at version {}", migrate::schema_version()));
    as_before(&mut connection, 15).await;
    let (code, words) = shown(&["migrate", "plan"], &url);
    assert_eq!(code, Some(0), "{words}");
    assert!(words.starts_with("schema version 14 to "), "{words}");
    assert!(words.contains("0015_users_of_a_merchant: expand, without a transaction, online"), "{words}");
    assert!(words.contains("ShareUpdateExclusiveLock on users"), "{words}");
    let (code, json) = shown(&["migrate", "plan", "--json"], &url);
    let plan: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((code, &plan["database_version"], &plan["safe"]), (Some(0), &Value::from(14), &Value::from(true)));
    let (code, json) = shown(&["migrate", "status", "--json"], &url);
    let status: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((code, status["state"].as_str(), status["owner"].as_str()), (Some(0), Some("pending"), Some(OWNER)));
    let (code, words) = shown(&["migrate", "lint"], &url);
    assert_eq!(code, Some(0), "{words}");
}

#[test]
fn lint_stops_at_an_unsafe_file_and_names_the_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("0020_bad.sql");
    std::fs::write(&file, "-- phase: expand\n\ncreate index a on transactions (release);\n").unwrap();
    let (code, words) = shown(&["migrate", "lint", file.to_str().unwrap()], "");
    assert_eq!(code, Some(1));
    assert!(
        words.contains("0020_bad.sql, line 3: ") && words.contains("(require-concurrent-index-creation)"),
        "{words}"
    );
    let output = run(&mut purser(&["migrate", "lint", "nowhere.sql"]));
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot read nowhere.sql"));
}
