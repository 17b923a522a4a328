//! A payments database on a server that can replicate, with payments in it; and a server for analytics.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use chrono::Utc;
use runtime::cdc::{self, Applied, CdcError, Removed, Sides, Status};
use runtime::migrate;
use runtime_contract::RuntimeConfig;
use secrecy::SecretString;
use sqlx::{AssertSqlSafe, PgConnection};

use crate::support::gateway::{TestGateway, settle};
use crate::support::server::{self, Server};
use crate::support::{PATIENCE, TestApp, config, connection, redis_url, url_on};

static PAYMENTS: OnceLock<Server> = OnceLock::new();
static ANALYTICS: OnceLock<Server> = OnceLock::new();
static STARTING: Mutex<()> = Mutex::new(());

const SETTINGS: [(&str, &str); 7] = [
    ("wal_level", "logical"),
    ("max_slot_wal_keep_size", "8GB"),
    ("max_replication_slots", "60"),
    ("max_wal_senders", "60"),
    ("max_worker_processes", "100"),
    ("max_logical_replication_workers", "80"),
    ("wal_retrieve_retry_interval", "200ms"),
];

fn port(of: &OnceLock<Server>) -> u16 {
    let _one_at_a_time = STARTING.lock().unwrap();
    of.get_or_init(|| server::postgres_with(&SETTINGS)).port()
}

/// Port of the server of payments.
pub(crate) fn payments_port() -> u16 {
    port(&PAYMENTS)
}

/// Port of the server of analytics.
pub(crate) fn analytics_port() -> u16 {
    port(&ANALYTICS)
}

/// What the server of analytics has written into its log.
pub(crate) fn analytics_log() -> String {
    ANALYTICS.get().unwrap().log()
}

/// A new database on a server: its URL.
pub(crate) async fn database_on(port: u16) -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let name = format!("cdc_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    // The port answers a moment before the server takes connections.
    let home = SecretString::from(url_on(port, "postgres"));
    let mut session = runtime::database::connect(&home, "tests", Duration::from_secs(20)).await.unwrap();
    run(&mut session, &format!("create database {name} template template0")).await;
    url_on(port, &name)
}

pub(crate) async fn run(session: &mut PgConnection, statements: &str) {
    sqlx::raw_sql(AssertSqlSafe(statements)).execute(session).await.unwrap();
}

/// Payments, and a place for what analytics may know of them.
pub(crate) struct Ground {
    pub(crate) owner: String,
    pub(crate) gateway: TestGateway,
    pub(crate) analytics: String,
    pub(crate) source: String,
}

