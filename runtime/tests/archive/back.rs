//! The way back: who waits for it, and what it refuses.

use std::time::Duration;

use runtime::archive::ArchiveError;
use sqlx::Connection;

use crate::ground::Ground;
use crate::support::postgres_log;

#[tokio::test]
async fn nothing_is_read_while_a_month_is_attached_which_payments_wait_for() {
    let ground = Ground::new().await;
    let before = ground.contents().await;
    ground.run().await.unwrap();
    let database: String =
        sqlx::query_scalar("select current_database()").fetch_one(&mut ground.session().await).await.unwrap();
    ground.execute(&format!("alter database {database} set log_min_messages = 'debug1'")).await;
    for table in crate::ground::TABLES {
        let id = ground.id(table);
        ground.restore(id).await.unwrap();
        let words = format!("partition constraint for table \"{id}\" is implied by existing constraints");
        assert!(postgres_log().contains(&words), "all of {id} was read");
        let indexes = |of: &str| format!("select count(*) from pg_index where indrelid = '{of}'::regclass");
        let of_partition = ground.count(&indexes(&id.to_string())).await;
        assert_eq!(of_partition, ground.count(&indexes(table)).await, "each was made before, and none twice");
        let made = format!("select count(*) from pg_indexes where tablename = '{id}' and indexname like 'restoring%'");
        assert_eq!(of_partition, ground.count(&made).await, "none was made while {id} was attached");
    }
    assert_eq!(ground.contents().await, before);
}

#[tokio::test]
async fn an_archive_that_is_not_what_this_database_dropped_is_refused() {
    let ground = Ground::new().await;
    let (id, before) = (ground.id("events"), ground.contents().await);
    ground.run().await.unwrap();
    let noted = format!("from archived_partitions where partition = '{id}'");
    ground.execute(&format!("create table noted as select * {noted}")).await;
    for wrong in ["archived_rows = archived_rows + 1", "checksum = '1'"] {
        ground.execute(&format!("update archived_partitions set {wrong} where partition = '{id}'")).await;
        let error = ground.restore(id).await.unwrap_err();
        assert!(matches!(error, ArchiveError::Refused(_)) && error.to_string().contains("superseded"), "{error}");
        assert!(!ground.is_attached(id).await);
        ground.execute(&format!("delete {noted}; insert into archived_partitions select * from noted")).await;
    }
    // As in a database that was restored from a backup of before.
    ground.execute(&format!("delete {noted}")).await;
    let manifest = ground.folder.path().join("archives/tests/payments").join(id.to_string()).join("manifest.json");
    let ours = std::fs::read_to_string(&manifest).unwrap();
    std::fs::write(&manifest, ours.replace("tests/payments", "tests/another")).unwrap();
    let error = ground.restore(id).await.unwrap_err();
    assert!(matches!(error, ArchiveError::Refused(_)) && error.to_string().contains("tests/another"), "{error}");
    std::fs::write(&manifest, ours).unwrap();
    ground.restore(id).await.unwrap();
    assert_eq!(ground.contents().await["events"], before["events"]);
}

#[tokio::test]
async fn a_table_that_is_locked_for_a_while_is_waited_for() {
    let ground = Ground::new().await;
    let (id, before) = (ground.id("transactions"), ground.contents().await);
    ground.run().await.unwrap();
    let mut locking = ground.session().await;
    sqlx::raw_sql("begin; lock table transactions in access exclusive mode").execute(&mut locking).await.unwrap();
    let letting_go = async {
        tokio::time::sleep(Duration::from_secs(3)).await;
        locking.close().await.unwrap();
    };
    let (restored, ()) = tokio::join!(ground.restore(id), letting_go);
    restored.unwrap();
    assert_eq!(ground.contents().await["transactions"], before["transactions"]);
}
