//! PostgreSQL: the pool, patience while connecting, and what an error means.

mod link;
mod lock;
mod notices;
mod url;

use std::str::FromStr;
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use runtime_contract::Reason;
use secrecy::{ExposeSecret, SecretString};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgDatabaseError, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, Postgres, Transaction};

pub use link::Link;
pub(crate) use lock::{lock, try_lock};
pub use notices::{Notice, Notices, notify};
pub(crate) use url::read_url;

/// A pool of connections to the one database that holds the truth.
pub type Pool = sqlx::PgPool;

/// How long a request waits for a connection before it is told that the database is away.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);
/// No statement of the money path takes longer than this; one that does holds locks that others wait for.
const STATEMENT_TIMEOUT_MS: &str = "10000";
const LOCK_TIMEOUT_MS: &str = "5000";
/// A transaction that its client forgot would hold back vacuum for the whole database.
const IDLE_IN_TRANSACTION_TIMEOUT_MS: &str = "15000";
/// What the function `refuse_in_maintenance` raises: a class of our own.
const MAINTENANCE: &str = "PM001";
/// When that does not say after how long to try again.
const RETRY_AFTER_S: u64 = 60;

/// Why the database did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The URL says nothing that could be connected to. The URL itself holds a password and is not shown.
    #[error("database-url is not a PostgreSQL URL such as postgres://user:password@host:5432/database")]
    Url,
    /// No connection.
    #[error("no connection to PostgreSQL at {host}: {message}")]
    Connect {
        /// Host and port.
        host: String,
        /// Why, without secrets.
        message: String,
        /// The class of the failure.
        reason: Reason,
    },
    /// A statement failed.
    #[error("{doing}: {}", explain(cause))]
    Statement {
        /// What was attempted.
        doing: &'static str,
        /// What PostgreSQL or the way to it said. No `source`: the sentence holds it, and a log would say it again.
        cause: sqlx::Error,
    },
}

impl DatabaseError {
    /// The class of the failure, for reports.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::Url => Reason::InvalidConfiguration,
            Self::Connect { reason, .. } => *reason,
            Self::Statement { cause, .. } => reason_of(cause),
        }
    }

    /// Whether the same may work later by itself: the database is away, or a lock was not to be had in time.
    #[must_use]
    pub fn will_pass(&self) -> bool {
        match (self, self.reason()) {
            (_, Reason::DatabaseUnreachable) => true,
            // A right that is missing, or a whole database, is given by a person.
            (Self::Statement { cause, .. }, Reason::Internal) => is_outage(cause),
            _ => false,
        }
    }
}

/// Names what was attempted when a statement fails.
pub trait Doing<T> {
    /// `doing` completes the sentence "could not …" in logs and reports.
    ///
    /// # Errors
    /// The statement's own.
    fn doing(self, doing: &'static str) -> Result<T, DatabaseError>;
}

impl<T> Doing<T> for Result<T, sqlx::Error> {
    fn doing(self, doing: &'static str) -> Result<T, DatabaseError> {
        self.map_err(|cause| DatabaseError::Statement { doing, cause })
    }
}

/// A pool that connects when it is first used, so that a pod starts, and says what is wrong, while the database is away.
///
/// # Errors
/// When the URL is none.
pub fn pool(url: &SecretString, application: &str, connections_max: u32) -> Result<Pool, DatabaseError> {
    Ok(sized(connections_max, ACQUIRE_TIMEOUT).connect_lazy_with(limited(options(url, application)?)))
}

/// Options of a pool, whichever server it is of.
pub(crate) fn sized(connections_max: u32, acquire_timeout: Duration) -> PgPoolOptions {
    PgPoolOptions::new()
        .max_connections(connections_max)
        .acquire_timeout(acquire_timeout)
        .idle_timeout(Duration::from_secs(300))
        .max_lifetime(Duration::from_secs(1800))
}

/// A connection on which nothing takes for ever.
pub(crate) fn limited(options: PgConnectOptions) -> PgConnectOptions {
    options.options([
        ("statement_timeout", STATEMENT_TIMEOUT_MS),
        ("lock_timeout", LOCK_TIMEOUT_MS),
        ("idle_in_transaction_session_timeout", IDLE_IN_TRANSACTION_TIMEOUT_MS),
        // Compiling a plan takes longer than any statement here.
        ("jit", "off"),
    ])
}

/// Begins a transaction. In place of [`sqlx::Pool::begin`], which must not be given up while it waits: its connection would
/// go back into the pool inside of a transaction that nobody knows of, and what the next user believes to be committed
/// would be lost. A request whose client goes away is given up anywhere, so the beginning is a task of its own.
///
/// # Errors
/// When there is no connection, or the database does not answer.
pub async fn begin(pool: &Pool) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
    let pool = pool.clone();
    tokio::spawn(async move { pool.begin().await }).await.unwrap_or(Err(sqlx::Error::WorkerCrashed))
}