impl Ground {
    /// With a payment that came to its end, and one that was accepted. Analytics reads by a role of its own.
    pub(crate) async fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let owner = format!("tests/cdc-{number}");
        let url = database_on(payments_port()).await;
        migrate::run(&url.as_str().into(), &*owner, PATIENCE, Utc::now()).await.unwrap();
        let config = RuntimeConfig { owner: owner.clone(), ..config() };
        let gateway = TestGateway::on(TestApp::on(&url, Some(&redis_url()), config)).await;
        let analytics = database_on(analytics_port()).await;
        let role = format!("reader_{number}");
        run(&mut connection(&url).await, &format!("create role {role} login replication password 'read'")).await;
        let source = url.replace("purser:test-password@", &format!("{role}:read@"));
        let ground = Self { owner, gateway, analytics, source };
        ground.settled().await;
        ground.pay().await;
        ground
    }

    /// One more payment is accepted.
    pub(crate) async fn pay(&self) {
        let reply = self.gateway.pay(&self.gateway.payment()).await;
        assert!(reply.status.is_success(), "{reply:?}");
    }

    /// One more payment comes to its end.
    pub(crate) async fn settled(&self) {
        self.pay().await;
        let newest = "select id from transactions where status = 'PENDING' order by id desc limit 1";
        let newest = sqlx::query_scalar(newest).fetch_one(self.gateway.pool()).await.unwrap();
        settle(&self.gateway, newest).await;
    }

    pub(crate) fn url(&self) -> &str {
        &self.gateway.app.database_url
    }

    pub(crate) fn name(&self) -> String {
        cdc::subscription_name(&self.owner)
    }

    pub(crate) async fn payments(&self) -> PgConnection {
        connection(self.url()).await
    }

    pub(crate) async fn there(&self) -> PgConnection {
        connection(&self.analytics).await
    }

    pub(crate) async fn on_payments(&self, statements: &str) {
        run(&mut self.payments().await, statements).await;
    }

    pub(crate) async fn on_analytics(&self, statements: &str) {
        run(&mut self.there().await, statements).await;
    }

    pub(crate) fn secrets_folder(&self) -> &Path {
        self.gateway.app.secrets.path()
    }

    /// The URLs as files, where a command looks for them.
    pub(crate) fn write_urls(&self) {
        std::fs::write(self.secrets_folder().join("analytics-url"), &self.analytics).unwrap();
        std::fs::write(self.secrets_folder().join("analytics-source-url"), &self.source).unwrap();
    }

    pub(crate) async fn apply(&self) -> Result<Applied, CdcError> {
        self.apply_as(self.url(), &self.analytics, &self.source).await
    }

    pub(crate) async fn apply_as(&self, payments: &str, analytics: &str, source: &str) -> Result<Applied, CdcError> {
        let (payments, analytics, source) = (payments.into(), analytics.into(), source.into());
        let owner = &self.owner;
        cdc::apply(&Sides { owner, payments: &payments, analytics: &analytics, source: &source, patience: PATIENCE })
            .await
    }

    pub(crate) async fn remove(&self, analytics: Option<&str>, source: Option<&str>) -> Result<Removed, CdcError> {
        let url = self.url().into();
        let (analytics, source) = (analytics.map(SecretString::from), source.map(SecretString::from));
        cdc::remove(&self.owner, &url, analytics.as_ref(), source.as_ref(), PATIENCE).await
    }

    pub(crate) async fn status(&self) -> Status {
        let (url, analytics) = (self.url().into(), SecretString::from(self.analytics.as_str()));
        cdc::status(&self.owner, &url, Some(&analytics), PATIENCE).await.unwrap()
    }

    /// Every published table is the same on both sides, column by column.
    pub(crate) async fn is_same(&self) -> bool {
        let (mut here, mut there) = (self.payments().await, self.there().await);
        for table in cdc::PUBLISHED {
            let statement = sums(table.name, table.columns);
            let here: String = sqlx::query_scalar(AssertSqlSafe(statement.clone())).fetch_one(&mut here).await.unwrap();
            let there: Result<String, _> = sqlx::query_scalar(AssertSqlSafe(statement)).fetch_one(&mut there).await;
            if there.ok().as_ref() != Some(&here) {
                return false;
            }
        }
        true
    }

    pub(crate) async fn becomes_same(&self) {
        for _ in 0..600 {
            if self.is_same().await {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("it did not become the same: {:?}", self.status().await);
    }

    pub(crate) async fn count(&self, statement: &str) -> i64 {
        sqlx::query_scalar(AssertSqlSafe(statement.to_owned())).fetch_one(&mut self.there().await).await.unwrap()
    }

    /// Whether the slot is there, and a publication.
    pub(crate) async fn left(&self) -> (bool, bool) {
        sqlx::query_as(
            "select exists (select from pg_replication_slots where slot_name = $1),
                 exists (select from pg_publication where pubname = $2)",
        )
        .bind(self.name())
        .bind(cdc::PUBLICATION)
        .fetch_one(&mut self.payments().await)
        .await
        .unwrap()
    }
}

/// All rows as one text. Types differ in what is written after the point, and nowhere else.
fn sums(table: &str, columns: &[&str]) -> String {
    let columns: Vec<String> = columns.iter().map(|column| format!("\"{column}\"::text")).collect();
    format!(
        "select count(*) || ' ' || coalesce(md5(string_agg(r::text, ' ' order by r::text)), '') from (select {} from {table}) r",
        columns.join(", ")
    )
}

impl Drop for Ground {
    /// The subscriptions of tests that are over must not keep the server busy for those to come.
    fn drop(&mut self) {
        let (name, analytics) = (self.name(), self.analytics.clone());
        let dropping = async move {
            let mut there = connection(&analytics).await;
            for statement in [
                format!("alter subscription {name} disable"),
                format!("alter subscription {name} set (slot_name = none)"),
                format!("drop subscription {name}"),
            ] {
                let _ = sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut there).await;
            }
        };
        std::thread::spawn(move || {
            tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(dropping);
        })
        .join()
        .unwrap();
    }
}
