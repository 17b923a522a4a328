//! How many gateways there are, so that each knows its share when Redis is away.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use redis::Script;
use uuid::Uuid;

use crate::cache::Cache;

/// How often a gateway says that it is there.
const BEAT: Duration = Duration::from_secs(2);
/// A gateway that was silent for so long is gone.
const GONE_AFTER_S: u64 = 7;
const KEY: &str = "purser:1:gateways";
const LIMIT: Duration = Duration::from_millis(50);

static SCRIPT: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local now = tonumber(redis.call('TIME')[1])
         redis.call('ZADD', KEYS[1], now, ARGV[1])
         redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[2])
         redis.call('EXPIRE', KEYS[1], 60)
         return redis.call('ZCARD', KEYS[1])",
    )
});

/// The gateways that were there when Redis was last heard of.
pub struct Peers {
    id: String,
    count: AtomicU32,
}

impl Default for Peers {
    fn default() -> Self {
        Self { id: Uuid::now_v7().to_string(), count: AtomicU32::new(1) }
    }
}

impl Peers {
    /// How many there are, this one counted.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.count.load(Ordering::Relaxed)
    }

    /// Says that this gateway is there, and counts, until the process ends.
    pub async fn keep_counting(&self, cache: &Cache) {
        loop {
            let beat = cache.within(LIMIT, async |connection| {
                SCRIPT.key(KEY).arg(&self.id).arg(GONE_AFTER_S).invoke_async::<u32>(connection).await
            });
            match beat.await {
                Ok(count) => self.count.store(count.max(1), Ordering::Relaxed),
                Err(error) => tracing::trace!(%error, "gateways not counted"),
            }
            tokio::time::sleep(BEAT).await;
        }
    }
}
