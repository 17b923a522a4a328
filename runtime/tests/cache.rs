//! The cache on a real Redis, and without one.

// A helper that fails is a test that fails.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::{Duration, Instant};

use runtime::cache::heard::WRONG_MAX;
use runtime::cache::{Cache, Change};
use runtime::ids::UserId;
use runtime::users::Status;
use support::{TestApp, gateway};

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
    assert_eq!(cache.get::<u32>("key").await, Some(1), "a Redis that answers is asked again");
}

#[tokio::test]
async fn a_cache_that_is_not_configured_misses() {
    let cache = Cache::new(None).unwrap();
    cache.set("key", &1, Duration::from_secs(60)).await;
    assert_eq!(cache.get::<u32>("key").await, None);
    assert!(cache.connection().is_none());
}

/// A user of a merchant, and one process' way to ask for it.
struct Shop {
    one: TestApp,
    other: TestApp,
    user: UserId,
}

impl Shop {
    async fn new(cache_url: &str) -> Self {
        let one = TestApp::on(&support::migrated_database().await, Some(cache_url), support::config());
        let other = TestApp::on(&one.database_url, Some(cache_url), support::config());
        let (merchant, _) = gateway::merchant(one.pool()).await;
        let (user, _) = gateway::payer(one.pool(), merchant).await;
        Self { one, other, user }
    }

    async fn status(&self, app: &TestApp) -> Status {
        app.app.copies.user(self.user).await.unwrap().unwrap().status
    }

    async fn set(&self, status: &str) {
        sqlx::query("update users set status = $1").bind(status).execute(self.one.pool()).await.unwrap();
    }

    /// Every process knows within a fraction of the time that copies live.
    async fn both_know(&self, status: Status) {
        let begin = Instant::now();
        while self.status(&self.one).await != status || self.status(&self.other).await != status {
            assert!(begin.elapsed() < Duration::from_secs(3), "not within {:?}", begin.elapsed());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Lets the listening connections come into being.
    async fn listening(&self) {
        let listeners = "select count(*) from pg_stat_activity where datname = current_database() and query like '%purser_changed%'";
        loop {
            let count: i64 = sqlx::query_scalar(listeners).fetch_one(self.one.pool()).await.unwrap();
            // The question itself is one of them.
            if count >= 3 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn counted(&self, app: &TestApp, layer: &str, result: &str) -> u64 {
        app.app.metrics.cache_requests.with_label_values(&["user", layer, result]).get()
    }
}

async fn redis_do(url: &str, command: &[&str]) {
    let client = redis::Client::open(url).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let mut question = redis::cmd(command[0]);
    command[1..].iter().for_each(|argument| {
        question.arg(argument);
    });
    question.query_async::<redis::Value>(&mut connection).await.unwrap();
}

#[tokio::test]
async fn a_row_comes_from_the_process_then_from_redis_then_from_postgresql_and_is_counted() {
    let shop = Shop::new(&support::redis_url()).await;
    shop.status(&shop.one).await;
    assert_eq!((shop.counted(&shop.one, "redis", "miss"), shop.counted(&shop.one, "database", "hit")), (1, 1));
    shop.status(&shop.one).await;
    assert_eq!(shop.counted(&shop.one, "process", "hit"), 1);
    tokio::time::sleep(Duration::from_millis(200)).await;
    shop.status(&shop.other).await;
    assert_eq!((shop.counted(&shop.other, "redis", "hit"), shop.counted(&shop.other, "database", "hit")), (1, 0));
    let figures = String::from_utf8(shop.other.app.metrics.render().unwrap()).unwrap();
    let line = r#"purser_cache_requests_total{cache="user",layer="redis",release="0.1.0",result="hit"} 1"#;
    assert!(figures.contains(line), "{figures}");
}

#[tokio::test]
async fn a_change_made_by_hand_is_known_everywhere_at_once() {
    let shop = Shop::new(&support::redis_url()).await;
    shop.listening().await;
    for (name, status) in [("BLOCKED", Status::Blocked), ("ACTIVE", Status::Active), ("SUSPENDED", Status::Suspended)] {
        shop.status(&shop.one).await;
        shop.status(&shop.other).await;
        shop.set(name).await;
        shop.both_know(status).await;
        // And it stays so, whatever late readers put into Redis.
        for _ in 0..20 {
            assert_eq!((shop.status(&shop.one).await, shop.status(&shop.other).await), (status, status));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

#[tokio::test]
async fn a_copy_is_kept_while_changes_are_heard_of_and_a_change_ends_it() {
    let shop = Shop::new(&support::redis_url()).await;
    shop.listening().await;
    let begin = Instant::now();
    // Longer than a copy is believed of which nothing more is heard.
    while begin.elapsed() < WRONG_MAX * 2 {
        assert_eq!(shop.status(&shop.one).await, Status::Active);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let asked = |result| shop.counted(&shop.one, "redis", result);
    assert!(asked("hit") + asked("miss") <= 2, "{} and {}", asked("hit"), asked("miss"));
    shop.set("BLOCKED").await;
    shop.both_know(Status::Blocked).await;
}

#[tokio::test]
async fn a_redis_that_is_emptied_slow_or_gone_is_slower_and_never_wrong() {
    let mut server = support::server::redis();
    let url = format!("redis://127.0.0.1:{}/0", server.port());
    let shop = Shop::new(&url).await;
    shop.listening().await;
    shop.both_know(Status::Active).await;
    redis_do(&url, &["FLUSHALL"]).await;
    shop.both_know(Status::Active).await;

    // Two seconds in which Redis says nothing, and still holds what is true no longer.
    redis_do(&url, &["CLIENT", "PAUSE", "2000", "ALL"]).await;
    shop.set("BLOCKED").await;
    shop.both_know(Status::Blocked).await;
    let begin = Instant::now();
    for _ in 0..100 {
        assert_eq!(shop.status(&shop.one).await, Status::Blocked);
        shop.one.app.copies.forget(Change::User(shop.user)).await;
    }
    assert!(begin.elapsed() < Duration::from_secs(1), "Redis is left alone: {:?}", begin.elapsed());
    tokio::time::sleep(Duration::from_millis(2500)).await;
    let (late, begin) = (TestApp::on(&shop.one.database_url, Some(&url), support::config()), Instant::now());
    while begin.elapsed() < Duration::from_secs(1) {
        assert_eq!(shop.status(&shop.one).await, Status::Blocked);
        shop.one.app.copies.forget(Change::User(shop.user)).await;
        assert_eq!(shop.status(&late).await, Status::Blocked, "what Redis held was marked when it came back");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }

    server.stop();
    shop.set("ACTIVE").await;
    shop.both_know(Status::Active).await;
    server.start();
    shop.set("SUSPENDED").await;
    shop.both_know(Status::Suspended).await;
}

#[tokio::test]
async fn what_was_forgotten_is_not_put_back_by_one_who_read_it_before() {
    let cache = Cache::new(Some(&support::redis_url().into())).unwrap();
    let key = uuid::Uuid::now_v7().to_string();
    cache.set(&key, &1, Duration::from_secs(60)).await;
    cache.forget(&key).await;
    assert_eq!(cache.get::<u32>(&key).await, None);
    cache.set(&key, &1, Duration::from_secs(60)).await;
    assert_eq!(cache.get::<u32>(&key).await, None);
}
