//! Backups put into the place of the database, and the payments that keep them from it.

use std::process::{Child, Command, Stdio};

use chrono::Utc;
use runtime::backup::{BackupError, Manifest, Restore, Restored};
use runtime_contract::{JobReport, Outcome, Reason, commands};
use sqlx::{AssertSqlSafe, Connection};

use crate::ground::{Ground, payments, until};
use crate::support::gateway::settle;
use crate::support::process::{purser, run};
use crate::support::{OWNER, PATIENCE, connection, url_of};

async fn restore(ground: &Ground, backup: &Manifest, discard_newer: usize) -> Result<Restored, BackupError> {
    let url = ground.url();
    let restore =
        Restore { id: backup.id, owner: OWNER, url: &url, discard_newer, drop_old: false, patience: PATIENCE };
    ground.backups().restore(restore, Utc::now()).await
}

fn refusal(error: &BackupError) -> String {
    assert_eq!((error.reason(), error.outcome()), (Reason::RestoreRefused, Outcome::Failed), "{error}");
    error.to_string()
}

async fn run_sql(ground: &Ground, statements: &str) {
    sqlx::raw_sql(AssertSqlSafe(statements)).execute(&mut ground.session().await).await.unwrap();
}

/// What a migration that is to be undone leaves.
const MIGRATED: &str = "alter table transactions add column colour text not null default 'red'; create table halves ();
    drop table fraud_rules cascade";

#[tokio::test]
async fn what_a_migration_did_is_undone_and_the_old_database_is_kept() {
    let ground = Ground::new(2).await;
    let backup = ground.verified().await;
    run_sql(&ground, MIGRATED).await;
    let restored = restore(&ground, &backup, 0).await.unwrap();
    assert_eq!((restored.discarded, restored.schema_version), (0, backup.schema_version));

    let query = "select to_regclass('halves') is null and to_regclass('fraud_rules') is not null
        and not exists (select from pg_attribute where attname = 'colour' and attrelid = 'transactions'::regclass)";
    let undone: bool = sqlx::query_scalar(query).fetch_one(&mut ground.session().await).await.unwrap();
    assert!(undone);
    assert_eq!(payments(&ground.gateway.app.database_url).await, 3);
    // The ledger is nobody's to change, in the new database as in the old one.
    let revoked = "select has_table_privilege('ledger_entries', 'update') or relacl is not null from pg_class where relname = 'ledger_entries'";
    let revoked: bool = sqlx::query_scalar(revoked).fetch_one(&mut ground.session().await).await.unwrap();
    assert!(revoked);
    let old = url_of(&restored.kept_as.unwrap());
    let halves = sqlx::query_scalar::<_, bool>("select to_regclass('halves') is not null");
    assert!(halves.fetch_one(&mut connection(&old).await).await.unwrap());

    // Pods that were connected go on in the new one.
    until(async || ground.gateway.pay(&ground.gateway.payment()).await.status.is_success()).await;
    assert_eq!(payments(&ground.gateway.app.database_url).await, 4);
    assert_eq!(payments(&old).await, 3);
}

#[tokio::test]
async fn a_database_that_did_not_change_is_left_alone() {
    let ground = Ground::new(1).await;
    let backup = ground.verified().await;
    let restored = restore(&ground, &backup, 0).await.unwrap();
    assert_eq!(restored.kept_as, None);
    assert_eq!(ground.gateway.rows().await.0, 2, "nobody was sent away");
}

#[tokio::test]
async fn no_payment_is_lost_unless_a_person_says_how_many() {
    let ground = Ground::new(2).await;
    let backup = ground.verified().await;
    // One that came later, and one that was there and came to its end later.
    ground.pay(1).await;
    let query = "select id from transactions where status = 'PENDING' order by id limit 1";
    let older = sqlx::query_scalar(query).fetch_one(&mut ground.session().await).await.unwrap();
    settle(&ground.gateway, older).await;
    run_sql(&ground, MIGRATED).await;
    for wrong in [0, 1, 3] {
        let error = restore(&ground, &backup, wrong).await.unwrap_err();
        let said = refusal(&error);
        assert!(said.contains("2 payments") && said.contains("--discard-newer 2"), "{said}");
    }
    assert_eq!(payments(&ground.gateway.app.database_url).await, 4);
    assert!(ground.gateway.pay(&ground.gateway.payment()).await.status.is_success(), "and payments go on");

    let restored = restore(&ground, &backup, 3).await.unwrap();
    assert_eq!(restored.discarded, 3);
    assert_eq!(payments(&ground.gateway.app.database_url).await, 3);
    assert_eq!(payments(&url_of(&restored.kept_as.unwrap())).await, 5, "and it can still be looked at");
}

