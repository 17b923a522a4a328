//! Dying anywhere loses nothing.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::Utc;
use runtime::archive::{ArchiveError, Archives, Run, Step};
use runtime::backup::{Backups, Create};
use runtime::config::Secrets;
use runtime::migrate::{self, MigrateError, Patience};
use runtime_contract::{Outcome, Reason};
use sqlx::migrate::{Migration, MigrationType};
use sqlx::{Connection, SqlSafeStr};
use tokio_util::sync::CancellationToken;

use crate::ground::{Ground, KEEP, TABLES, execute_now};
use crate::support::{OWNER, PATIENCE};

const STEPS: [Step; 7] =
    [Step::Counted, Step::Written, Step::ReadBack, Step::Described, Step::Detached, Step::Compared, Step::Dropped];

/// A run that dies at a step of a table, as a killed process does: its connection is cut, and it says nothing more.
async fn dies_at(ground: &Arc<Ground>, table: &str, at: Step) {
    let (ground, id) = (ground.clone(), ground.id(table));
    let run = tokio::spawn(async move {
        let told = move |of, step| assert!(of != id || step != at, "killed by this test");
        ground.run_at(&ground.archives(), ground.later(), &told).await
    });
    assert!(run.await.unwrap_err().is_panic(), "{at:?} of {table} was not reached");
}

#[tokio::test]
async fn a_run_that_dies_at_any_step_leaves_each_row_in_the_database_or_in_an_archive() {
    for (table, at) in STEPS.into_iter().enumerate().map(|(n, step)| (TABLES[n % TABLES.len()], step)) {
        let ground = Arc::new(Ground::new().await);
        let before = ground.contents().await;
        let balance = ground.shop.get("/v1/balance").await.json();
        dies_at(&ground, table, at).await;
        let archived = ground.run().await.unwrap();
        assert_eq!(archived.stayed, [], "after {at:?} of {table}");
        assert_eq!(ground.shop.get("/v1/balance").await.json(), balance);
        for table in TABLES {
            assert!(!ground.is_attached(ground.id(table)).await);
            ground.restore(ground.id(table)).await.unwrap();
        }
        assert_eq!(ground.contents().await, before, "after {at:?} of {table}");
        assert!(ground.ledger().await.sound);
    }
}

#[tokio::test]
async fn a_restore_finds_its_way_after_a_crash_between_detaching_and_dropping() {
    let ground = Arc::new(Ground::new().await);
    let before = ground.contents().await;
    dies_at(&ground, "transactions", Step::Detached).await;
    assert_eq!(ground.contents().await["transactions"].0, 0, "it is out of its table");
    let refused = ground.restore(ground.id("transactions")).await.unwrap_err();
    assert!(refused.to_string().contains("is in the database"), "{refused}");
    assert_eq!(ground.contents().await, before, "and was put back");
}

/// This program's files, and one that changes a table of which a month is archived.
fn with_another_file() -> Vec<Migration> {
    let sql = "-- phase: expand\nalter table transactions add column channel text";
    let version = migrate::schema_version() + 1;
    let file = Migration::new(version, "channel".into(), MigrationType::Simple, sql.into_sql_str(), false);
    migrate::own_files().iter().cloned().chain([file]).collect()
}

#[tokio::test]
async fn a_migration_puts_back_what_a_crash_left_out_before_it_changes_the_table() {
    let ground = Arc::new(Ground::new().await);
    let (id, rows) = (ground.id("transactions"), ground.contents().await["transactions"].0);
    dies_at(&ground, "transactions", Step::Detached).await;
    let (url, files) = (ground.url(), with_another_file());
    let migrated = async || migrate::run_files(&url, OWNER, &files, PATIENCE, Utc::now(), &mut Vec::new()).await;
    ground.execute("insert into platform_maintenance (retry_after_s) values (30)").await;
    let error = migrated().await.unwrap_err();
    assert!(error.to_string().contains(&id.to_string()) && error.to_string().contains("maintenance"), "{error}");
    assert_eq!((error.outcome(), error.reason()), (Outcome::Failed, Reason::MigrationFailed));
    assert!(!ground.is_attached(id).await, "nothing is moved in maintenance");
    for refused in [ground.run().await.map(drop), ground.restore(id).await.map(drop)] {
        assert!(matches!(refused, Err(ArchiveError::Maintenance)) && !ground.is_attached(id).await, "{refused:?}");
    }
    ground.execute("delete from platform_maintenance").await;
    assert_eq!(migrated().await.unwrap().applied, 1);
    assert_eq!(ground.contents().await["transactions"].0, rows);
    ground.run().await.unwrap();
    assert!(!ground.is_attached(id).await);
}

