//! What the tests of this crate stand on: a real PostgreSQL and a real Redis per test process, a database per test.

// Every test program compiles this module whole and uses a part of it. A failure in it is a failed test.
#![allow(dead_code, unreachable_pub, missing_docs, clippy::unwrap_used)]

pub mod gateway;
pub mod process;
pub mod server;

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use chrono::Utc;
use runtime::app::App;
use runtime::config::Secrets;
use runtime::fraud;
use runtime::migrate::{self, Patience};
use runtime_contract::{Environment, FraudConfig, Limits, OnDeadline, RuntimeConfig};
use secrecy::SecretString;
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use server::{PASSWORD, Server, USER};

/// The PaymentCluster that owns the databases of tests.
pub const OWNER: &str = "tests/payments";
/// The release that tests run as.
pub const RELEASE: &str = "0.1.0";
/// What a test is ready to wait for a database and its lock.
pub const PATIENCE: Patience = Patience { connect: Duration::from_secs(10), lock: Duration::from_secs(30) };
/// What a fraud check may wait for in a test that is not about its limits: a busy machine takes longer than those of a payment.
pub const FRAUD_LIMITS: fraud::Limits =
    fraud::Limits { redis: Duration::from_secs(5), database: Duration::from_secs(5) };

static POSTGRES: OnceLock<Server> = OnceLock::new();
static REDIS: OnceLock<Server> = OnceLock::new();
static TEMPLATE: tokio::sync::OnceCell<()> = tokio::sync::OnceCell::const_new();
// PostgreSQL copies a template only while nobody else does.
static CREATING: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
static STARTING: Mutex<()> = Mutex::new(());

/// The test process' own PostgreSQL: its port.
pub fn postgres_port() -> u16 {
    let _one_at_a_time = STARTING.lock().unwrap();
    POSTGRES.get_or_init(server::postgres).port()
}

/// What the test process' own PostgreSQL has logged.
pub fn postgres_log() -> String {
    POSTGRES.get().map(Server::log).unwrap_or_default()
}

/// The test process' own Redis, shared by its tests: keys carry ids, which are never the same twice.
pub fn redis_url() -> String {
    let _one_at_a_time = STARTING.lock().unwrap();
    format!("redis://127.0.0.1:{}/0", REDIS.get_or_init(server::redis).port())
}

/// URL of a database on a server that [`server::postgres`] started.
pub fn url_on(port: u16, database: &str) -> String {
    format!("postgres://{USER}:{PASSWORD}@127.0.0.1:{port}/{database}")
}

/// URL of a database on the test process' own server.
pub fn url_of(database: &str) -> String {
    url_on(postgres_port(), database)
}

/// A new database without anything in it: its URL.
pub async fn empty_database() -> String {
    create("template0").await
}

/// A new database with the schema of this program: its URL.
pub async fn migrated_database() -> String {
    TEMPLATE.get_or_init(migrate_template).await;
    create("purser_template").await
}

async fn migrate_template() {
    execute("create database purser_template template template0").await;
    let url = SecretString::from(url_of("purser_template"));
    migrate::run(&url, OWNER, PATIENCE, Utc::now()).await.unwrap();
}

async fn create(template: &str) -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let name = format!("test_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    let _one_at_a_time = CREATING.lock().await;
    execute(&format!("create database {name} template {template}")).await;
    url_of(&name)
}

async fn execute(statement: &str) {
    // The port answers a moment before the server takes connections.
    let url = SecretString::from(url_of("postgres"));
    let mut connection = runtime::database::connect(&url, "tests", Duration::from_secs(20)).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

/// A plain connection, to look at what the code under test did.
pub async fn connection(url: &str) -> PgConnection {
    PgConnection::connect(url).await.unwrap()
}

/// An [`App`] as `main` builds it, from files, on a database and a Redis of its own choice.
pub struct TestApp {
    pub app: Arc<App>,
    pub database_url: String,
    /// The folder of secrets: a test that needs a provider's credential writes it below `providers/`.
    pub secrets: TempDir,
}

impl TestApp {
    /// On a fresh database with the schema, and the test process' Redis.
    pub async fn new() -> Self {
        Self::on(&migrated_database().await, Some(&redis_url()), config())
    }

    pub fn on(database_url: &str, cache_url: Option<&str>, config: RuntimeConfig) -> Self {
        Self::reading_from(database_url, None, cache_url, config)
    }

    /// The same with a replica that lists are read from.
    pub fn reading_from(
        database_url: &str,
        read_url: Option<&str>,
        cache_url: Option<&str>,
        config: RuntimeConfig,
    ) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let secrets = tempfile::tempdir().unwrap();
        std::fs::create_dir(secrets.path().join("providers")).unwrap();
        std::fs::write(secrets.path().join("database-url"), database_url).unwrap();
        if let Some(url) = read_url {
            std::fs::write(secrets.path().join("database-read-url"), url).unwrap();
        }
        if let Some(url) = cache_url {
            std::fs::write(secrets.path().join("cache-url"), url).unwrap();
        }
        let app = App::new(config, Secrets::new(secrets.path()), CancellationToken::new()).unwrap();
        Self { app, database_url: database_url.to_owned(), secrets }
    }

    pub fn pool(&self) -> &PgPool {
        &self.app.pool
    }

    /// Gives a provider resource its credential.
    pub fn credential(&self, resource: &str, value: &str) {
        std::fs::write(self.secrets.path().join("providers").join(resource), value).unwrap();
    }
}

impl TestApp {
    /// Takes a provider resource's credential away.
    pub fn forget_credential(&self, resource: &str) {
        std::fs::remove_file(self.secrets.path().join("providers").join(resource)).unwrap();
    }

    /// Gives a provider resource what its webhooks are verified with.
    pub fn webhook_secret(&self, resource: &str, value: &str) {
        let folder = self.secrets.path().join("provider-webhooks");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(resource), value).unwrap();
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        self.app.shutdown.cancel();
    }
}

/// The configuration that tests begin with; the fraud workload is where nothing listens.
pub fn config() -> RuntimeConfig {
    RuntimeConfig {
        owner: OWNER.into(),
        release: RELEASE.into(),
        since_ms: None,
        environment: Environment::Staging,
        fraud: FraudConfig { url: "http://127.0.0.1:1".into(), deadline_ms: 50, on_deadline: OnDeadline::Flag },
        webhooks: Default::default(),
        pods: None,
        read_lag_max_ms: None,
    }
}

/// Limits that no test meets by chance.
pub fn unlimited() -> Limits {
    Limits { requests_per_second: 100_000, burst: 100_000, concurrent_requests: 100_000 }
}
