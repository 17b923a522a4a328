//! Redis: speeds up, never decides. Whatever fails here counts as a miss.

use std::time::Duration;

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// PostgreSQL answers in a few milliseconds; waiting longer for what should be faster makes no sense.
const RESPONSE_TIMEOUT: Duration = Duration::from_millis(100);
const CONNECTION_TIMEOUT: Duration = Duration::from_millis(500);

/// Why there is no answer from Redis.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// The URL says nothing that could be connected to. The URL itself may hold a password and is not shown.
    #[error("cache-url is not a Redis URL such as redis://host:6379/0")]
    Url,
    /// No Redis is configured.
    #[error("no cache is configured")]
    Absent,
    /// Redis did not answer in time.
    #[error("no answer from Redis within {} ms", .0.as_millis())]
    Timeout(Duration),
    /// Redis, or the way to it, failed.
    #[error("{0}")]
    Redis(#[from] redis::RedisError),
}

/// The connection to Redis. It connects when it is first used and again after each loss.
#[derive(Clone)]
pub struct Cache {
    manager: Option<ConnectionManager>,
}

impl Cache {
    /// A cache at this URL; without a URL, one that always misses. Never waits for Redis.
    ///
    /// # Errors
    /// When the URL is none.
    pub fn new(url: Option<&SecretString>) -> Result<Self, CacheError> {
        let Some(url) = url else { return Ok(Self { manager: None }) };
        let client = redis::Client::open(url.expose_secret().trim()).map_err(|_| CacheError::Url)?;
        let config = ConnectionManagerConfig::new()
            .set_number_of_retries(1)
            .set_min_delay(Duration::from_millis(50))
            .set_connection_timeout(Some(CONNECTION_TIMEOUT))
            .set_response_timeout(Some(RESPONSE_TIMEOUT));
        Ok(Self { manager: Some(ConnectionManager::new_lazy_with_config(client, config)?) })
    }

    /// The connection, for scripts. Callers set their own time limit around what they do with it.
    #[must_use]
    pub fn connection(&self) -> Option<ConnectionManager> {
        self.manager.clone()
    }

    /// Whether Redis answers.
    ///
    /// # Errors
    /// When it does not, or none is configured.
    pub async fn ping(&self) -> Result<(), CacheError> {
        let mut connection = self.connection().ok_or(CacheError::Absent)?;
        let ping = async { redis::cmd("PING").query_async::<()>(&mut connection).await };
        let limit = CONNECTION_TIMEOUT + RESPONSE_TIMEOUT;
        tokio::time::timeout(limit, ping).await.map_err(|_| CacheError::Timeout(limit))?.map_err(CacheError::from)
    }

    /// A value, or a miss.
    pub async fn get<T: DeserializeOwned>(&self, key: &str) -> Option<T> {
        let mut connection = self.connection()?;
        let get = async { redis::cmd("GET").arg(key).query_async::<Option<Vec<u8>>>(&mut connection).await };
        match tokio::time::timeout(RESPONSE_TIMEOUT, get).await {
            // What another release wrote in another form is a miss as well.
            Ok(Ok(value)) => value.and_then(|bytes| serde_json::from_slice(&bytes).ok()),
            Ok(Err(error)) => {
                tracing::debug!(%error, "cache read failed");
                None
            }
            Err(_) => None,
        }
    }

    /// Keeps a value for this long, if Redis is there.
    pub async fn set<T: Serialize + Sync>(&self, key: &str, value: &T, ttl: Duration) {
        let Some(mut connection) = self.connection() else { return };
        let Ok(bytes) = serde_json::to_vec(value) else { return };
        let ttl_ms = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX).max(1);
        let set = async {
            redis::cmd("SET").arg(key).arg(bytes).arg("PX").arg(ttl_ms).query_async::<()>(&mut connection).await
        };
        if let Ok(Err(error)) = tokio::time::timeout(RESPONSE_TIMEOUT, set).await {
            tracing::debug!(%error, "cache write failed");
        }
    }
}
