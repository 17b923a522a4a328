//! Backups taken in maintenance: nothing is newer than they are.

use std::time::Duration;

use chrono::Utc;
use runtime::backup::{Rehearsal, Restore};
use runtime::ledger::verify;
use runtime::{maintenance, migrate, settings_apply};
use runtime_contract::settings::Maintenance;
use runtime_contract::{CacheTtl, Settings};
use sqlx::migrate::{Migration, MigrationType};
use sqlx::{Connection, SqlSafeStr};

use crate::ground::{Ground, payments, until};
use crate::support::{OWNER, PATIENCE, unlimited};

async fn apply(ground: &Ground, revision: i64, on: bool) {
    let cache_ttl = CacheTtl { user_s: 300, payment_method_s: 600, fraud_rules_s: 3600, metrics_s: 60 };
    let maintenance = on.then_some(Maintenance { retry_after_s: 30 });
    let settings = Settings { revision, cache_ttl, providers: Vec::new(), limits: unlimited(), maintenance };
    settings_apply::apply(&mut ground.session().await, OWNER, &settings).await.unwrap();
}

/// Frozen, with payments that wait for later.
async fn frozen() -> Ground {
    let ground = Ground::new(2).await;
    let later = "update work_items set run_at = now() + interval '1 hour'";
    sqlx::query(later).execute(&mut ground.session().await).await.unwrap();
    apply(&ground, 1, true).await;
    maintenance::drain(&mut ground.session().await, OWNER, Duration::from_secs(20)).await.unwrap();
    ground
}

#[tokio::test]
async fn a_backup_of_a_frozen_database_is_restored_without_losing_a_payment_and_is_frozen_until_settings_come() {
    let ground = frozen().await;
    let backup = ground.verified().await;
    let refused = ground.gateway.pay(&ground.gateway.payment()).await;
    assert_eq!((refused.status.as_u16(), refused.json()["code"].as_str()), (503, Some("maintenance")));
    // A migration that writes what nobody else may, and is to be undone.
    let migrated = "set purser.migrates = 'on'; alter table users add column colour text; update transactions set description = description;
        drop table fraud_rules cascade";
    sqlx::raw_sql(migrated).execute(&mut ground.session().await).await.unwrap();

    let url = ground.url();
    let restore =
        Restore { id: backup.id, owner: OWNER, url: &url, discard_newer: 0, drop_old: false, patience: PATIENCE };
    let restored = ground.backups().restore(restore, Utc::now()).await.unwrap();
    assert!(restored.discarded == 0 && restored.kept_as.is_some(), "{restored:?}");
    let mut session = ground.session().await;
    let state = maintenance::state(&mut session).await.unwrap().unwrap();
    assert!(state.frozen_at.is_some());
    session.close().await.unwrap();
    until(async || ground.gateway.pay(&ground.gateway.payment()).await.json()["code"] == "maintenance").await;
    // The same settings may come again, and newer ones end it.
    apply(&ground, 1, true).await;
    apply(&ground, 2, false).await;
    until(async || ground.gateway.pay(&ground.gateway.payment()).await.status.is_success()).await;
    assert_eq!(payments(&ground.gateway.app.database_url).await, 4);
}

#[tokio::test]
async fn whatever_only_looks_goes_on_while_it_is_frozen_and_so_do_migrations() {
    let ground = frozen().await;
    assert!(verify::verify(&mut ground.session().await).await.unwrap().sound);
    let scratch = ground.scratch();
    let rehearsal = backfill();
    let url = ground.url();
    let done = ground
        .backups()
        .dry_run(Rehearsal::Current(&url), Some(OWNER), &rehearsal, &scratch, Utc::now())
        .await
        .unwrap();
    assert!(done.succeeded && done.files.len() == 1, "{done:?}");
    let migrated = migrate::run_files(&url, OWNER, &rehearsal, PATIENCE, Utc::now(), &mut Vec::new()).await.unwrap();
    assert_eq!(migrated.applied, 1);
}

/// This program's files, and one that changes what is frozen.
fn backfill() -> Vec<Migration> {
    let sql = "-- phase: contract\nupdate transactions set description = 'filled' where description is null";
    let version = migrate::schema_version() + 1;
    let file = Migration::new(version, "backfill".into(), MigrationType::Simple, sql.into_sql_str(), false);
    migrate::own_files().iter().cloned().chain([file]).collect()
}