#[tokio::test]
async fn every_payment_that_is_acknowledged_while_a_restore_is_tried_is_there_afterwards() {
    let ground = Ground::new(1).await;
    let backup = ground.verified().await;
    run_sql(&ground, MIGRATED).await;
    let mut acknowledged = 2;
    let paying = async {
        for _ in 0..200 {
            let reply = ground.gateway.pay(&ground.gateway.payment()).await;
            acknowledged += i64::from(reply.status.is_success());
        }
    };
    let (restored, ()) = tokio::join!(restore(&ground, &backup, 0), paying);
    // Whichever came first: a payment keeps the backup out, or goes into the restored database.
    if let Err(error) = &restored {
        refusal(error);
    }
    assert_eq!(payments(&ground.gateway.app.database_url).await, acknowledged);
}

#[tokio::test]
async fn only_a_verified_backup_of_the_same_owner_is_restored() {
    let ground = Ground::new(0).await;
    let backup = ground.create().await.unwrap();
    run_sql(&ground, MIGRATED).await;
    let error = restore(&ground, &backup, 0).await.unwrap_err();
    assert!(refusal(&error).contains("not verified"));

    let backup = ground.verified().await;
    let url = ground.url();
    let another = Restore {
        id: backup.id,
        owner: "tests/another",
        url: &url,
        discard_newer: 0,
        drop_old: false,
        patience: PATIENCE,
    };
    let error = ground.backups().restore(another, Utc::now()).await.unwrap_err();
    assert!(matches!(&error, BackupError::OfAnother { owner, .. } if owner == OWNER), "{error}");

    run_sql(&ground, "update platform_owner set owner = 'tests/another'").await;
    let error = restore(&ground, &backup, 0).await.unwrap_err();
    assert_eq!(error.reason(), Reason::DatabaseOwnedByAnother);
}

#[tokio::test]
async fn a_backup_that_spoiled_since_it_was_verified_changes_nothing() {
    let ground = Ground::new(1).await;
    let backup = ground.verified().await;
    run_sql(&ground, MIGRATED).await;
    let mut dump = std::fs::read(ground.dump(backup.id)).unwrap();
    let middle = dump.len() / 2;
    dump[middle] ^= 1;
    std::fs::write(ground.dump(backup.id), dump).unwrap();
    let error = restore(&ground, &backup, 0).await.unwrap_err();
    assert_eq!(error.reason(), Reason::BackupCorrupt, "{error}");
    assert_eq!(ground.gateway.rows().await.0, 2);
}

fn command(ground: &Ground, backup: &Manifest) -> Command {
    let mut command =
        purser(&["backup", "restore", &backup.id.to_string(), "--owner", OWNER, "--into-current", "--drop-old"]);
    command.env("PURSER_SECRETS", ground.secrets_folder()).env("PURSER_BACKUP_STORE", ground.store());
    command
}

/// A restore that has filled the database beside, and cannot go on.
async fn begun(ground: &Ground, backup: &Manifest) -> Child {
    let child = command(ground, backup).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    ground.dumping().await;
    child
}

