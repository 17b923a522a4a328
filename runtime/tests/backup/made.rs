//! Backups that are made, and those that come to nothing.

use std::time::Duration;

use chrono::Utc;
use runtime::backup::{BackupError, Backups, Create};
use runtime::ids::BackupId;
use runtime_contract::{Outcome, Reason};
use sqlx::Connection;
use tokio_util::sync::CancellationToken;

use crate::ground::{Ground, rows, until};
use crate::support::{OWNER, PATIENCE, connection, empty_database, url_of};

#[tokio::test]
async fn a_backup_is_made_verified_and_listed() {
    let ground = Ground::new(3).await;
    let made = ground.create().await.unwrap();
    assert_eq!((made.owner.as_str(), made.verified_at, made.encrypted), (OWNER, None, false));
    assert_eq!(made.schema_version, runtime::migrate::schema_version());
    assert_eq!((rows(&made, "transactions"), rows(&made, "events"), rows(&made, "work_items")), (4, 1, 4));
    assert_eq!(std::fs::metadata(ground.dump(made.id)).unwrap().len(), made.stored_bytes);
    assert_eq!(ground.backups().list(None).await.unwrap(), std::slice::from_ref(&made));

    let verified = ground.verify(made.id).await.unwrap();
    assert!(verified.verified_at.is_some());
    assert_eq!(ground.backups().find(made.id).await.unwrap(), verified);
    assert_eq!(ground.backups().list(Some("tests/another")).await.unwrap(), []);
}

#[tokio::test]
async fn no_scratch_database_is_left() {
    let ground = Ground::new(0).await;
    // A user of its own, so that no other test drops what is made here.
    let mut session = ground.session().await;
    sqlx::raw_sql("create role sweeper superuser login password 'sweeper'").execute(&mut session).await.unwrap();
    let as_sweeper = |url: &str| url.replace("purser:test-password@", "sweeper:sweeper@");
    let mut sweeper = connection(&as_sweeper(&ground.gateway.app.database_url)).await;
    // As a run that was killed an hour ago leaves it; and one that somebody is at, and one of somebody else.
    let hour_ago = Utc::now().timestamp() - 3600;
    let [left, used, foreign] = [
        format!("purser_scratch_{hour_ago}_1"),
        format!("purser_scratch_{hour_ago}_2"),
        "purser_scratch_mine".to_owned(),
    ];
    for name in [&left, &used, &foreign] {
        let statement = format!("create database {name}");
        sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(&mut sweeper).await.unwrap();
    }
    let user = connection(&url_of(&used)).await;
    let id = ground.create().await.unwrap().id;
    let mut scratch = ground.scratch();
    scratch.url = as_sweeper(&ground.gateway.app.database_url).into();
    ground.backups().verify(id, &scratch, Utc::now()).await.unwrap();
    let there: Vec<String> =
        sqlx::query_scalar("select datname::text from pg_database where datdba = 'sweeper'::regrole order by 1")
            .fetch_all(&mut session)
            .await
            .unwrap();
    assert_eq!(there, [used, foreign]);
    user.close().await.unwrap();
}

#[tokio::test]
async fn what_is_committed_after_the_snapshot_is_not_in_it() {
    let ground = Ground::new(2).await;
    let blocked = ground.blocked("fraud_rules").await;
    let meanwhile = async {
        ground.dumping().await;
        ground.pay(5).await;
        blocked.close().await.unwrap();
    };
    let (made, ()) = tokio::join!(ground.create(), meanwhile);
    let made = made.unwrap();
    assert_eq!(rows(&made, "transactions"), 3);
    ground.verify(made.id).await.unwrap();
    assert_eq!(ground.gateway.rows().await.0, 8, "payments went on");
}

#[tokio::test]
async fn only_the_newest_verified_backups_are_kept_and_never_none() {
    let ground = Ground::new(0).await;
    let unverified = ground.create().await.unwrap().id;
    let mut verified = Vec::new();
    for _ in 0..3 {
        // Ids of the same millisecond have no order.
        tokio::time::sleep(Duration::from_millis(2)).await;
        verified.push(ground.verified().await.id);
    }
    let backups = ground.backups();
    assert_eq!(backups.prune("tests/another", 1).await.unwrap(), []);
    assert_eq!(backups.prune(OWNER, 2).await.unwrap(), verified[..1]);
    assert_eq!(backups.prune(OWNER, 0).await.unwrap(), verified[1..2]);
    let left: Vec<BackupId> = backups.list(None).await.unwrap().into_iter().map(|backup| backup.id).collect();
    assert_eq!(left, [unverified, verified[2]]);
    assert_eq!(ground.files().len(), 4, "a dump and a manifest each: {:?}", ground.files());
}

#[tokio::test]
async fn one_that_is_told_to_stop_leaves_nothing() {
    let ground = Ground::new(0).await;
    let blocked = ground.blocked("fraud_rules").await;
    let stop = CancellationToken::new();
    let backups = Backups::open(&ground.store(), &ground.secrets(), stop.clone()).unwrap();
    let url = ground.url();
    let create = backups.create(Create { url: &url, owner: None, patience: PATIENCE }, Utc::now());
    let told = async {
        ground.dumping().await;
        stop.cancel();
    };
    let (stopped, ()) = tokio::join!(create, told);
    let error = stopped.unwrap_err();
    assert!(matches!(error, BackupError::Interrupted) && error.outcome() == Outcome::Retry, "{error}");
    assert!(ground.files().is_empty(), "{:?}", ground.files());
    // A session that waits for a lock does not notice that its client is gone.
    blocked.close().await.unwrap();
    let mut session = ground.session().await;
    let dumping = "select not exists (select from pg_stat_activity where application_name = 'purser backup' and datname = current_database())";
    until(async || sqlx::query_scalar(dumping).fetch_one(&mut session).await.unwrap()).await;
}

#[tokio::test]
async fn the_database_of_another_or_of_nobody_is_not_backed_up() {
    let ground = Ground::new(0).await;
    let url = ground.url();
    let create = Create { url: &url, owner: Some("tests/another"), patience: PATIENCE };
    let error = ground.backups().create(create, Utc::now()).await.unwrap_err();
    assert_eq!(error.reason(), Reason::DatabaseOwnedByAnother);

    let empty = empty_database().await.into();
    let create = Create { url: &empty, owner: None, patience: PATIENCE };
    let error = ground.backups().create(create, Utc::now()).await.unwrap_err();
    assert!(error.to_string().contains("purser migrate was never run"), "{error}");
    assert!(ground.files().is_empty());
}

#[tokio::test]
async fn a_user_who_may_not_create_databases_is_told_what_to_do() {
    let ground = Ground::new(0).await;
    let id = ground.create().await.unwrap().id;
    let mut session = ground.session().await;
    sqlx::raw_sql("create role backup_reader login password 'reader' in role pg_read_all_data")
        .execute(&mut session)
        .await
        .unwrap();
    let mut scratch = ground.scratch();
    scratch.url = ground.gateway.app.database_url.replace("purser:test-password@", "backup_reader:reader@").into();
    let error = ground.backups().verify(id, &scratch, Utc::now()).await.unwrap_err();
    assert_eq!(error.reason(), Reason::DatabaseAuthenticationFailed);
    assert!(error.to_string().contains("alter role \"backup_reader\" createdb"), "{error}");
    assert_eq!(ground.backups().find(id).await.unwrap().verified_at, None);
}
