//! Backups in a store that speaks S3, which others wrote.

use std::fs;
use std::path::PathBuf;

use chrono::Utc;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use runtime::backup::{BackupError, Backups, Create, Manifest};
use runtime_contract::{Outcome, Reason};
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use s3s_fs::FileSystem;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::ground::Ground;
use crate::support::PATIENCE;

const BUCKET: &str = "bucket";

/// A server with one bucket and one key: its folder, and its URL.
async fn serve() -> (TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join(BUCKET)).unwrap();
    let mut builder = S3ServiceBuilder::new(FileSystem::new(folder.path()).unwrap());
    builder.set_auth(SimpleAuth::from_single("test-id", "test-secret"));
    let service = builder.build();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            let service = service.clone();
            tokio::spawn(async move {
                // A client that goes away has what it wanted.
                let _ = Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(socket), service).await;
            });
        }
    });
    (folder, url)
}

fn credentials(ground: &Ground, secret: &str) {
    let folder = ground.secrets_folder().join("backup-store");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("access-key-id"), "test-id\n").unwrap();
    fs::write(folder.join("secret-access-key"), secret).unwrap();
}

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
    credentials(&ground, "test-secret");
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
    credentials(&ground, "hunter2");
    let error = create(&ground, &open(&ground, &endpoint)).await.unwrap_err();
    assert_eq!((error.reason(), error.outcome()), (Reason::BackupStoreUnavailable, Outcome::Retry), "{error}");
    assert!(!error.to_string().contains("hunter2"), "{error}");
}
