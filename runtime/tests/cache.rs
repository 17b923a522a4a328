//! The cache on a real Redis, and without one.

mod support;

use std::time::{Duration, Instant};

use runtime::cache::Cache;

#[tokio::test]
async fn a_value_is_kept_for_its_time() {
    let cache = Cache::new(Some(&support::redis_url().into())).unwrap();
    cache.ping().await.unwrap();
    let key = uuid::Uuid::now_v7().to_string();
    assert_eq!(cache.get::<Vec<u32>>(&key).await, None);
    cache.set(&key, &vec![1, 2, 3], Duration::from_millis(300)).await;
    assert_eq!(cache.get::<Vec<u32>>(&key).await, Some(vec![1, 2, 3]));
    assert_eq!(cache.get::<String>(&key).await, None, "of another form: a miss");
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(cache.get::<Vec<u32>>(&key).await, None);
}

#[tokio::test]
async fn without_redis_everything_is_a_quick_miss_and_it_comes_back_by_itself() {
    let mut redis = support::server::redis();
    let url = format!("redis://127.0.0.1:{}/0", redis.port());
    redis.stop();
    let cache = Cache::new(Some(&url.as_str().into())).unwrap();
    for _ in 0..3 {
        let begin = Instant::now();
        cache.set("key", &1, Duration::from_secs(60)).await;
        assert_eq!(cache.get::<u32>("key").await, None);
        assert!(begin.elapsed() < Duration::from_millis(400), "{:?}", begin.elapsed());
    }
    assert!(cache.ping().await.is_err());
    redis.start();
    let begin = Instant::now();
    while cache.ping().await.is_err() {
        assert!(begin.elapsed() < Duration::from_secs(10), "never came back");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    cache.set("key", &1, Duration::from_secs(60)).await;
    assert_eq!(cache.get::<u32>("key").await, Some(1));
}

#[tokio::test]
async fn a_cache_that_is_not_configured_misses() {
    let cache = Cache::new(None).unwrap();
    cache.set("key", &1, Duration::from_secs(60)).await;
    assert_eq!(cache.get::<u32>("key").await, None);
    assert!(cache.connection().is_none());
}
