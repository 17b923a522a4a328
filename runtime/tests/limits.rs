//! How much one merchant may ask for: over two gateways, with Redis, without it, and while it is slow.

// A helper that fails is a test that fails.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::{Duration, Instant};

use chrono::Utc;
use futures::future::join_all;
use reqwest::{Method, StatusCode};
use runtime::cache::Cache;
use runtime::ids::MerchantId;
use runtime::limits::limiter::REDIS_LIMIT;
use runtime::limits::{Limiter, Rate, Verdict};
use runtime::settings_apply;
use runtime_contract::{CacheTtl, Limits, Settings};
use serde_json::json;
use sqlx::Connection;
use support::gateway::{TestGateway, send, settle};

/// How many requests pass within this time at these gateways, each of which is asked without a pause by three.
async fn passed(limiters: &[Limiter], merchant: MerchantId, rate: Rate, time: Duration) -> u32 {
    let until = Instant::now() + time;
    let clients = limiters.iter().flat_map(|limiter| [limiter; 3]).map(async |limiter| {
        let mut passed = 0;
        while Instant::now() < until {
            match limiter.take(merchant, rate).await {
                Verdict::Passes(_) => passed += 1,
                Verdict::Refused { .. } => tokio::time::sleep(Duration::from_millis(1)).await,
            }
            tokio::task::yield_now().await;
        }
        passed
    });
    join_all(clients).await.into_iter().sum()
}

fn assert_about(passed: u32, expected: u32) {
    assert!(passed.abs_diff(expected) * 10 <= expected, "{passed} instead of about {expected}");
}

fn limiters(url: &str, redis_limit: Duration) -> Vec<Limiter> {
    (0..2).map(|_| Limiter::new(&Cache::new(Some(&url.into())).unwrap(), redis_limit)).collect()
}

/// Does something while these gateways learn of each other, and after they did.
async fn as_peers<T>(limiters: &[Limiter], work: impl Future<Output = T>) -> T {
    let work = async {
        tokio::time::sleep(Duration::from_millis(2500)).await;
        work.await
    };
    tokio::select! {
        done = work => done,
        () = limiters[0].serve() => unreachable!(),
        () = limiters[1].serve() => unreachable!(),
    }
}

#[tokio::test]
async fn two_gateways_together_let_through_what_one_merchant_may_ask_for() {
    // So long that a busy machine has neither of them count alone: what they let through together is at stake here.
    let limiters = limiters(&support::redis_url(), Duration::from_secs(2));
    for (per_second, burst) in [(50, 20), (1000, 100)] {
        let round = passed(&limiters, MerchantId::at(Utc::now()), Rate::new(per_second, burst), Duration::from_secs(6));
        assert_about(as_peers(&limiters, round).await, burst + 6 * per_second);
    }
}

#[tokio::test]
async fn without_redis_each_gateway_lets_through_its_share() {
    let mut redis = support::server::redis();
    let limiters = limiters(&format!("redis://127.0.0.1:{}/0", redis.port()), REDIS_LIMIT);
    let merchant = MerchantId::at(Utc::now());
    let (rate, second) = (Rate::new(200, 20), Duration::from_secs(1));
    let alone = async {
        passed(&limiters, merchant, rate, second).await;
        redis.stop();
        passed(&limiters, merchant, rate, second).await;
        passed(&limiters, merchant, rate, 4 * second).await
    };
    assert_about(as_peers(&limiters, alone).await, 4 * 200);
}

