//! Copies in this process: for seconds, and loaded once however many ask for them at the same time.

use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use moka::Expiry;
use prometheus::{IntCounter, IntCounterVec};

/// What is wrong here, because a word of a change was lost, is wrong for so long at most.
pub const LIVES: Duration = Duration::from_secs(5);
/// That something does not exist is forgotten sooner: it is often made a moment after it was asked for.
const ABSENT_LIVES: Duration = Duration::from_millis(500);

/// Copies of one kind of thing.
pub struct Local<K, V> {
    copies: moka::future::Cache<K, Copy<V>>,
    changes: AtomicU64,
    hits: IntCounter,
    misses: IntCounter,
}

struct Copy<V> {
    value: Option<Arc<V>>,
    lives: Duration,
}

impl<V> Clone for Copy<V> {
    fn clone(&self) -> Self {
        Self { value: self.value.clone(), lives: self.lives }
    }
}

struct Lives;

impl<K, V> Expiry<K, Copy<V>> for Lives {
    fn expire_after_create(&self, _: &K, copy: &Copy<V>, _: Instant) -> Option<Duration> {
        Some(copy.lives)
    }

    fn expire_after_update(&self, _: &K, copy: &Copy<V>, _: Instant, _: Option<Duration>) -> Option<Duration> {
        Some(copy.lives)
    }
}

impl<K, V> Local<K, V>
where
    K: Hash + Eq + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    /// Room for this many copies; `counts` by cache, layer and result.
    #[must_use]
    pub fn new(name: &str, entries_max: u64, counts: &IntCounterVec) -> Self {
        let copies = moka::future::Cache::builder().max_capacity(entries_max).expire_after(Lives).build();
        let counter = |result| counts.with_label_values(&[name, "process", result]);
        Self { copies, changes: AtomicU64::new(0), hits: counter("hit"), misses: counter("miss") }
    }

    /// The copy, or what `load` returns. Of all who ask at the same time one loads.
    ///
    /// # Errors
    /// Those of `load`.
    pub async fn get<E: Send + Sync + 'static>(
        &self,
        key: K,
        load: impl Future<Output = Result<Option<Arc<V>>, E>>,
    ) -> Result<Option<Arc<V>>, Arc<E>> {
        if let Some(copy) = self.copies.get(&key).await {
            self.hits.inc();
            return Ok(copy.value);
        }
        self.misses.inc();
        let fill = async {
            let before = self.changes.load(Ordering::Acquire);
            let value = load.await?;
            let changed = self.changes.load(Ordering::Acquire) != before;
            // What may have been read before a change is good for those who asked before it, and for nobody else.
            let lives = if changed { Duration::ZERO } else { lives(value.is_some()) };
            Ok(Copy { value, lives })
        };
        Ok(self.copies.try_get_with(key, fill).await?.value)
    }

    /// Forgets a copy.
    pub async fn forget(&self, key: &K) {
        self.changes.fetch_add(1, Ordering::AcqRel);
        self.copies.invalidate(key).await;
    }

    /// Forgets all copies.
    pub fn forget_all(&self) {
        self.changes.fetch_add(1, Ordering::AcqRel);
        self.copies.invalidate_all();
    }
}

const fn lives(exists: bool) -> Duration {
    if exists { LIVES } else { ABSENT_LIVES }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures::future::join_all;
    use prometheus::Opts;

    use super::*;

    fn local() -> Local<u32, u32> {
        let counts = IntCounterVec::new(Opts::new("test", "test"), &["cache", "layer", "result"]).unwrap();
        Local::new("test", 100, &counts)
    }

    async fn loaded(value: u32) -> Result<Option<Arc<u32>>, Infallible> {
        tokio::time::sleep(Duration::from_millis(50)).await;
        Ok(Some(Arc::new(value)))
    }

    #[tokio::test]
    async fn a_crowd_that_asks_for_one_thing_loads_it_once() {
        let (local, loads) = (local(), AtomicU64::new(0));
        let load = async || {
            loads.fetch_add(1, Ordering::Relaxed);
            loaded(7).await
        };
        let values = join_all((0..100).map(|_| local.get(1, load()))).await;
        assert!(values.iter().all(|value| **value.as_ref().unwrap().as_ref().unwrap() == 7));
        assert_eq!(loads.load(Ordering::Relaxed), 1);
        assert_eq!((local.misses.get(), local.hits.get()), (100, 0));
        local.get(1, load()).await.unwrap();
        assert_eq!((loads.load(Ordering::Relaxed), local.hits.get()), (1, 1));
    }

    #[tokio::test]
    async fn what_was_read_before_a_change_does_not_stay_after_it() {
        let local = local();
        let (old, ()) = tokio::join!(local.get(1, loaded(7)), async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            local.forget(&1).await;
        });
        assert_eq!(*old.unwrap().unwrap(), 7, "who asked before the change gets what was then");
        assert_eq!(*local.get(1, loaded(8)).await.unwrap().unwrap(), 8);
        local.forget_all();
        assert_eq!(*local.get(1, loaded(9)).await.unwrap().unwrap(), 9);
    }

    #[tokio::test]
    async fn that_something_does_not_exist_is_soon_forgotten() {
        let local = local();
        let absent = async || Ok::<_, Infallible>(None);
        assert_eq!(local.get(1, absent()).await.unwrap(), None);
        assert_eq!(local.get(1, loaded(7)).await.unwrap(), None);
        tokio::time::sleep(ABSENT_LIVES + Duration::from_millis(50)).await;
        assert_eq!(*local.get(1, loaded(7)).await.unwrap().unwrap(), 7);
    }
}
