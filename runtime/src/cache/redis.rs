//! Redis: speeds up, never decides. Whatever fails here counts as a miss.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ::redis::aio::{ConnectionManager, ConnectionManagerConfig};
use ::redis::{Cmd, FromRedisValue, RedisError, cmd};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// PostgreSQL answers in a few milliseconds; waiting longer for what should be faster makes no sense.
const RESPONSE_TIMEOUT: Duration = Duration::from_millis(50);
const CONNECTION_TIMEOUT: Duration = Duration::from_millis(500);
/// For how long a Redis that did not answer is left alone. One who asks then pays for the next try.
const REST: Duration = Duration::from_secs(1);
/// Stands in the place of a value that was changed: longer than reading the row and writing it here can take.
const FORGOTTEN_FOR: Duration = Duration::from_secs(60);
/// No JSON document.
const FORGOTTEN: &[u8] = b"-";
/// How many changes are remembered that Redis could not be told of. Beyond it nothing in Redis is believed.
const UNTOLD_MAX: usize = 10_000;

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
    /// Redis did not answer a moment ago, and is left alone.
    #[error("Redis did not answer a moment ago")]
    Resting,
    /// Redis, or the way to it, failed.
    #[error("{0}")]
    Redis(#[from] RedisError),
}

/// The connection to Redis. It connects when it is first used and again after each loss.
#[derive(Clone)]
pub struct Cache {
    manager: Option<ConnectionManager>,
    state: Arc<State>,
}

struct State {
    begin: Instant,
    /// Milliseconds since `begin`.
    rests_until: AtomicU64,
    /// Keys whose values were changed without Redis having heard of it.
    untold: Mutex<HashMap<String, ()>>,
    any_untold: AtomicBool,
}

impl State {
    fn new() -> Self {
        Self {
            begin: Instant::now(),
            rests_until: AtomicU64::new(0),
            untold: Mutex::default(),
            any_untold: AtomicBool::new(false),
        }
    }
}

impl Cache {
    /// A cache at this URL; without a URL, one that always misses. Never waits for Redis.
    ///
    /// # Errors
    /// When the URL is none.
    pub fn new(url: Option<&SecretString>) -> Result<Self, CacheError> {
        let state = Arc::new(State::new());
        let Some(url) = url else { return Ok(Self { manager: None, state }) };
        let client = ::redis::Client::open(url.expose_secret().trim()).map_err(|_| CacheError::Url)?;
        let config = ConnectionManagerConfig::new()
            .set_number_of_retries(1)
            .set_min_delay(Duration::from_millis(50))
            .set_connection_timeout(Some(CONNECTION_TIMEOUT))
            .set_response_timeout(Some(RESPONSE_TIMEOUT));
        Ok(Self { manager: Some(ConnectionManager::new_lazy_with_config(client, config)?), state })
    }

    /// The connection, for scripts. Callers set their own time limit around what they do with it.
    #[must_use]
    pub fn connection(&self) -> Option<ConnectionManager> {
        self.manager.clone()
    }

    /// The same Redis for another purpose, which judges by itself whether it answers.
    #[must_use]
    pub fn apart(&self) -> Self {
        Self { manager: self.manager.clone(), state: Arc::new(State::new()) }
    }

    /// Whether Redis answers.
    ///
    /// # Errors
    /// When it does not, or none is configured.
    pub async fn ping(&self) -> Result<(), CacheError> {
        let mut connection = self.connection().ok_or(CacheError::Absent)?;
        let ping = async { cmd("PING").query_async::<()>(&mut connection).await };
        let limit = CONNECTION_TIMEOUT + RESPONSE_TIMEOUT;
        tokio::time::timeout(limit, ping).await.map_err(|_| CacheError::Timeout(limit))??;
        self.state.rests_until.store(0, Ordering::Relaxed);
        Ok(())
    }