/// One connection for a command, tried again for as long as `wait` when the database may merely be late.
/// A wrong password or a missing database does not mend itself within seconds, so these fail at once.
///
/// # Errors
/// When there is no connection in the end.
pub async fn connect(url: &SecretString, application: &str, wait: Duration) -> Result<PgConnection, DatabaseError> {
    let options = options(url, application)?;
    let host = format!("{}:{}", options.get_host(), options.get_port());
    let patience = ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(200))
        .with_max_delay(Duration::from_secs(2))
        .with_total_delay(Some(wait))
        .without_max_times();
    let attempt = || async {
        let connecting = PgConnection::connect_with(&options);
        let limited = tokio::time::timeout(Duration::from_secs(5), connecting).await;
        limited.unwrap_or_else(|_| Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())))
    };
    attempt
        .retry(patience)
        .when(|error| reason_of(error) == Reason::DatabaseUnreachable)
        .notify(
            |error, after| tracing::info!(%error, retry_after_ms = after.as_millis(), "PostgreSQL does not answer yet"),
        )
        .await
        .map_err(|error| DatabaseError::Connect { host, message: explain(&error), reason: reason_of(&error) })
}

/// What an error means, by its SQLSTATE rather than by its words, which depend on the server's language.
#[must_use]
pub fn reason_of(error: &sqlx::Error) -> Reason {
    match error {
        sqlx::Error::Database(database) => match database.code().as_deref().unwrap_or_default() {
            "28P01" | "28000" | "42501" => Reason::DatabaseAuthenticationFailed,
            "3D000" => Reason::DatabaseMissing,
            // Starting up, shutting down, out of connections, or a read-only server after a failover.
            "57P01" | "57P02" | "57P03" | "53300" | "25006" => Reason::DatabaseUnreachable,
            code if code.starts_with("08") => Reason::DatabaseUnreachable,
            _ => Reason::Internal,
        },
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed => {
            Reason::DatabaseUnreachable
        }
        sqlx::Error::Configuration(_) => Reason::InvalidConfiguration,
        _ => Reason::Internal,
    }
}

/// After how many seconds to try again, when the database refused a statement because of maintenance.
#[must_use]
pub fn maintenance(error: &sqlx::Error) -> Option<u64> {
    let refusal = error.as_database_error().filter(|error| error.code().as_deref() == Some(MAINTENANCE))?;
    let seconds = refusal.try_downcast_ref::<PgDatabaseError>().and_then(PgDatabaseError::detail);
    Some(seconds.and_then(|seconds| seconds.parse().ok()).unwrap_or(RETRY_AFTER_S))
}

/// Whether the same call may work later by itself: the database is away, overloaded, moving or in maintenance.
#[must_use]
pub fn is_outage(error: &sqlx::Error) -> bool {
    if maintenance(error).is_some() {
        return true;
    }
    let timed_out = error.as_database_error().and_then(|e| e.code()).is_some_and(|code| {
        // Cancelled by a timeout, lock not available, deadlock, serialisation failure.
        matches!(code.as_ref(), "57014" | "55P03" | "40P01" | "40001")
    });
    timed_out || !matches!(reason_of(error), Reason::Internal | Reason::InvalidConfiguration)
}

/// One sentence for a person, without secrets.
#[must_use]
pub fn explain(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(database) => database.message().to_owned(),
        sqlx::Error::PoolTimedOut => format!("no connection within {} s", ACQUIRE_TIMEOUT.as_secs()),
        other => other.to_string(),
    }
}

fn options(url: &SecretString, application: &str) -> Result<PgConnectOptions, DatabaseError> {
    let options = PgConnectOptions::from_str(url.expose_secret().trim()).map_err(|_| DatabaseError::Url)?;
    // Slow statements are found in PostgreSQL's own log; at debug level here they would carry values.
    Ok(options.application_name(application).disable_statement_logging())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_transaction_begins_where_its_connection_could_be_lost_inside_of_it() {
        // Put together here, so that this test does not find itself.
        let unsafe_begin = ["pool", ".begin()"].concat();
        let mut folders = vec![std::path::PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let uses = std::fs::read_to_string(&path).unwrap().matches(&unsafe_begin).count();
                let own = usize::from(path.ends_with("src/database.rs"));
                assert_eq!(uses, own, "{}: database::begin is to be used", path.display());
            }
        }
    }

    #[test]
    fn a_wrong_url_is_refused_without_showing_it() {
        let error = pool(&"mysql//user:hunter2@host".into(), "test", 1).unwrap_err();
        assert_eq!(error.reason(), Reason::InvalidConfiguration);
        assert!(!error.to_string().contains("hunter2"));
    }

    #[tokio::test]
    async fn a_port_where_nothing_listens_is_unreachable_after_the_wait() {
        let url = "postgres://purser:secret@127.0.0.1:1/purser".into();
        let error = connect(&url, "test", Duration::from_millis(300)).await.unwrap_err();
        assert_eq!(error.reason(), Reason::DatabaseUnreachable);
        assert!(error.to_string().contains("127.0.0.1:1") && !error.to_string().contains("secret"), "{error}");
    }
}