#[tokio::test]
async fn a_redis_that_is_slow_does_not_stand_in_the_way() {
    let redis = support::server::redis();
    let url = format!("redis://127.0.0.1:{}/0", redis.port());
    let limiters = limiters(&url, REDIS_LIMIT);
    let (merchant, rate) = (MerchantId::at(Utc::now()), Rate::new(1000, 1000));
    limiters[0].take(merchant, rate).await;
    let client = redis::Client::open(url).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    redis::cmd("CLIENT").arg("PAUSE").arg(2000).arg("ALL").query_async::<()>(&mut connection).await.unwrap();
    let begin = Instant::now();
    let mut slowest = Duration::ZERO;
    while begin.elapsed() < Duration::from_millis(1500) {
        let asked = Instant::now();
        limiters[0].take(merchant, rate).await;
        slowest = slowest.max(asked.elapsed());
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    // 5 ms, and what a busy machine adds.
    assert!(slowest < Duration::from_millis(150), "{slowest:?}");
}

async fn limited(limits: Limits) -> TestGateway {
    let gateway = TestGateway::new().await;
    let cache_ttl = CacheTtl { user_s: 300, payment_method_s: 600, fraud_rules_s: 3600, metrics_s: 60 };
    let settings = Settings { revision: 1, cache_ttl, providers: Vec::new(), limits, maintenance: None };
    let mut connection = support::connection(&gateway.app.database_url).await;
    settings_apply::apply(&mut connection, support::OWNER, &settings).await.unwrap();
    connection.close().await.unwrap();
    while gateway.app.app.settings.current().revision == 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    gateway
}

#[tokio::test]
async fn who_asks_too_often_is_told_so_and_when_to_come_back() {
    let gateway = limited(Limits { requests_per_second: 2, burst: 5, concurrent_requests: 100 }).await;
    let replies = join_all((0..20).map(|_| gateway.get("/v1/payments"))).await;
    let (good, refused): (Vec<_>, Vec<_>) = replies.iter().partition(|reply| reply.status == StatusCode::OK);
    assert!((5..=8).contains(&good.len()), "{}", good.len());
    let policy = "\"requests\";q=5;w=3, \"concurrency\";q=100;qu=\"concurrent-requests\"";
    assert!(replies.iter().all(|reply| reply.header("ratelimit-policy") == Some(policy)), "{:?}", replies[0]);
    for reply in refused {
        assert_eq!(reply.status, StatusCode::TOO_MANY_REQUESTS);
        let problem = reply.json();
        assert_eq!((&problem["code"], &problem["retryable"]), (&json!("rate_limited"), &json!(true)));
        // Two where Redis is late, as on a busy machine, and a share of the rate counts.
        assert!(matches!(reply.header("retry-after"), Some("1" | "2")), "{:?}", reply.headers);
        assert!(reply.header("ratelimit").unwrap().starts_with("\"requests\";r=0;t="));
    }
    // Another merchant has a rate of its own.
    let (_, key) = support::gateway::merchant(gateway.pool()).await;
    let other = reqwest::Client::new().get(format!("{}/v1/payments", gateway.url)).bearer_auth(key);
    assert_eq!(send(other).await.status, StatusCode::OK);
}

#[tokio::test]
async fn only_so_many_requests_of_a_merchant_are_in_work_at_once() {
    let gateway = limited(Limits { requests_per_second: 1000, burst: 1000, concurrent_requests: 3 }).await;
    let body = gateway.payment();
    let waiting = join_all(["a", "b", "c"].map(|key| gateway.pay_with(&body, key, 20)));
    let (paid, refused) = tokio::join!(waiting, async {
        let ids = loop {
            let ids: Vec<runtime::ids::PaymentId> =
                sqlx::query_scalar("select id from transactions").fetch_all(gateway.pool()).await.unwrap();
            if ids.len() == 3 {
                break ids;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        let refused = send(gateway.request(Method::GET, "/v1/payments")).await;
        for id in ids {
            settle(&gateway, id).await;
        }
        refused
    });
    assert_eq!((refused.status.as_u16(), &refused.json()["code"]), (429, &json!("too_many_at_once")));
    assert!(paid.iter().all(|reply| reply.status == StatusCode::CREATED));
    assert_eq!(gateway.get("/v1/payments").await.status, StatusCode::OK, "their places are free again");
}
