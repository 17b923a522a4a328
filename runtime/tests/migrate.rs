//! `purser migrate` against a real PostgreSQL.

// A helper that fails is a test that fails.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;

use chrono::Utc;
use runtime::migrate::{self, MigrateError, Mismatch, Patience, Runner};
use runtime::partitions;
use runtime_contract::{Outcome, Reason};
use secrecy::SecretString;
use sqlx::{PgConnection, Row};
use support::{OWNER, PATIENCE, connection, empty_database, migrated_database};

async fn run(url: &str, owner: &str) -> Result<migrate::Migrated, MigrateError> {
    migrate::run(&SecretString::from(url), owner, PATIENCE, Utc::now()).await
}

/// Everything that a migration can change, as text.
async fn schema(url: &str) -> Vec<String> {
    let mut connection = connection(url).await;
    let query = "
        select format('%s %s %s %s', c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull) from pg_attribute a
            join pg_class c on c.oid = attrelid where relnamespace = 'public'::regnamespace and attnum > 0
        union all select pg_get_constraintdef(oid) || conname || conrelid::regclass from pg_constraint where connamespace = 'public'::regnamespace
        union all select indexdef from pg_indexes where schemaname = 'public'
        order by 1";
    sqlx::query_scalar(query).fetch_all(&mut connection).await.unwrap()
}

#[tokio::test]
async fn migrating_twice_changes_nothing_the_second_time() {
    let url = empty_database().await;
    let first = run(&url, OWNER).await.unwrap();
    assert_eq!(first.applied, usize::try_from(migrate::schema_version()).unwrap());
    assert_eq!(first.partitions.len(), 20, "the month before, this one and three ahead, of four tables");
    let before = schema(&url).await;
    let second = run(&url, OWNER).await.unwrap();
    assert_eq!(second, migrate::Migrated { schema_version: first.schema_version, applied: 0, partitions: Vec::new() });
    assert_eq!(schema(&url).await, before);
}

#[tokio::test]
async fn runners_at_the_same_time_do_not_collide() {
    let url = empty_database().await;
    let runs = futures::future::join_all((0..4).map(|_| run(&url, OWNER))).await;
    let applied: Vec<usize> = runs.into_iter().map(|run| run.unwrap().applied).collect();
    assert_eq!(applied.iter().filter(|count| **count > 0).count(), 1, "one did the work: {applied:?}");
}

