//! A shop that had a good month, and a time long after it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use chrono::{DateTime, Months, TimeDelta, Utc};
use runtime::archive::{ArchiveError, ArchiveId, Archived, Archives, Manifest, Run, Step};
use runtime::config::Secrets;
use runtime::ledger::totals;
use runtime::ledger::verify::{self, Verification};
use secrecy::SecretString;
use serde_json::json;
use sqlx::{AssertSqlSafe, PgConnection};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::shop::Shop;
use crate::support::{OWNER, PATIENCE, connection};

/// Tables that are partitioned by month.
pub(crate) const TABLES: [&str; 4] = ["transactions", "fraud_checks", "ledger_entries", "events"];
/// For how many months a month stays.
pub(crate) const KEEP: u16 = 13;

pub(crate) struct Ground {
    pub(crate) shop: Shop,
    pub(crate) folder: TempDir,
    /// When the payments were made.
    pub(crate) then: DateTime<Utc>,
    /// A payment that was taken, and not given back.
    pub(crate) payment: String,
}

impl Ground {
    /// With a payment of every sort, all of them at their end, and the ledger summed up to the end of their month.
    pub(crate) async fn new() -> Self {
        let shop = Shop::open().await;
        let then = Utc::now();
        let payment = shop.pay("10.50", "AUTOMATIC").await;
        let returned = shop.pay("20.00", "AUTOMATIC").await;
        shop.refund(json!({"payment_id": returned, "amount": "5.00"})).await;
        let held = shop.pay("30.00", "MANUAL").await;
        shop.capture(&held, json!({"amount": "12.34", "final": true})).await;
        let canceled = shop.pay("40.00", "MANUAL").await;
        shop.cancel(&canceled).await;
        shop.idle().await;
        let ground = Self { shop, folder: tempfile::tempdir().unwrap(), then, payment };
        ground.sum_up().await;
        ground
    }

    /// Sums the ledger up to the end of the month, and anew what was: the month is not over yet when it is summed up.
    pub(crate) async fn sum_up(&self) {
        let (from, to) = self.id("ledger_entries").range();
        self.execute(&format!("update ledger_totals_progress set until = least(until, '{from}')")).await;
        totals::sum_up(self.shop.pool(), to + TimeDelta::hours(1)).await.unwrap();
    }

    /// The month in which the payments were made.
    pub(crate) fn id(&self, table: &str) -> ArchiveId {
        format!("{table}_p{}01", self.then.format("%Y%m")).parse().unwrap()
    }

    /// A time at which that month may go, and no later one.
    pub(crate) fn later(&self) -> DateTime<Utc> {
        self.id("transactions").range().1 + Months::new(u32::from(KEEP)) + TimeDelta::hours(1)
    }

    pub(crate) fn secrets_folder(&self) -> PathBuf {
        self.shop.stage.test.secrets.path().to_owned()
    }

    pub(crate) fn store(&self) -> String {
        format!("file://{}", self.folder.path().display())
    }

    pub(crate) fn url(&self) -> SecretString {
        self.shop.stage.test.database_url.as_str().into()
    }

    pub(crate) fn archives(&self) -> Archives {
        self.archives_at(&self.store())
    }

    pub(crate) fn archives_at(&self, store: &str) -> Archives {
        Archives::open(store, &Secrets::new(self.secrets_folder()), CancellationToken::new()).unwrap()
    }

    /// Archives at a time, and tells of every step.
    pub(crate) async fn run_at(
        &self,
        archives: &Archives,
        now: DateTime<Utc>,
        told: &(dyn Fn(ArchiveId, Step) + Send + Sync),
    ) -> Result<Archived, ArchiveError> {
        let url = self.url();
        let run = Run { url: &url, owner: Some(OWNER), keep_months: KEEP, patience: PATIENCE, told };
        archives.run(run, now).await
    }

    pub(crate) async fn run(&self) -> Result<Archived, ArchiveError> {
        self.run_at(&self.archives(), self.later(), &|_, _| ()).await
    }

    pub(crate) async fn restore(&self, id: ArchiveId) -> Result<Manifest, ArchiveError> {
        self.archives().restore(id, &self.url(), Some(OWNER), PATIENCE, self.later()).await
    }

    pub(crate) async fn session(&self) -> PgConnection {
        connection(&self.shop.stage.test.database_url).await
    }

    pub(crate) async fn execute(&self, statements: &str) {
        execute(&self.shop.stage.test.database_url, statements).await;
    }

    pub(crate) async fn count(&self, query: &str) -> i64 {
        sqlx::query_scalar(AssertSqlSafe(query.to_owned())).fetch_one(&mut self.session().await).await.unwrap()
    }

    /// How many rows each table has, and a hash of all that is in them.
    pub(crate) async fn contents(&self) -> BTreeMap<&'static str, (i64, String)> {
        let mut session = self.session().await;
        let mut contents = BTreeMap::new();
        for table in TABLES {
            let query =
                format!("select count(*), coalesce(md5(string_agg(t::text, ',' order by t::text)), '') from {table} t");
            let found = sqlx::query_as(AssertSqlSafe(query)).fetch_one(&mut session).await.unwrap();
            contents.insert(table, found);
        }
        contents
    }

    /// Whether a partition is where payments are looked for.
    pub(crate) async fn is_attached(&self, id: ArchiveId) -> bool {
        let query = format!("select count(*) from pg_inherits where inhrelid = to_regclass('{id}')");
        self.count(&query).await == 1
    }

    pub(crate) async fn ledger(&self) -> Verification {
        verify::verify(&mut self.session().await).await.unwrap()
    }

    /// A file of an archive in the folder.
    pub(crate) fn file(&self, id: ArchiveId) -> PathBuf {
        let folder = self.folder.path().join("archives").join(OWNER).join(id.to_string());
        let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.retain(|file| file.to_string_lossy().contains("parquet"));
        files.pop().unwrap()
    }
}

pub(crate) async fn execute(url: &str, statements: &str) {
    let statements = AssertSqlSafe(statements.to_owned());
    sqlx::raw_sql(statements).execute(&mut connection(url).await).await.unwrap();
}

/// The same from where nothing can be waited for.
pub(crate) fn execute_now(url: &str, statements: &str) {
    let (url, statements) = (url.to_owned(), statements.to_owned());
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    std::thread::spawn(move || runtime().block_on(execute(&url, &statements))).join().unwrap();
}

/// The names of those that were archived.
pub(crate) fn names(archived: &Archived) -> Vec<String> {
    archived.archived.iter().map(|manifest| manifest.id.to_string()).collect()
}
