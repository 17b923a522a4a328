//! Backups in a store that speaks S3, which others wrote.

use std::fs;
use std::path::PathBuf;

use chrono::Utc;
use runtime::backup::{BackupError, Backups, Create, Manifest};
use runtime_contract::{Outcome, Reason};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::ground::Ground;
use crate::s3_server::{BUCKET, credentials, serve};
use crate::support::PATIENCE;

fn open(ground: &Ground, endpoint: &str) -> Backups {
    let url = format!("s3://{BUCKET}/some/prefix?region=here&endpoint={endpoint}");
    Backups::open(&url, &ground.secrets(), CancellationToken::new()).unwrap()
}

async fn create(ground: &Ground, backups: &Backups) -> Result<Manifest, BackupError> {
    let url = ground.url();
    backups.create(Create { url: &url, owner: None, patience: PATIENCE }, Utc::now()).await
}

/// The dumps in the bucket.
fn dumps(folder: &TempDir, backup: &Manifest) -> PathBuf {
    let place = folder.path().join(BUCKET).join("some/prefix/backups").join(&backup.owner);
    place.join(backup.id.to_string()).join("dump")
}

#[tokio::test]
async fn a_backup_goes_there_and_comes_back() {
    let ground = Ground::new(1).await;
    // More than one part, none of which can be made smaller.
    let noise = "create table noise as select n, string_agg(md5(random()::text || m), '') as noise
        from generate_series(1, 1000) n, generate_series(1, 1000) m group by n";
    sqlx::raw_sql(noise).execute(&mut ground.session().await).await.unwrap();
    let (folder, endpoint) = serve().await;
    credentials(ground.secrets_folder(), "test-secret");
    let backups = open(&ground, &endpoint);
    let made = create(&ground, &backups).await.unwrap();
    assert!(made.stored_bytes > 10 << 20, "{} bytes", made.stored_bytes);
    assert_eq!(fs::metadata(dumps(&folder, &made)).unwrap().len(), made.stored_bytes);
    let verified = backups.verify(made.id, &ground.scratch(), Utc::now()).await.unwrap();
    assert_eq!(backups.list(None).await.unwrap(), std::slice::from_ref(&verified));

    fs::write(dumps(&folder, &made), "spoiled").unwrap();
    let error = backups.verify(made.id, &ground.scratch(), Utc::now()).await.unwrap_err();
    assert_eq!(error.reason(), Reason::BackupCorrupt, "{error}");
    let newer = create(&ground, &backups).await.unwrap();
    let newer = backups.verify(newer.id, &ground.scratch(), Utc::now()).await.unwrap();
    let ids: Vec<_> = backups.list(None).await.unwrap().iter().map(|backup| backup.verified_at.is_some()).collect();
    assert_eq!(ids, [false, true]);
    assert_eq!(backups.prune(&newer.owner, 1).await.unwrap(), []);
}

#[tokio::test]
async fn a_wrong_credential_is_said_and_not_shown() {
    let ground = Ground::new(0).await;
    let (_folder, endpoint) = serve().await;
    credentials(ground.secrets_folder(), "hunter2");
    let error = create(&ground, &open(&ground, &endpoint)).await.unwrap_err();
    assert_eq!((error.reason(), error.outcome()), (Reason::BackupStoreUnavailable, Outcome::Retry), "{error}");
    assert!(!error.to_string().contains("hunter2"), "{error}");
}