#[tokio::test]
async fn one_that_is_killed_in_the_middle_leaves_the_old_database_and_can_be_run_again() {
    let ground = Ground::new(1).await;
    let backup = ground.verified().await;
    run_sql(&ground, MIGRATED).await;
    // Somebody is in the midst of a payment: the restore waits for that before it looks whether anything is newer.
    let mut paying = ground.session().await;
    sqlx::raw_sql("begin; lock table payment_attempts in row exclusive mode").execute(&mut paying).await.unwrap();
    let mut child = begun(&ground, &backup).await;
    child.kill().unwrap();
    child.wait().unwrap();
    paying.close().await.unwrap();
    assert_eq!(payments(&ground.gateway.app.database_url).await, 2);
    let halves = sqlx::query_scalar::<_, bool>("select to_regclass('halves') is not null");
    assert!(halves.fetch_one(&mut ground.session().await).await.unwrap(), "still the old one");
    assert!(ground.gateway.pay(&ground.gateway.payment()).await.status.is_success(), "and payments go on");
    run_sql(&ground, "delete from events where payment_id not in (select id from transactions)").await;

    let log = tempfile::NamedTempFile::new().unwrap();
    let output = run(command(&ground, &backup).env(commands::TERMINATION_LOG_ENV, log.path()));
    let report: JobReport = serde_json::from_slice(&std::fs::read(log.path()).unwrap()).unwrap();
    assert_eq!((output.status.code(), report.reason), (Some(1), Reason::RestoreRefused), "{}", report.message);
    let output =
        run(command(&ground, &backup).args(["--discard-newer", "1"]).env(commands::TERMINATION_LOG_ENV, log.path()));
    let report: JobReport = serde_json::from_slice(&std::fs::read(log.path()).unwrap()).unwrap();
    assert_eq!((output.status.code(), report.reason), (Some(0), Reason::Restored), "{}", report.message);
    assert_eq!(report.backup_id, Some(backup.id.to_string()));
    assert_eq!(payments(&ground.gateway.app.database_url).await, 2);
    let name = ground.gateway.app.database_url.rsplit('/').next().unwrap().to_owned();
    let kept: i64 = sqlx::query_scalar("select count(*) from pg_database where starts_with(datname, $1 || '_before_')")
        .bind(name)
        .fetch_one(&mut ground.session().await)
        .await
        .unwrap();
    assert_eq!(kept, 0, "the old one was to be dropped");
}

#[tokio::test]
async fn one_that_is_told_to_stop_takes_its_databases_with_it() {
    let ground = Ground::new(1).await;
    let backup = ground.verified().await;
    run_sql(&ground, MIGRATED).await;
    let mut paying = ground.session().await;
    sqlx::raw_sql("begin; lock table payment_attempts in row exclusive mode").execute(&mut paying).await.unwrap();
    // A user of its own tells its databases from those of other tests.
    run_sql(&ground, "create role stopped superuser login password 'stopped'").await;
    let url = ground.gateway.app.database_url.replace("purser:test-password@", "stopped:stopped@");
    std::fs::write(ground.secrets_folder().join("database-url"), url).unwrap();
    let mut child = begun(&ground, &backup).await;
    let ours = "select count(*) from pg_database where datdba = 'stopped'::regrole";
    let there: i64 = sqlx::query_scalar(ours).fetch_one(&mut paying).await.unwrap();
    assert_eq!(there, 2, "one to rename from, and one that was restored");
    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(1));
    let left: i64 = sqlx::query_scalar(ours).fetch_one(&mut paying).await.unwrap();
    assert_eq!((left, ground.gateway.rows().await.0), (0, 2));
}

#[tokio::test]
async fn sessions_that_may_not_be_ended_are_named_and_the_old_database_stays() {
    let ground = Ground::new(1).await;
    let backup = ground.verified().await;
    run_sql(&ground, MIGRATED).await;
    let name = ground.gateway.app.database_url.rsplit('/').next().unwrap().to_owned();
    // As the program runs in earnest: the owner of its database, and nobody else's.
    run_sql(
        &ground,
        &format!(
            "create role plain login createdb password 'plain'; alter database {name} owner to plain;
        do $$ declare t record; begin for t in select oid::regclass as name from pg_class
            where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') loop
            execute format('alter table %s owner to plain', t.name); end loop; end $$"
        ),
    )
    .await;
    let url = ground.gateway.app.database_url.replace("purser:test-password@", "plain:plain@").into();
    let plain =
        Restore { id: backup.id, owner: OWNER, url: &url, discard_newer: 0, drop_old: false, patience: PATIENCE };
    let _superuser = ground.session().await;
    let error = ground.backups().restore(plain, Utc::now()).await.unwrap_err();
    assert_eq!(error.outcome(), Outcome::Retry, "{error}");
    assert!(error.to_string().contains("may not be ended from here, of: purser"), "{error}");
    assert_eq!(payments(&ground.gateway.app.database_url).await, 2);
    let halves = sqlx::query_scalar::<_, bool>("select to_regclass('halves') is not null");
    assert!(halves.fetch_one(&mut ground.session().await).await.unwrap(), "still the old one");
}
