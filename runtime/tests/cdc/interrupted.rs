//! Runs that die anywhere, and what others do meanwhile.

use std::process::Stdio;
use std::time::Duration;

use runtime::cdc::CdcError;

use crate::ground::Ground;
use crate::support::process::purser;

#[tokio::test]
async fn a_run_that_is_killed_anywhere_is_made_good_by_the_next_one() {
    let ground = Ground::new().await;
    ground.write_urls();
    for step in 0..40 {
        let mut command = purser(&["cdc", "apply", "--owner", &ground.owner]);
        command.env("PURSER_SECRETS", ground.secrets_folder()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        std::thread::sleep(Duration::from_millis(20 + step * 12));
        let _ = child.kill();
        child.wait().unwrap();
        if step % 10 == 9 {
            ground.settled().await;
        }
    }
    ground.apply().await.unwrap();
    ground.settled().await;
    ground.becomes_same().await;
    assert!(ground.apply().await.unwrap().changes.is_empty());
}

#[tokio::test]
async fn a_slot_that_a_dead_run_has_left_is_replaced() {
    let ground = Ground::new().await;
    // Of before anything was published: nobody could ever decode from there.
    ground.on_payments(&format!("select pg_create_logical_replication_slot('{}', 'pgoutput')", ground.name())).await;
    let applied = ground.apply().await.unwrap();
    assert!(applied.changes.iter().any(|change| change.contains("slot that nobody used")), "{:?}", applied.changes);
    ground.becomes_same().await;
}

#[tokio::test]
async fn a_table_that_was_withdrawn_by_a_dead_run_is_copied_anew() {
    let ground = Ground::new().await;
    ground.apply().await.unwrap();
    ground.becomes_same().await;
    ground.on_payments("alter publication purser_analytics drop table merchants").await;
    ground.on_payments("update merchants set name = 'changed meanwhile'").await;
    let applied = ground.apply().await.unwrap();
    assert!(applied.changes.iter().any(|change| change == "had merchants copied"), "{:?}", applied.changes);
    ground.becomes_same().await;
}

#[tokio::test]
async fn what_cannot_go_on_is_copied_anew_and_keeps_what_was_archived() {
    let ground = Ground::new().await;
    ground.apply().await.unwrap();
    ground.becomes_same().await;
    let archived =
        "insert into transactions (id, created_at, release) values (gen_random_uuid(), '2020-01-02', 'archived')";
    for broken in ["slot", "publication", "stopped"] {
        ground.on_analytics(archived).await;
        ground.on_analytics(&format!("alter subscription {} disable", ground.name())).await;
        match broken {
            "slot" => {
                while ground.status().await.slot.unwrap().active {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                ground.on_payments(&format!("select pg_drop_replication_slot('{}')", ground.name())).await;
            }
            "publication" => ground.on_payments("drop publication purser_analytics").await,
            _ => {}
        }
        ground.pay().await;
        let applied = ground.apply().await.unwrap();
        let is_new = applied.changes.iter().any(|change| change == "made the subscription");
        assert_eq!(is_new, broken != "stopped", "{broken}: {:?}", applied.changes);
        let kept = ground.count("select count(*) from transactions where release = 'archived'").await;
        assert_eq!(kept, 1, "{broken}");
        ground.on_analytics("delete from transactions where release = 'archived'").await;
        ground.becomes_same().await;
    }
}

#[tokio::test]
async fn two_runs_at_once_come_one_after_the_other() {
    let ground = Ground::new().await;
    let (one, other) = tokio::join!(ground.apply(), ground.apply());
    let changes = [one.unwrap().changes.len(), other.unwrap().changes.len()];
    assert!(changes.contains(&0), "{changes:?}");
    ground.becomes_same().await;
}

#[tokio::test]
async fn nothing_is_kept_for_analytics_after_it_was_removed() {
    let ground = Ground::new().await;
    ground.apply().await.unwrap();
    ground.becomes_same().await;
    // Without the URLs the subscription goes on taking from the slot.
    let error = ground.remove(None, None).await.unwrap_err();
    assert!(matches!(&error, CdcError::SlotInUse(name) if *name == ground.name()), "{error}");
    let removed = ground.remove(Some(&ground.analytics), Some(&ground.source)).await.unwrap();
    assert!(removed.subscription && removed.slot && removed.publication && !removed.unreached, "{removed:?}");
    assert_eq!(ground.left().await, (false, false));
    assert_eq!(ground.count("select count(*) from transactions").await, 2, "analytics keeps what it has");
    let removed = ground.remove(Some(&ground.analytics), Some(&ground.source)).await.unwrap();
    assert_eq!(removed, runtime::cdc::Removed::default());
    // And it can come back.
    ground.settled().await;
    ground.apply().await.unwrap();
    ground.becomes_same().await;
}

#[tokio::test]
async fn an_analytics_server_that_is_gone_for_good_keeps_no_slot() {
    let ground = Ground::new().await;
    ground.apply().await.unwrap();
    ground.becomes_same().await;
    ground.on_analytics(&format!("alter subscription {} disable", ground.name())).await;
    while ground.status().await.slot.unwrap().active {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let nowhere = "postgres://nobody:nothing@127.0.0.1:1/nowhere";
    let url = ground.url().into();
    let patience = runtime::migrate::Patience { connect: Duration::from_millis(300), lock: Duration::from_secs(5) };
    let removed = runtime::cdc::remove(&ground.owner, &url, Some(&nowhere.into()), None, patience).await.unwrap();
    assert!(removed.unreached && removed.slot, "{removed:?}");
    assert_eq!(ground.left().await, (false, false));
}
