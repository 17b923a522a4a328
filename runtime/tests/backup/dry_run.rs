//! Pending migrations on a copy of the database.

use chrono::Utc;
use runtime::backup::{BackupError, DryRun, Rehearsal};
use runtime::migrate;
use runtime_contract::{JobReport, Outcome, Reason, commands};
use sqlx::SqlSafeStr;
use sqlx::migrate::{Migration, MigrationType};

use crate::ground::Ground;
use crate::support::OWNER;
use crate::support::process::{purser, run};

fn files(more: &[&'static str]) -> Vec<Migration> {
    let more = more.iter().zip(9001..).map(|(sql, version)| {
        Migration::new(version, "what is new".into(), MigrationType::Simple, sql.into_sql_str(), false)
    });
    migrate::own_files().iter().cloned().chain(more).collect()
}

async fn dry_run(ground: &Ground, from: Rehearsal<'_>, more: &[&'static str]) -> Result<DryRun, BackupError> {
    ground.backups().dry_run(from, Some(OWNER), &files(more), &ground.scratch(), Utc::now()).await
}

async fn is_there(ground: &Ground, table: &str) -> bool {
    let query = sqlx::query_scalar("select to_regclass($1) is not null").bind(table.to_owned());
    query.fetch_one(&mut ground.session().await).await.unwrap()
}

const GOOD: &str = "create table dry (payment_id uuid); insert into dry select id from transactions";
const BAD: &str = "create table half (); alter table transactions add constraint none check (amount < 0)";

#[tokio::test]
async fn pending_files_are_applied_to_a_copy_and_timed() {
    let ground = Ground::new(2).await;
    let backup = ground.verified().await;
    let url = ground.url();
    for from in [Rehearsal::Backup(backup.id), Rehearsal::Current(&url)] {
        let done = dry_run(&ground, from, &[GOOD]).await.unwrap();
        assert!(done.succeeded && done.failure.is_none(), "{done:?}");
        assert_eq!((done.from_version, done.to_version), (backup.schema_version, 9001));
        assert_eq!(done.files.iter().map(|file| file.name.as_str()).collect::<Vec<_>>(), ["9001_what_is_new"]);
        assert_eq!(done.backup_id.is_some(), matches!(from, Rehearsal::Backup(_)));
    }
    assert!(!is_there(&ground, "dry").await);
    let done = dry_run(&ground, Rehearsal::Current(&url), &[]).await.unwrap();
    assert!(done.succeeded && done.files.is_empty(), "{done:?}");
}

#[tokio::test]
async fn a_file_that_the_payments_in_the_copy_do_not_bear_fails_and_leaves_nothing() {
    let ground = Ground::new(1).await;
    let backup = ground.verified().await;
    let done = dry_run(&ground, Rehearsal::Backup(backup.id), &[GOOD, BAD]).await.unwrap();
    assert!(!done.succeeded && done.to_version == 9001 && done.files.len() == 1, "{done:?}");
    let failure = done.failure.unwrap();
    assert!(failure.contains("migration 9002 (what is new) failed: check constraint \"none\""), "{failure}");
    assert!(!is_there(&ground, "dry").await && !is_there(&ground, "half").await);
    let query = "select count(*) from pg_database where datname like 'purser\\_scratch\\_%'
        and exists (select from pg_stat_activity a where a.datname = pg_database.datname and pid <> pg_backend_pid()
            and application_name like 'purser migrate%')";
    let left: i64 = sqlx::query_scalar(query).fetch_one(&mut ground.session().await).await.unwrap();
    assert_eq!(left, 0);
}

#[tokio::test]
async fn a_copy_of_anothers_database_is_not_migrated() {
    let ground = Ground::new(0).await;
    let url = ground.url();
    let copied = ground
        .backups()
        .dry_run(Rehearsal::Current(&url), Some("tests/another"), &files(&[GOOD]), &ground.scratch(), Utc::now())
        .await;
    assert_eq!(copied.unwrap_err().reason(), Reason::DatabaseOwnedByAnother);
}

#[tokio::test]
async fn the_command_says_it_in_json_and_leaves_a_report() {
    let ground = Ground::new(0).await;
    let backup = ground.verified().await.id.to_string();
    // As if the newest file had not been applied yet, and then as if it could not be.
    let newest = "delete from _sqlx_migrations where version = (select max(version) from _sqlx_migrations)";
    let rehearse = |arguments: &[&str]| {
        let log = tempfile::NamedTempFile::new().unwrap();
        let mut command = purser(&[&["migrate", "dry-run"], arguments].concat());
        command.env("PURSER_SECRETS", ground.secrets_folder()).env("PURSER_BACKUP_STORE", ground.store());
        let output = run(command.env(commands::TERMINATION_LOG_ENV, log.path()));
        (output, std::fs::read(log.path()).unwrap())
    };
    let (output, report) = rehearse(&["--backup", &backup, "--owner", OWNER, "--json"]);
    let report: JobReport = serde_json::from_slice(&report).unwrap();
    assert_eq!(
        (output.status.code(), report.outcome, report.reason),
        (Some(0), Outcome::Succeeded, Reason::DryRunSucceeded)
    );
    assert_eq!(report.backup_id.as_deref(), Some(backup.as_str()));
    let done: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(done["files"].as_array().unwrap().is_empty() && done["took_ms"].is_u64(), "{done}");

    sqlx::raw_sql(newest).execute(&mut ground.session().await).await.unwrap();
    let (output, report) = rehearse(&["--from-current", "--owner", OWNER]);
    let report: JobReport = serde_json::from_slice(&report).unwrap();
    assert_eq!((output.status.code(), report.outcome, report.reason), (Some(1), Outcome::Failed, Reason::DryRunFailed));
    let failed = format!("FAILED: migration {}", migrate::schema_version());
    assert!(report.message.contains(&failed), "{}", report.message);

    let (output, report) = rehearse(&["--from-current"]);
    assert!(output.status.code() == Some(1) && report.is_empty(), "{output:?}");
    assert!(!rehearse(&[]).0.status.success(), "which copy is to be said");
}