/// As if the newest file had not been applied yet: there would be something to do.
async fn forget_the_newest(connection: &mut PgConnection) {
    sqlx::raw_sql("delete from _sqlx_migrations where version = (select max(version) from _sqlx_migrations); alter table payment_attempts drop column api_endpoint")
        .execute(connection)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_second_owner_is_refused_and_nothing_changes() {
    let url = migrated_database().await;
    let mut connection = connection(&url).await;
    forget_the_newest(&mut connection).await;
    let before = schema(&url).await;
    let error = run(&url, "tests/another").await.unwrap_err();
    assert_eq!((error.reason(), error.outcome()), (Reason::DatabaseOwnedByAnother, Outcome::Failed));
    assert!(error.to_string().contains(OWNER), "{error}");
    assert_eq!(schema(&url).await, before);
}

/// A run that an operator of this number has done.
async fn run_by(url: &str, token: i64) -> Result<migrate::Migrated, MigrateError> {
    let runner = Runner { owner: OWNER, fencing_token: Some(token) };
    migrate::run(&SecretString::from(url), runner, PATIENCE, Utc::now()).await
}

#[tokio::test]
async fn an_operator_that_another_one_has_replaced_is_refused_and_nothing_changes() {
    let url = empty_database().await;
    run_by(&url, 7).await.unwrap();
    // The same operator again, and the one after it.
    run_by(&url, 7).await.unwrap();
    run_by(&url, 9).await.unwrap();
    let mut connection = connection(&url).await;
    forget_the_newest(&mut connection).await;
    let before = schema(&url).await;
    let error = run_by(&url, 8).await.unwrap_err();
    assert_eq!((error.reason(), error.outcome()), (Reason::OperatorSuperseded, Outcome::Retry));
    assert!(error.to_string().contains("its number is 9, not 8"), "{error}");
    assert_eq!(schema(&url).await, before);
    let newest: i64 = sqlx::query_scalar("select token from _purser_fence").fetch_one(&mut connection).await.unwrap();
    assert_eq!(newest, 9);
}

/// The operator that was held up had its Job made before, and the Job waits for the lock that its successor's Job holds.
#[tokio::test]
async fn a_run_that_waited_for_its_successors_is_refused_once_it_gets_the_lock() {
    let url = migrated_database().await;
    let mut holder = connection(&url).await;
    sqlx::query("select pg_advisory_lock($1)").bind(0x7075_7273_6572_0001_i64).execute(&mut holder).await.unwrap();
    let older = tokio::spawn({
        let url = url.clone();
        async move { run_by(&url, 1).await }
    });
    tokio::time::sleep(Duration::from_millis(700)).await;
    // What a run of the successor does while it has the lock.
    let fence = "create table _purser_fence (only_row boolean primary key default true check (only_row), token bigint not null);
                 insert into _purser_fence (token) values (2)";
    sqlx::raw_sql(fence).execute(&mut holder).await.unwrap();
    assert!(!older.is_finished(), "it did not wait");
    sqlx::query("select pg_advisory_unlock($1)").bind(0x7075_7273_6572_0001_i64).execute(&mut holder).await.unwrap();
    assert_eq!(older.await.unwrap().unwrap_err().reason(), Reason::OperatorSuperseded);
}

#[tokio::test]
async fn a_wrong_password_fails_at_once() {
    let url = empty_database().await.replace(support::server::PASSWORD, "guess");
    let begin = std::time::Instant::now();
    let error = run(&url, OWNER).await.unwrap_err();
    assert_eq!((error.reason(), error.outcome()), (Reason::DatabaseAuthenticationFailed, Outcome::Failed));
    assert!(begin.elapsed() < Duration::from_secs(3));
    assert!(!error.to_string().contains("guess"));
}

#[tokio::test]
async fn a_database_that_does_not_exist_fails_at_once() {
    let error = run(&support::url_of("nowhere"), OWNER).await.unwrap_err();
    assert_eq!((error.reason(), error.outcome()), (Reason::DatabaseMissing, Outcome::Failed));
}

#[tokio::test]
async fn a_server_that_is_away_may_come_back() {
    let patience = Patience { connect: Duration::from_millis(500), lock: Duration::ZERO };
    let url = SecretString::from(support::url_on(1, "purser"));
    let error = migrate::run(&url, OWNER, patience, Utc::now()).await.unwrap_err();
    assert_eq!((error.reason(), error.outcome()), (Reason::DatabaseUnreachable, Outcome::Retry));
}

#[tokio::test]
async fn a_runner_that_does_not_get_the_lock_says_so() {
    let url = migrated_database().await;
    let mut holder = connection(&url).await;
    sqlx::query("select pg_advisory_lock($1)").bind(0x7075_7273_6572_0001_i64).execute(&mut holder).await.unwrap();
    let patience = Patience { lock: Duration::from_millis(600), ..PATIENCE };
    let error = migrate::run(&SecretString::from(url), OWNER, patience, Utc::now()).await.unwrap_err();
    assert_eq!((error.reason(), error.outcome()), (Reason::MigrationLocked, Outcome::Retry));
}

#[tokio::test]
async fn a_database_from_a_newer_program_is_refused() {
    let url = migrated_database().await;
    sqlx::query("insert into _sqlx_migrations (version, description, success, checksum, execution_time) values (9999, 'later', true, '', 0)")
        .execute(&mut connection(&url).await)
        .await
        .unwrap();
    let error = run(&url, OWNER).await.unwrap_err();
    assert!(matches!(error, MigrateError::Mismatch(Mismatch::DatabaseIsNewer { database: 9999, .. })), "{error}");
    assert_eq!(error.reason(), Reason::SchemaMismatch);
}

#[tokio::test]
async fn every_table_and_column_has_a_comment() {
    let url = migrated_database().await;
    let query = "
        select c.relname || coalesce('.' || a.attname, '') from pg_class c
            left join pg_attribute a on a.attrelid = c.oid and a.attnum > 0
        where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition and c.relname <> '_sqlx_migrations'
            and (obj_description(c.oid) is null or col_description(c.oid, a.attnum) is null)";
    let silent: Vec<String> = sqlx::query_scalar(query).fetch_all(&mut connection(&url).await).await.unwrap();
    assert_eq!(silent, Vec::<String>::new());
}

#[tokio::test]
async fn the_indexes_that_the_design_names_are_there() {
    let url = migrated_database().await;
    let query =
        "select indexdef from pg_indexes where schemaname = 'public' and tablename in ('transactions', 'fraud_checks')";
    let indexes =
        sqlx::query_scalar::<_, String>(query).fetch_all(&mut connection(&url).await).await.unwrap().join("\n");
    for index in [
        "transactions USING btree (user_id, created_at DESC)",
        "transactions USING btree (merchant_id, created_at)",
        "transactions USING btree (status, created_at)",
        "transactions USING btree (t_start)",
        "transactions USING btree (status, t_start)",
        "transactions USING btree (status) WHERE ((status)::text = 'PENDING'::text)",
        "fraud_checks USING btree (transaction_id, created_at)",
    ] {
        assert!(indexes.contains(index), "{index} is missing in\n{indexes}");
    }
}

#[tokio::test]
async fn partitions_begin_at_midnight_utc_whatever_the_server_thinks() {
    let url = migrated_database().await;
    let mut connection = connection(&url).await;
    let now = "2031-05-15T00:00:00Z".parse().unwrap();
    let made = partitions::ensure(&mut connection, now).await.unwrap();
    assert_eq!(made.len(), 20, "{made:?}");
    assert_eq!(partitions::ensure(&mut connection, now).await.unwrap(), Vec::<String>::new());
    sqlx::query("set timezone = 'UTC'").execute(&mut connection).await.unwrap();
    let row =
        sqlx::query("select pg_get_expr(relpartbound, oid) from pg_class where relname = 'transactions_p20310501'")
            .fetch_one(&mut connection)
            .await
            .unwrap();
    assert_eq!(row.get::<String, _>(0), "FOR VALUES FROM ('2031-05-01 00:00:00+00') TO ('2031-06-01 00:00:00+00')");
}

#[tokio::test]
async fn a_file_that_fails_is_named_with_what_postgresql_said() {
    let url = empty_database().await;
    sqlx::raw_sql("create table merchants ()").execute(&mut connection(&url).await).await.unwrap();
    let error = run(&url, OWNER).await.unwrap_err();
    assert_eq!((error.reason(), error.outcome()), (Reason::MigrationFailed, Outcome::Failed));
    let said = r#"migration 2 (merchants users payment methods) failed: relation "merchants" already exists"#;
    assert_eq!(error.to_string(), said);
}
