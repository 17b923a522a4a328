//! A database with payments in it, and a folder for its backups.

use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::Utc;
use runtime::backup::{BackupError, Backups, Create, Manifest, ScratchServer};
use runtime::config::Secrets;
use runtime::ids::BackupId;
use secrecy::SecretString;
use sqlx::PgConnection;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::support::gateway::{TestGateway, accepted, settle};
use crate::support::{OWNER, PATIENCE, connection};

pub(crate) struct Ground {
    pub(crate) gateway: TestGateway,
    pub(crate) folder: TempDir,
}

impl Ground {
    /// With one payment that came to its end, and so many that were accepted.
    pub(crate) async fn new(accepted_payments: usize) -> Self {
        let ground = Self { gateway: TestGateway::new().await, folder: tempfile::tempdir().unwrap() };
        ground.pay(1).await;
        settle(&ground.gateway, accepted(&ground.gateway).await).await;
        ground.pay(accepted_payments).await;
        ground
    }

    /// Payments that are accepted.
    pub(crate) async fn pay(&self, payments: usize) {
        for _ in 0..payments {
            let reply = self.gateway.pay(&self.gateway.payment()).await;
            assert!(reply.status.is_success(), "{reply:?}");
        }
    }

    pub(crate) fn secrets_folder(&self) -> &Path {
        self.gateway.app.secrets.path()
    }

    pub(crate) fn secrets(&self) -> Secrets {
        Secrets::new(self.secrets_folder())
    }

    pub(crate) fn store(&self) -> String {
        format!("file://{}", self.folder.path().display())
    }

    pub(crate) fn url(&self) -> SecretString {
        self.gateway.app.database_url.as_str().into()
    }

    pub(crate) fn backups(&self) -> Backups {
        Backups::open(&self.store(), &self.secrets(), CancellationToken::new()).unwrap()
    }

    pub(crate) fn scratch(&self) -> ScratchServer {
        ScratchServer { url: self.url(), is_home: true, wait: PATIENCE.connect }
    }

    pub(crate) async fn create(&self) -> Result<Manifest, BackupError> {
        let url = self.url();
        let create = Create { url: &url, owner: Some(OWNER), patience: PATIENCE };
        self.backups().create(create, Utc::now()).await
    }

    pub(crate) async fn verify(&self, id: BackupId) -> Result<Manifest, BackupError> {
        self.backups().verify(id, &self.scratch(), Utc::now()).await
    }

    pub(crate) async fn verified(&self) -> Manifest {
        let id = self.create().await.unwrap().id;
        self.verify(id).await.unwrap()
    }

    pub(crate) fn place(&self, id: BackupId) -> PathBuf {
        self.folder.path().join("backups").join(OWNER).join(id.to_string())
    }

    pub(crate) fn dump(&self, id: BackupId) -> PathBuf {
        self.place(id).join("dump")
    }

    /// All files of the store, however they are called.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let (mut folders, mut files) = (vec![self.folder.path().to_owned()], Vec::new());
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() { folders.push(path) } else { files.push(path) }
            }
        }
        files
    }

    pub(crate) async fn session(&self) -> PgConnection {
        connection(&self.gateway.app.database_url).await
    }

    /// A session that keeps everybody from looking at a table until it ends.
    pub(crate) async fn blocked(&self, table: &str) -> PgConnection {
        let mut session = self.session().await;
        let statement = format!("begin; lock table {table} in access exclusive mode");
        sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(&mut session).await.unwrap();
        session
    }

    /// Waits until `pg_dump` stands before a table that is blocked: the snapshot was taken, nothing was dumped.
    pub(crate) async fn dumping(&self) {
        let mut session = self.session().await;
        let query = "select exists (select from pg_stat_activity where datname = current_database()
            and wait_event_type = 'Lock' and query ilike 'lock table%')";
        until(async || sqlx::query_scalar(query).fetch_one(&mut session).await.unwrap()).await;
    }
}

/// How many payments there are, by a session that is new: those of before a restore are ended.
pub(crate) async fn payments(url: &str) -> i64 {
    let mut session = connection(url).await;
    sqlx::query_scalar("select count(*) from transactions").fetch_one(&mut session).await.unwrap()
}

/// Waits until something is so.
pub(crate) async fn until(mut is_so: impl AsyncFnMut() -> bool) {
    for _ in 0..1500 {
        if is_so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("it did not come about");
}

/// Rows of a table, as the manifest has it.
pub(crate) fn rows(manifest: &Manifest, table: &str) -> u64 {
    manifest.tables.iter().find(|found| found.name == table).unwrap().rows
}
