//! Reads that may be old, from a physical replica of the database: lists, and figures of users. All that decides anything (idempotency,
//! money, fraud, what is asked for by its id) is read from the database itself.
//!
//! Three things keep a replica from showing more than `readLagMax` of the past, or something else:
//! - **The database's own positions are the clock** ([`judge`]). What was committed at a time lies before the position that the database
//!   had then; a replica that has replayed that position shows it. So one that is cut off is late as soon as something happens that it
//!   does not hear of, whatever it believes itself, and one that has nothing to hear of is not.
//! - **Each read asks the very connection that answers it**, for a URL may lead to several servers, and a server changes between two looks.
//! - **A task looks every second or less** ([`watch`]), so that nobody waits for a replica that is known to be unfit.
//!
//! Whatever is wrong with it, the read goes to the database: once, within the request, after a short time.

mod check;
mod error;
mod figures;
pub mod judge;
mod server;
mod watch;

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use runtime_contract::RuntimeConfig;
use secrecy::SecretString;
use sqlx::pool::PoolConnection;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Postgres};
use tokio_util::sync::CancellationToken;

pub use check::{Checked, Waits, check};
pub use error::ReplicaError;
pub use figures::ReadFigures;

use self::judge::{Positions, Unfit};
use crate::database::{self, Pool};

/// Connections per process besides that of the task that looks.
const CONNECTIONS_MAX: u32 = 5;
/// How long it may take to connect.
const CONNECT_LIMIT: Duration = Duration::from_secs(1);
/// How long a read waits for a connection that is fit, before it goes to the database.
const REACH_LIMIT: Duration = Duration::from_millis(250);
/// How long a read waits for the answer of a replica: one that hung up without a word must not keep a merchant waiting for longer.
const ANSWER_LIMIT: Duration = Duration::from_secs(3);
/// What is read may be so old unless the configuration says another limit.
const LAG_MAX_MS: u32 = 2_000;
const NOT_A_URL: &str = "database-read-url is no PostgreSQL URL";

/// Where that is read from which may be old.
pub struct Reads {
    primary: Pool,
    replica: Option<Result<Arc<Replica>, &'static str>>,
    figures: ReadFigures,
}

/// A replica, and what is thought of it.
struct Replica {
    pool: Pool,
    lag_max: Duration,
    thought: Mutex<Thought>,
}

/// What is thought of a replica.
struct Thought {
    /// Where the database was, and when.
    positions: Positions,
    /// Whether it is used.
    fitness: Result<(), Unfit>,
    /// Until when it showed everything, as it was seen last.
    shows_until: Option<Instant>,
}

impl Reads {
    /// Reads from the database, and from a replica where there is a URL of one. What is wrong with that URL keeps nobody from starting.
    #[must_use]
    pub fn new(primary: Pool, url: Option<&SecretString>, config: &RuntimeConfig, figures: &ReadFigures) -> Self {
        let lag_max = Duration::from_millis(u64::from(config.read_lag_max_ms.unwrap_or(LAG_MAX_MS)));
        let replica = url.map(|url| match database::read_url(url) {
            Some(options) => Ok(Arc::new(Replica::new(options, lag_max))),
            None => {
                tracing::warn!("{NOT_A_URL}; lists are read from the database");
                Err(NOT_A_URL)
            }
        });
        Self { primary, replica, figures: figures.clone() }
    }

    /// Looks after the replica until `stop`.
    pub fn follow(&self, stop: CancellationToken) {
        if let Some(Ok(replica)) = &self.replica {
            tokio::spawn(watch::watch(replica.clone(), self.primary.clone(), self.figures.clone(), stop));
        }
    }

    /// Whether there is to be a replica.
    #[must_use]
    pub const fn has_replica(&self) -> bool {
        self.replica.is_some()
    }

    /// Whether the replica is used, or why it is not. Without counts: the same trouble is the same sentence.
    ///
    /// # Errors
    /// Why not.
    pub fn state(&self) -> Result<(), &'static str> {
        match &self.replica {
            None => Ok(()),
            Some(Ok(replica)) => replica.thought().fitness.map_err(Unfit::sentence),
            Some(Err(problem)) => Err(problem),
        }
    }

    /// What a query answers that may be old. It is asked of the replica if that is fit, and of the database if it is not, or fails.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn answer<T, F>(&self, query: impl Fn(PoolConnection<Postgres>) -> F) -> Result<T, sqlx::Error>
    where
        F: Future<Output = Result<T, sqlx::Error>>,
    {
        if let Some(Ok(replica)) = &self.replica
            && let Some(answer) = replica.answer(&query).await
        {
            self.figures.answered_by("replica");
            return Ok(answer);
        }
        self.figures.answered_by("primary");
        query(self.primary.acquire().await?).await
    }
}

impl Replica {
    fn new(options: PgConnectOptions, lag_max: Duration) -> Self {
        // A replica that was promoted would take writes. Whatever a query is, it is none.
        let options = options.application_name("purser").options([("default_transaction_read_only", "on")]);
        let options = database::limited(options.disable_statement_logging());
        // Each read asks its connection anyway whether it is there.
        let pool =
            database::sized(CONNECTIONS_MAX, CONNECT_LIMIT).test_before_acquire(false).connect_lazy_with(options);
        let thought = Thought { positions: Positions::default(), fitness: Err(Unfit::NotSeen), shows_until: None };
        Self { pool, lag_max, thought: Mutex::new(thought) }
    }

    fn thought(&self) -> MutexGuard<'_, Thought> {
        self.thought.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// None when it is to be asked of the database instead.
    async fn answer<T, F>(&self, query: &impl Fn(PoolConnection<Postgres>) -> F) -> Option<T>
    where
        F: Future<Output = Result<T, sqlx::Error>>,
    {
        if self.thought().fitness.is_err() {
            return None;
        }
        let connection = tokio::time::timeout(REACH_LIMIT, self.fit_connection()).await.ok()??;
        match tokio::time::timeout(ANSWER_LIMIT, query(connection)).await {
            Ok(Ok(answer)) => Some(answer),
            Ok(Err(error)) => {
                tracing::debug!(%error, "the replica failed; the database is asked");
                None
            }
            Err(_) => {
                tracing::debug!("the replica takes too long; the database is asked");
                None
            }
        }
    }

    /// A connection whose server is fit now. The statement after this look sees at least as much as the look did.
    async fn fit_connection(&self) -> Option<PoolConnection<Postgres>> {
        let mut connection = self.pool.acquire().await.ok()?;
        let seen = server::seen(&mut connection).await;
        let fitness = seen.ok().map(|seen| self.thought().positions.judge(&seen, Instant::now(), self.lag_max));
        match fitness {
            Some(Ok(_)) => Some(connection),
            // It does not come back: the next one may lead to another server, or to the database of that name by now.
            Some(Err(_)) | None => {
                drop(connection.detach());
                None
            }
        }
    }
}