#[tokio::test]
async fn a_run_puts_back_what_a_crash_left_out_while_nobody_migrates() {
    let ground = Arc::new(Ground::new().await);
    dies_at(&ground, "transactions", Step::Detached).await;
    let mut migrating = ground.session().await;
    // The number of the lock of migrations.
    sqlx::raw_sql("select pg_advisory_lock(x'7075727365720001'::bigint)").execute(&mut migrating).await.unwrap();
    let url = ground.url();
    let patience = Patience { lock: Duration::from_secs(1), ..PATIENCE };
    let run = Run { url: &url, owner: Some(OWNER), keep_months: KEEP, patience, told: &|_, _| () };
    let error = ground.archives().run(run, ground.later()).await.unwrap_err();
    assert!(matches!(error, ArchiveError::Migrate(MigrateError::Locked { .. })), "{error}");
    assert!(!ground.is_attached(ground.id("transactions")).await);
}

#[tokio::test]
async fn a_backup_puts_back_what_a_crash_left_out() {
    let ground = Arc::new(Ground::new().await);
    let rows = ground.contents().await["transactions"].0;
    dies_at(&ground, "transactions", Step::Detached).await;
    let backups = Backups::open(&ground.store(), &Secrets::new(ground.secrets_folder()), CancellationToken::new());
    let url = ground.url();
    let create = async |owner| {
        let create = Create { url: &url, owner: Some(owner), patience: PATIENCE };
        backups.as_ref().unwrap().create(create, Utc::now()).await
    };
    create("tests/another").await.unwrap_err();
    assert!(!ground.is_attached(ground.id("transactions")).await, "another's database is left alone");
    let backup = create(OWNER).await.unwrap();
    let counted = backup.tables.iter().find(|table| table.name == "transactions").unwrap();
    assert_eq!(i64::try_from(counted.rows).unwrap(), rows);
}

#[tokio::test]
async fn a_partition_that_is_used_for_long_is_not_taken_out_of_its_table() {
    let ground = Ground::new().await;
    let id = ground.id("transactions");
    let mut reading = ground.session().await;
    sqlx::raw_sql("begin; select from transactions").execute(&mut reading).await.unwrap();
    let begin = Instant::now();
    let error = ground.run().await.unwrap_err();
    assert!(matches!(error, ArchiveError::InUse { .. }), "{error}");
    assert!(begin.elapsed() < Duration::from_secs(30), "it is not tried in vain");
    assert_eq!(ground.count("select count(*) from pg_inherits where inhdetachpending").await, 0);
    assert!(ground.is_attached(id).await);
    reading.close().await.unwrap();
    ground.run().await.unwrap();
    assert!(!ground.is_attached(id).await);
}

#[tokio::test]
async fn a_partition_that_does_not_go_back_is_named() {
    let ground = Ground::new().await;
    let (id, before) = (ground.id("transactions"), ground.contents().await);
    let url = ground.shop.stage.test.database_url.clone();
    let told = move |of, step| {
        if of == id && step == Step::Detached {
            let end = "select pg_terminate_backend(pid, 10000) from pg_stat_activity
                where datname = current_database() and application_name = 'purser archive'";
            execute_now(&url, end);
        }
    };
    let error = ground.run_at(&ground.archives(), ground.later(), &told).await.unwrap_err();
    assert!(matches!(error, ArchiveError::LeftOut { id: of, .. } if of == id), "{error}");
    assert_eq!(error.outcome(), Outcome::Retry);
    assert!(!ground.is_attached(id).await);
    let refused = ground.restore(id).await.unwrap_err();
    assert!(refused.to_string().contains("is in the database"), "{refused}");
    assert_eq!(ground.contents().await, before);
}

#[tokio::test]
async fn whoever_is_told_to_stop_takes_nothing_out_of_its_table_any_more() {
    let ground = Ground::new().await;
    let (id, stop) = (ground.id("transactions"), CancellationToken::new());
    let archives = Archives::open(&ground.store(), &Secrets::new(ground.secrets_folder()), stop.clone()).unwrap();
    let told = |of, step| {
        assert!(of != id || step != Step::Detached, "it was told to stop");
        if of == id && step == Step::Described {
            stop.cancel();
        }
    };
    let error = ground.run_at(&archives, ground.later(), &told).await.unwrap_err();
    assert!(matches!(error, ArchiveError::Interrupted), "{error}");
    assert!(ground.is_attached(id).await);
}

#[tokio::test]
async fn a_table_that_is_locked_for_long_is_tried_again_later() {
    let ground = Ground::new().await;
    let mut locking = ground.session().await;
    let lock = "begin; lock table archived_partitions in access exclusive mode";
    sqlx::raw_sql(lock).execute(&mut locking).await.unwrap();
    let error = ground.run().await.unwrap_err();
    assert!(matches!(error, ArchiveError::Database(_)), "{error}");
    assert_eq!(error.outcome(), Outcome::Retry, "{error}");
}
