//! Copies in this process: for as long as every change is heard of, and loaded once however many ask for them at the same time.

use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use moka::Expiry;
use prometheus::{IntCounter, IntCounterVec};

use super::heard::{Heard, WRONG_MAX};

/// That something does not exist is forgotten sooner: it is often made a moment after it was asked for.
const ABSENT_LIVES: Duration = Duration::from_millis(500);

/// Copies of one kind of thing.
pub struct Local<K, V> {
    copies: moka::future::Cache<K, Copy<V>>,
    heard: Heard,
    changes: AtomicU64,
    hits: IntCounter,
    misses: IntCounter,
}

struct Copy<V> {
    value: Option<Arc<V>>,
    made: Instant,
    lives: Duration,
}

impl<V> Clone for Copy<V> {
    fn clone(&self) -> Self {
        Self { value: self.value.clone(), made: self.made, lives: self.lives }
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
    /// Room for this many copies, of which `heard` tells whether they are still right; `counts` by cache, layer and result.
    #[must_use]
    pub fn new(name: &str, entries_max: u64, heard: Heard, counts: &IntCounterVec) -> Self {
        let copies = moka::future::Cache::builder().max_capacity(entries_max).expire_after(Lives).build();
        let counter = |result| counts.with_label_values(&[name, "process", result]);
        Self { copies, heard, changes: AtomicU64::new(0), hits: counter("hit"), misses: counter("miss") }
    }

    /// The copy, or what `load` returns, which is kept for `ttl`. Of all who ask at the same time one loads.
    ///
    /// # Errors
    /// Those of `load`.
    pub async fn get<E: Send + Sync + 'static>(
        &self,
        key: K,
        ttl: Duration,
        load: impl Future<Output = Result<Option<Arc<V>>, E>>,
    ) -> Result<Option<Arc<V>>, Arc<E>> {
        if let Some(copy) = self.copies.get(&key).await {
            let now = Instant::now();
            if now < copy.made + WRONG_MAX || self.heard.is_current(now) {
                self.hits.inc();
                return Ok(copy.value);
            }
            self.copies.invalidate(&key).await;
        }
        self.misses.inc();
        let fill = async {
            let (before, made) = (self.changes.load(Ordering::Acquire), Instant::now());
            let value = load.await?;
            let changed = self.changes.load(Ordering::Acquire) != before;
            // What may have been read before a change is good for those who asked before it, and for nobody else.
            let lives = match &value {
                _ if changed => Duration::ZERO,
                Some(_) => ttl,
                None => ABSENT_LIVES,
            };
            Ok(Copy { value, made, lives })
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

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures::future::join_all;
    use prometheus::Opts;

    use super::*;

    const TTL: Duration = Duration::from_secs(60);

    fn local() -> Local<u32, u32> {
        let counts = IntCounterVec::new(Opts::new("test", "test"), &["cache", "layer", "result"]).unwrap();
        Local::new("test", 100, Heard::default(), &counts)
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
        let values = join_all((0..100).map(|_| local.get(1, TTL, load()))).await;
        assert!(values.iter().all(|value| **value.as_ref().unwrap().as_ref().unwrap() == 7));
        assert_eq!(loads.load(Ordering::Relaxed), 1);
        assert_eq!((local.misses.get(), local.hits.get()), (100, 0));
        local.get(1, TTL, load()).await.unwrap();
        assert_eq!((loads.load(Ordering::Relaxed), local.hits.get()), (1, 1));
    }

    #[tokio::test]
    async fn what_was_read_before_a_change_does_not_stay_after_it() {
        let local = local();
        let (old, ()) = tokio::join!(local.get(1, TTL, loaded(7)), async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            local.forget(&1).await;
        });
        assert_eq!(*old.unwrap().unwrap(), 7, "who asked before the change gets what was then");
        assert_eq!(*local.get(1, TTL, loaded(8)).await.unwrap().unwrap(), 8);
        local.forget_all();
        assert_eq!(*local.get(1, TTL, loaded(9)).await.unwrap().unwrap(), 9);
    }

    #[tokio::test]
    async fn that_something_does_not_exist_is_soon_forgotten() {
        let local = local();
        let absent = async || Ok::<_, Infallible>(None);
        assert_eq!(local.get(1, TTL, absent()).await.unwrap(), None);
        assert_eq!(local.get(1, TTL, loaded(7)).await.unwrap(), None);
        tokio::time::sleep(ABSENT_LIVES + Duration::from_millis(50)).await;
        assert_eq!(*local.get(1, TTL, loaded(7)).await.unwrap().unwrap(), 7);
    }

    #[tokio::test]
    async fn an_old_copy_is_good_only_while_changes_are_heard_of() {
        let local = local();
        let keep_old = async || {
            let made = Instant::now().checked_sub(WRONG_MAX).unwrap();
            local.copies.insert(1, Copy { value: Some(Arc::new(7)), made, lives: TTL }).await;
        };
        let loaded = async || *local.get(1, TTL, loaded(8)).await.unwrap().unwrap();
        keep_old().await;
        assert_eq!(loaded().await, 8);
        assert!(local.heard.is_wanted(Instant::now()));
        assert!(local.heard.hear(&local.heard.word(Instant::now())));
        keep_old().await;
        assert_eq!((loaded().await, local.hits.get()), (7, 1));
    }
}
