//! Backups and restores of a payments database that analytics is subscribed to.

use std::time::Duration;

use chrono::Utc;
use runtime::backup::{Backups, Create, Manifest, Restore, Restored, ScratchServer};
use runtime::config::Secrets;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::ground::Ground;
use crate::support::PATIENCE;

fn backups(ground: &Ground, folder: &TempDir) -> Backups {
    let store = format!("file://{}", folder.path().display());
    Backups::open(&store, &Secrets::new(ground.secrets_folder()), CancellationToken::new()).unwrap()
}

async fn verified(ground: &Ground, backups: &Backups) -> Manifest {
    let url = ground.url().into();
    let create = Create { url: &url, owner: Some(&ground.owner), patience: PATIENCE };
    let made = backups.create(create, Utc::now()).await.unwrap();
    let scratch = ScratchServer { url, is_home: true, wait: PATIENCE.connect };
    backups.verify(made.id, &scratch, Utc::now()).await.unwrap()
}

async fn restore(ground: &Ground, backups: &Backups, backup: &Manifest, drop_old: bool) -> Restored {
    let url = ground.url().into();
    let restore =
        Restore { id: backup.id, owner: &ground.owner, url: &url, discard_newer: 0, drop_old, patience: PATIENCE };
    backups.restore(restore, Utc::now()).await.unwrap()
}

#[tokio::test]
async fn analytics_lets_go_before_a_restore_and_is_subscribed_anew_after_it() {
    let ground = Ground::new().await;
    ground.write_urls();
    ground.apply().await.unwrap();
    ground.becomes_same().await;
    let folder = tempfile::tempdir().unwrap();
    let backups = backups(&ground, &folder);
    let backup = verified(&ground, &backups).await;
    // What a failed migration leaves, a part of it in analytics by now.
    ground.on_payments("update merchants set name = 'half migrated'; create table halves ()").await;
    ground.becomes_same().await;
    let restored = restore(&ground, &backups, &backup, false).await;
    assert!(restored.was_published);
    assert!(!ground.left().await.0, "no slot keeps what nobody can take");
    let applied = ground.apply().await.unwrap();
    assert!(applied.changes.iter().any(|change| change == "made the subscription"), "{:?}", applied.changes);
    ground.becomes_same().await;
    assert_eq!(ground.count("select count(*) from merchants where name = 'half migrated'").await, 0);
    // Pods that were connected go on in the new database, and what they write flows.
    for _ in 0..100 {
        if ground.gateway.pay(&ground.gateway.payment()).await.status.is_success() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    ground.becomes_same().await;
    assert_eq!(ground.count("select count(*) from transactions").await, 3);
}

#[tokio::test]
async fn a_restore_by_somebody_who_knows_nothing_of_analytics_is_made_good_as_well() {
    for drop_old in [false, true] {
        let ground = Ground::new().await;
        ground.apply().await.unwrap();
        ground.becomes_same().await;
        let folder = tempfile::tempdir().unwrap();
        let backups = backups(&ground, &folder);
        let backup = verified(&ground, &backups).await;
        ground.on_payments("update merchants set name = 'half migrated'").await;
        ground.becomes_same().await;
        let restored = restore(&ground, &backups, &backup, drop_old).await;
        assert_eq!(restored.kept_as.is_none(), drop_old);
        assert!(!ground.status().await.is_good());
        ground.apply().await.unwrap();
        ground.becomes_same().await;
        assert!(ground.status().await.slot.unwrap().is_of_this_database);
    }
}

#[tokio::test]
async fn a_copy_of_a_published_database_takes_nothing_away_from_it() {
    let ground = Ground::new().await;
    ground.apply().await.unwrap();
    ground.becomes_same().await;
    let folder = tempfile::tempdir().unwrap();
    let backups = backups(&ground, &folder);
    verified(&ground, &backups).await;
    ground.pay().await;
    ground.becomes_same().await;
    let slots: i64 = sqlx::query_scalar("select count(*) from pg_replication_slots where starts_with(slot_name, $1)")
        .bind(ground.name())
        .fetch_one(&mut ground.payments().await)
        .await
        .unwrap();
    assert_eq!(slots, 1);
}
