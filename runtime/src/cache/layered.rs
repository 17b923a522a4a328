//! One kind of row: in the process and in Redis for as long as the settings say, in PostgreSQL for good.

use std::fmt::Display;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use prometheus::{IntCounter, IntCounterVec};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::heard::Heard;
use super::{Cache, Local};

/// Begins every key; the number grows when a cached type changes its meaning without changing its form.
const PREFIX: &str = "purser:1";

/// Rows of one kind, by their id.
pub struct Layered<K, V> {
    name: &'static str,
    local: Local<K, V>,
    redis: Cache,
    redis_hits: IntCounter,
    redis_misses: IntCounter,
    loads: IntCounter,
}

impl<K, V> Layered<K, V>
where
    K: Hash + Eq + Display + Send + Sync + 'static,
    V: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    /// Rows under this name; `counts` by cache, layer and result.
    #[must_use]
    pub fn new(name: &'static str, entries_max: u64, heard: Heard, redis: Cache, counts: &IntCounterVec) -> Self {
        Self {
            name,
            local: Local::new(name, entries_max, heard, counts),
            redis,
            redis_hits: counts.with_label_values(&[name, "redis", "hit"]),
            redis_misses: counts.with_label_values(&[name, "redis", "miss"]),
            loads: counts.with_label_values(&[name, "database", "hit"]),
        }
    }

    /// The row, from wherever it is nearest. Here and in Redis it stays for `ttl`.
    ///
    /// # Errors
    /// Those of `load`, which reads the row from PostgreSQL.
    pub async fn get(
        &self,
        key: K,
        ttl: Duration,
        load: impl Future<Output = Result<Option<V>, sqlx::Error>>,
    ) -> Result<Option<Arc<V>>, Arc<sqlx::Error>> {
        let name = self.key(&key);
        let fill = async {
            if let Some(value) = self.redis.get::<V>(&name).await {
                self.redis_hits.inc();
                return Ok(Some(Arc::new(value)));
            }
            self.redis_misses.inc();
            let value = load.await?.map(Arc::new);
            self.loads.inc();
            if let Some(value) = value.clone() {
                let (redis, ttl) = (self.redis.clone(), jittered(ttl, rand::random()));
                // Nobody waits for it: it is for those who come later.
                tokio::spawn(async move { redis.set(&name, &*value, ttl).await });
            }
            Ok(value)
        };
        self.local.get(key, ttl, fill).await
    }

    /// Puts a row that was read just now into Redis, where it stays for `ttl`; not here. What stands there stays.
    pub async fn warm(&self, key: &K, row: &V, ttl: Duration) {
        self.redis.set(&self.key(key), row, jittered(ttl, rand::random())).await;
    }

    /// Forgets a row that was changed, here and in Redis.
    pub async fn forget(&self, key: &K) {
        self.local.forget(key).await;
        self.redis.forget(&self.key(key)).await;
        // Whoever read the old value from Redis meanwhile may have kept it here.
        self.local.forget(key).await;
    }

    /// Forgets all copies in this process: words of changes may have been lost.
    pub fn forget_local(&self) {
        self.local.forget_all();
    }

    fn key(&self, key: &K) -> String {
        format!("{PREFIX}:{}:{key}", self.name)
    }
}

/// A tenth more or less, so that what was loaded together is not missed together.
fn jittered(ttl: Duration, chance: f64) -> Duration {
    ttl.mul_f64(0.9 + 0.2 * chance.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_to_live_varies_by_a_tenth() {
        let minute = Duration::from_secs(60);
        assert_eq!(jittered(minute, 0.0), Duration::from_secs(54));
        assert_eq!(jittered(minute, 0.5), minute);
        assert_eq!(jittered(minute, 1.0), Duration::from_secs(66));
    }
}