    /// A value, or a miss.
    pub async fn get<T: DeserializeOwned>(&self, key: &str) -> Option<T> {
        if self.state.any_untold.load(Ordering::Acquire) && self.is_untold(key) {
            return None;
        }
        let bytes: Option<Vec<u8>> = self.ask(cmd("GET").arg(key)).await.ok()?;
        // What another release wrote in another form is a miss as well.
        bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok())
    }

    /// Keeps a value for this long, if Redis is there and no other value stands there, nor the mark of a change.
    pub async fn set<T: Serialize + Sync>(&self, key: &str, value: &T, ttl: Duration) {
        let Ok(bytes) = serde_json::to_vec(value) else { return };
        let _ = self.ask::<Option<String>>(cmd("SET").arg(key).arg(bytes).arg("NX").arg("PX").arg(millis(ttl))).await;
    }

    /// Forgets a value that was changed. If Redis cannot be told, it is told later, and is not believed until then.
    pub async fn forget(&self, key: &str) {
        if self.manager.is_none() {
            return;
        }
        // Before Redis is asked: whoever reads meanwhile must not believe it any more.
        self.untold().insert(key.to_owned(), ());
        self.state.any_untold.store(true, Ordering::Release);
        self.tell_of(key).await;
    }

    /// Tells Redis of the changes that it did not hear of. To be called again and again.
    pub async fn tell_untold(&self) {
        let keys: Vec<String> = self.untold().keys().cloned().collect();
        for key in keys {
            if !self.tell_of(&key).await {
                break;
            }
        }
    }

    async fn tell_of(&self, key: &str) -> bool {
        let mark = self.ask::<()>(cmd("SET").arg(key).arg(FORGOTTEN).arg("PX").arg(millis(FORGOTTEN_FOR))).await;
        if let Err(error) = mark {
            tracing::debug!(%error, "Redis was not told of a change; told again soon");
            return false;
        }
        let mut untold = self.untold();
        untold.remove(key);
        self.state.any_untold.store(!untold.is_empty(), Ordering::Release);
        true
    }

    fn is_untold(&self, key: &str) -> bool {
        let untold = self.untold();
        untold.len() > UNTOLD_MAX || untold.contains_key(key)
    }

    fn untold(&self) -> MutexGuard<'_, HashMap<String, ()>> {
        self.state.untold.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks, within the time limit, unless Redis rests.
    async fn ask<T: FromRedisValue>(&self, question: &Cmd) -> Result<T, CacheError> {
        self.within(RESPONSE_TIMEOUT, async |connection| question.query_async(connection).await).await
    }

    /// Does something with the connection within a time limit. A Redis that does not answer is left alone for a while.
    ///
    /// # Errors
    /// When it does not answer, rests, or none is configured.
    pub async fn within<T>(
        &self,
        limit: Duration,
        ask: impl AsyncFnOnce(&mut ConnectionManager) -> Result<T, RedisError>,
    ) -> Result<T, CacheError> {
        let mut connection = self.connection().ok_or(CacheError::Absent)?;
        let now = self.now_ms();
        let rests_until = self.state.rests_until.load(Ordering::Relaxed);
        if now < rests_until {
            return Err(CacheError::Resting);
        }
        if rests_until != 0 {
            // One tries; the others go on without until it is known how that ended.
            self.rest(now);
        }
        match tokio::time::timeout(limit, ask(&mut connection)).await {
            Ok(Ok(answer)) => {
                self.state.rests_until.store(0, Ordering::Relaxed);
                Ok(answer)
            }
            Ok(Err(error)) => {
                self.rest(now);
                Err(error.into())
            }
            Err(_) => {
                self.rest(now);
                Err(CacheError::Timeout(limit))
            }
        }
    }

    fn rest(&self, now_ms: u64) {
        self.state.rests_until.store(now_ms + millis(REST), Ordering::Relaxed);
    }

    fn now_ms(&self) -> u64 {
        millis(self.state.begin.elapsed()).max(1)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).max(1)
}
