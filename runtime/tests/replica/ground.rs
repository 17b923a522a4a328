//! A payments database, a physical replica of it, and a gateway that has both.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use chrono::Utc;
use reqwest::StatusCode;
use runtime::migrate;
use runtime_contract::RuntimeConfig;
use secrecy::SecretString;
use serde_json::Value;
use sqlx::{AssertSqlSafe, PgConnection};

use crate::support::gateway::TestGateway;
use crate::support::server::{self, Server};
use crate::support::{OWNER, PATIENCE, TestApp, config, redis_url, url_on};

static PRIMARY: OnceLock<Server> = OnceLock::new();
static STARTING: Mutex<()> = Mutex::new(());

/// A replica needs as much of the first two as its primary has; what is copied while others write needs the log of that time.
const SETTINGS: [(&str, &str); 4] = [
    ("max_wal_senders", "60"),
    ("max_replication_slots", "60"),
    ("wal_retrieve_retry_interval", "200ms"),
    ("wal_keep_size", "1GB"),
];
/// Far more than anything takes, even on a machine that is busy.
const LONG: Duration = Duration::from_secs(120);
/// Old enough for everything that a test does.
pub(crate) const ANY_LAG_MS: u32 = 110_000;

pub(crate) struct Ground {
    pub(crate) gateway: TestGateway,
    pub(crate) standby: Server,
    pub(crate) read_url: String,
}

/// Port of the server of payments.
pub(crate) fn primary_port() -> u16 {
    let _one_at_a_time = STARTING.lock().unwrap();
    PRIMARY.get_or_init(|| server::postgres_with(&SETTINGS)).port()
}

/// A new database with the schema: its URL and name.
async fn database() -> (String, String) {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let name = format!("replicated_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    // The port answers a moment before the server takes connections.
    let home = SecretString::from(url_on(primary_port(), "postgres"));
    let mut session = runtime::database::connect(&home, "tests", Duration::from_secs(20)).await.unwrap();
    run(&mut session, &format!("create database {name} template template0")).await;
    let url = url_on(primary_port(), &name);
    migrate::run(&url.as_str().into(), OWNER, PATIENCE, Utc::now()).await.unwrap();
    (url, name)
}

pub(crate) async fn run(session: &mut PgConnection, statement: &str) {
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(session).await.unwrap();
}

/// Waits until something is so.
pub(crate) async fn until(what: &str, so: impl AsyncFn() -> bool) {
    let begin = Instant::now();
    while !so().await {
        assert!(begin.elapsed() < LONG, "not within {LONG:?}: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A gateway on a database, which reads from this URL.
pub(crate) async fn gateway(url: &str, read_url: &str, lag_max_ms: u32) -> TestGateway {
    let config = RuntimeConfig { read_lag_max_ms: Some(lag_max_ms), ..config() };
    TestGateway::on(TestApp::reading_from(url, Some(read_url), Some(&redis_url()), config)).await
}

impl Ground {
    /// With a replica that is used.
    pub(crate) async fn new(lag_max_ms: u32) -> Self {
        let (url, name) = database().await;
        let standby = server::standby_of(primary_port(), &SETTINGS);
        let read_url = url_on(standby.port(), &name);
        let ground = Self { gateway: gateway(&url, &read_url, lag_max_ms).await, standby, read_url };
        ground.becomes_used().await;
        ground
    }

    pub(crate) fn url(&self) -> &str {
        &self.gateway.app.database_url
    }

    pub(crate) fn state(&self) -> Result<(), &'static str> {
        self.gateway.app.app.reads.state()
    }

    pub(crate) async fn becomes_used(&self) {
        until("the replica is used", async || self.state().is_ok()).await;
    }

    pub(crate) async fn becomes_unfit(&self, words: &str) {
        until(words, async || self.state().is_err_and(|sentence| sentence.contains(words))).await;
    }

    /// A session with the replica.
    pub(crate) async fn on_standby(&self) -> PgConnection {
        let url = SecretString::from(self.read_url.as_str());
        runtime::database::connect(&url, "tests", Duration::from_secs(20)).await.unwrap()
    }

    /// The replica shows nothing new until it is told to go on.
    pub(crate) async fn pause(&self) {
        let mut session = self.on_standby().await;
        run(&mut session, "select pg_wal_replay_pause()").await;
        for _ in 0..2_000 {
            let state = sqlx::query_scalar("select pg_get_wal_replay_pause_state()").fetch_one(&mut session).await;
            if state.is_ok_and(|state: String| state == "paused") {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("replay goes on");
    }

    pub(crate) async fn resume(&self) {
        run(&mut self.on_standby().await, "select pg_wal_replay_resume()").await;
    }

    /// One more payment is accepted: its id.
    pub(crate) async fn pay(&self) -> String {
        let reply = self.gateway.pay(&self.gateway.payment()).await;
        assert!(reply.status.is_success(), "{reply:?}");
        reply.json()["id"].as_str().unwrap().to_owned()
    }

    /// Whether the list of payments has this one. No list may fail.
    pub(crate) async fn lists(&self, payment: &str) -> bool {
        let reply = self.gateway.get("/v1/payments?limit=100").await;
        assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
        reply.json()["data"].as_array().unwrap().iter().any(|found| found["id"] == payment)
    }

    /// What the replica answers. On a machine that is busy the database answers now and then in its place.
    pub(crate) async fn by_replica(&self, path: &str) -> Value {
        let begin = Instant::now();
        loop {
            let before = self.answered_by("replica");
            let reply = self.gateway.get(path).await;
            assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
            if self.answered_by("replica") > before {
                return reply.json();
            }
            assert!(begin.elapsed() < LONG, "the replica does not answer {path}: {:?}", self.state());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// How many reads were answered by `replica` or `primary`.
    pub(crate) fn answered_by(&self, source: &str) -> u64 {
        let text = String::from_utf8(self.gateway.app.app.metrics.render().unwrap()).unwrap();
        let of_source = format!("source=\"{source}\"");
        let line = text.lines().find(|line| line.starts_with("purser_list_reads_total{") && line.contains(&of_source));
        line.map_or(0, |line| line.rsplit(' ').next().unwrap().parse().unwrap())
    }
}
