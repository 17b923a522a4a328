//! The figures of releases: counted by every process, collected by the metrics workload.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends by panicking")]

mod stage;
mod support;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use chrono::Utc;
use futures::future::join_all;
use futures::stream;
use reqwest::StatusCode;
use runtime::app::App;
use runtime::figures::Collector;
use runtime::ids::PaymentMethodId;
use runtime::webhooks::resolver::LookUp;
use runtime::{admin, processor};
use runtime_contract::{Figures, OnDeadline, PodFigures, ReleaseFigures, RuntimeConfig, Times};
use serde_json::json;
use sqlx::PgPool;
use stage::{Provider, Stage, hasty, provider, until};
use support::gateway::{self, merchant, payer, send, start};
use support::process::{Running, purser, write_config};
use support::server::free_port;
use support::{RELEASE, TestApp, config, migrated_database};
use tokio::net::TcpListener;
use uuid::Uuid;

const NEXT: &str = "0.2.0";
const DECLINED: &str = "pm_card_visa_chargeDeclinedInsufficientFunds";

/// The pods that a name stands for.
#[derive(Clone, Default)]
struct Pods(Arc<Mutex<Vec<SocketAddr>>>);

impl Pods {
    fn add(&self, address: SocketAddr) {
        self.0.lock().unwrap().push(address);
    }

    fn remove(&self, address: SocketAddr) {
        self.0.lock().unwrap().retain(|other| *other != address);
    }

    fn look_up(&self) -> LookUp {
        let pods = self.clone();
        Arc::new(move |name| {
            assert_eq!(name, "pods.test");
            let addresses = pods.0.lock().unwrap().clone();
            Box::pin(async move { Ok(addresses) })
        })
    }
}

/// A metrics workload that collects from these pods.
struct Metrics {
    _test: TestApp,
    admin: SocketAddr,
}

impl Metrics {
    async fn collect(database_url: &str, pods: &Pods) -> Self {
        let mut config = config();
        config.pods = Some("pods.test".into());
        let test = TestApp::on(database_url, None, config);
        tokio::spawn(Collector::new(test.app.clone(), pods.look_up()).unwrap().run());
        let admin = serve_admin(&test.app).await;
        Self { _test: test, admin }
    }

    async fn figures(&self) -> Figures {
        reqwest::get(format!("http://{}/figures/releases?window_s=600", self.admin))
            .await
            .unwrap()
            .json()
            .await
            .unwrap()
    }

    /// Waits until so many pods have answered, and so many have not.
    async fn hears(&self, pods: u32, silent: u32) {
        until("all pods are heard", async || {
            // It begins a moment after it is started.
            let url = format!("http://{}/figures/releases?window_s=600", self.admin);
            let Ok(figures) = reqwest::get(url).await.unwrap().json::<Figures>().await else { return false };
            (figures.pods, figures.silent_pods) == (pods, silent)
        })
        .await;
    }

    /// Waits until so many payments of a release were collected: its figures.
    async fn has(&self, release: &str, payments: u64) -> ReleaseFigures {
        until("the payments are collected", async || {
            self.of(release).await.is_some_and(|of| of.summary.payments >= payments)
        })
        .await;
        self.of(release).await.unwrap()
    }

    async fn of(&self, release: &str) -> Option<ReleaseFigures> {
        self.figures().await.releases.into_iter().find(|of| of.release == release)
    }
}

async fn serve_admin(app: &Arc<App>) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(admin::serve_on(app.clone(), Vec::new(), listener));
    address
}

async fn counted(admin: SocketAddr) -> PodFigures {
    reqwest::get(format!("http://{admin}/figures")).await.unwrap().json().await.unwrap()
}

/// A merchant with a card that is taken and one that is not, in front of a gateway.
struct Shop {
    url: String,
    key: String,
    good: PaymentMethodId,
    bad: PaymentMethodId,
}

impl Shop {
    async fn open(pool: &PgPool, app: &Arc<App>) -> Self {
        let (merchant, key) = merchant(pool).await;
        let (_, good) = payer(pool, merchant).await;
        let (_, bad) = stage::payer(pool, merchant, DECLINED).await;
        Self { url: start(app.clone()).await, key, good, bad }
    }

    /// Pays, asking twice with the same key: the status of the payment.
    async fn pay(&self, card: PaymentMethodId, capture_method: &str) -> String {
        let key = Uuid::now_v7().to_string();
        let ask = || {
            let request = reqwest::Client::new().post(format!("{}/v1/payments", self.url)).bearer_auth(&self.key);
            let body = json!({"amount": "10.50", "currency": "USD", "payment_method_id": card, "capture_method": capture_method});
            send(request.header("Idempotency-Key", &key).header("Prefer", "wait=20").json(&body))
        };
        let (one, other): (gateway::Reply, gateway::Reply) = tokio::join!(ask(), ask());
        assert_eq!(one.bytes, other.bytes);
        one.json()["status"].as_str().unwrap().to_owned()
    }
}

/// What the database says of a release's payments: those that ended well and otherwise.
async fn ended(pool: &PgPool, release: &str) -> (u64, u64) {
    let count =
        "select count(*) filter (where status in ('SUCCESS', 'AUTHORIZED')), count(*) filter (where status = 'FAILED')
        from transactions where release = $1 and t_end is not null";
    let (good, bad): (i64, i64) = sqlx::query_as(count).bind(release).fetch_one(pool).await.unwrap();
    (good.unsigned_abs(), bad.unsigned_abs())
}

/// Payments that a process has counted: those that ended well and otherwise.
fn of(pod: &PodFigures) -> (u64, u64) {
    (pod.counts.succeeded, pod.counts.failed)
}

/// All that the slices of a release hold: payments that ended well and otherwise, times of payments, and fraud checks.
fn sums(figures: &ReleaseFigures) -> (u64, u64, u64, u64) {
    figures.slices.iter().map(|slice| &slice.counts).fold((0, 0, 0, 0), |(good, bad, times, checks), counts| {
        let sum = |times: &Times| times.values().sum::<u64>();
        let (payments, fraud) = (sum(&counts.payment_us), sum(&counts.fraud_us));
        (good + counts.succeeded, bad + counts.failed, times + payments, checks + fraud)
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn the_payments_of_two_releases_are_collected_each_once() {
    let mut stage = Stage::new("pm_card_visa").await;
    let simulator = Provider::start().await;
    stage.providers(&[provider("stripe", simulator.address, 1)]).await;
    let shop = Shop::open(stage.pool(), &stage.test.app).await;
    let pods = Pods::default();
    let first = serve_admin(&stage.test.app).await;
    pods.add(first);

    // The first release is at work for long when the metrics workload comes up: by its gateway and by a processor.
    let working = stage.processor(hasty());
    assert_eq!(shop.pay(shop.good, "AUTOMATIC").await, "SUCCESS");
    let before = ended(stage.pool(), RELEASE).await;
    until("it is counted", async || of(&counted(first).await) == before).await;
    let metrics = Metrics::collect(&stage.test.database_url, &pods).await;
    metrics.hears(1, 0).await;
    // The second one starts meanwhile.
    let next = {
        let mut config = stage.test.app.config.clone();
        config.release = NEXT.into();
        TestApp::on(&stage.test.database_url, Some(&support::redis_url()), config)
    };
    next.credential("stripe", "sk_test_stage");
    let second = serve_admin(&next.app).await;
    pods.add(second);
    let next_working = tokio::spawn(processor::run_with(next.app.clone(), hasty()));

    let mine = async {
        let calls = (0..12).map(|n| match n % 3 {
            0 => shop.pay(shop.bad, "AUTOMATIC"),
            1 => shop.pay(shop.good, "AUTOMATIC"),
            _ => shop.pay(shop.good, "MANUAL"),
        });
        let mut statuses = join_all(calls).await;
        statuses.sort();
        let expected = ["AUTHORIZED", "FAILED", "SUCCESS"].map(|status| [status; 4]).concat();
        assert_eq!(statuses, expected);
    };
    let others = async {
        for _ in 0..9 {
            let id = stage.accept_for(NEXT, "10.50", "USD").await;
            stage.settled(id).await;
        }
    };
    tokio::join!(mine, others);

    // Whoever claims a payment counts it, for its own release, a moment after its end: each of them once.
    let (mine, others) = (ended(stage.pool(), RELEASE).await, ended(stage.pool(), NEXT).await);
    assert_eq!((mine.0 - before.0, mine.1 - before.1, others), (8, 4, (9, 0)));
    until("all are counted", async || {
        let (one, two) = (of(&counted(first).await), of(&counted(second).await));
        (one.0 + two.0, one.1 + two.1) == (mine.0 + others.0, mine.1 + others.1)
    })
    .await;

    // What the first had counted before is where counting begins; all of the second is new.
    let (one, two) = (counted(first).await, counted(second).await);
    assert_eq!((one.release.as_str(), two.release.as_str()), (RELEASE, NEXT));
    let (a, b) = (of(&one), of(&two));
    let a = (a.0 - before.0, a.1 - before.1);
    let (figures, next_figures) = (metrics.has(RELEASE, a.0 + a.1).await, metrics.has(NEXT, b.0 + b.1).await);
    let (sum, next_sum) = (sums(&figures), sums(&next_figures));
    assert_eq!((sum.0, sum.1, sum.2), (a.0, a.1, a.0 + a.1));
    assert_eq!((next_sum.0, next_sum.1, next_sum.2), (b.0, b.1, b.0 + b.1));
    assert!(sum.3 >= sum.2 && next_sum.3 >= next_sum.2, "each payment was checked: {sum:?} {next_sum:?}");
    let summary = figures.summary;
    assert_eq!(summary.success_rate, Some(100.0 * a.0 as f64 / (a.0 + a.1) as f64));
    assert!(
        summary.tps > 0.0 && summary.average_ms <= summary.p99_ms && summary.p95_ms <= summary.p99_ms,
        "{summary:?}"
    );

    // A pod that is gone is not asked any more, and its history stays.
    pods.remove(second);
    metrics.hears(1, 0).await;
    assert_eq!(sums(&metrics.of(NEXT).await.unwrap()), next_sum);
    working.abort();
    next_working.abort();
}

#[tokio::test]
async fn a_check_that_missed_its_deadline_counts_with_all_of_it() {
    let mut stage = Stage::without_fraud("pm_card_visa", OnDeadline::Flag).await;
    let simulator = Provider::start().await;
    stage.providers(&[provider("stripe", simulator.address, 1)]).await;
    let working = stage.processor(hasty());
    let id = stage.accept("10.50", "USD").await;
    assert_eq!(stage.settled(id).await.status, "SUCCESS");
    until("it is counted", async || of(&stage.test.app.figures.figures()) == (1, 0)).await;
    let checks = stage.test.app.figures.figures().counts.fraud_us;
    let deadline_us = u64::from(stage.test.app.config.fraud.deadline_ms) * 1000;
    assert!(checks.len() == 1 && checks.keys().all(|us| *us >= deadline_us), "{checks:?}");
    working.abort();
}

#[tokio::test]
async fn a_payment_that_an_earlier_try_of_the_release_accepted_tells_nothing_of_this_one() {
    let mut stage = Stage::new("pm_card_visa").await;
    let simulator = Provider::start().await;
    stage.providers(&[provider("stripe", simulator.address, 1)]).await;
    let of_the_first_try = stage.accept("10.50", "USD").await;
    let next = {
        let since_ms = Some(Utc::now().timestamp_millis());
        let config = RuntimeConfig { since_ms, ..stage.test.app.config.clone() };
        TestApp::on(&stage.test.database_url, Some(&support::redis_url()), config)
    };
    next.credential("stripe", "sk_test_stage");
    let working = tokio::spawn(processor::run_with(next.app.clone(), hasty()));
    assert_eq!(stage.settled(of_the_first_try).await.status, "SUCCESS");
    for expected in 1..=2 {
        let own = stage.accept("10.50", "USD").await;
        assert_eq!(stage.settled(own).await.status, "SUCCESS");
        until("it is counted", async || of(&next.app.figures.figures()) == (expected, 0)).await;
    }
    working.abort();
}

/// One that answers without end, one that does not answer, one that answers something else, one that is not there.
async fn broken_pods() -> Vec<SocketAddr> {
    let endless = || async { Body::from_stream(stream::repeat_with(|| Ok::<_, std::io::Error>(vec![b' '; 65_536]))) };
    let never = || async { tokio::time::sleep(Duration::from_secs(3600)).await };
    let routers = [
        Router::new().route("/figures", get(endless)),
        Router::new().route("/figures", get(never)),
        Router::new().route("/figures", get(async || r#"{"release": "", "process": "x", "counts": {}}"#)),
        Router::new().route("/figures", get(async || (StatusCode::MOVED_PERMANENTLY, [("location", "/figures")]))),
    ];
    let mut addresses = vec![stage::free_address().await];
    for router in routers {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        addresses.push(listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
    }
    addresses
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_pods_are_silent_and_the_others_are_heard_each_second() {
    let url = migrated_database().await;
    let test = TestApp::on(&url, None, config());
    let pods = Pods::default();
    broken_pods().await.into_iter().for_each(|address| pods.add(address));
    pods.add(serve_admin(&test.app).await);
    let metrics = Metrics::collect(&url, &pods).await;
    metrics.hears(1, 5).await;
    until("some seconds were observed", async || metrics.of(RELEASE).await.unwrap().slices.len() >= 3).await;
    let figures = metrics.figures().await;
    assert_eq!(figures.releases.len(), 1, "{figures:?}");
    let seconds: Vec<i64> = figures.releases[0].slices.iter().map(|slice| slice.second).collect();
    assert!(seconds.is_sorted_by(|one, next| one < next) && seconds.last() == Some(&figures.until), "{seconds:?}");
    assert_eq!(figures.releases[0].summary.success_rate, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_role_itself_answers_for_a_window_and_other_roles_do_not() {
    let url = migrated_database().await;
    let folder = tempfile::tempdir().unwrap();
    let document = folder.path().join("purser.yaml");
    write_config(&document, free_port());
    let begin = |role: &str| {
        let [gateway, fraud, admin] = [free_port(), free_port(), free_port()];
        let mut command = purser(&[role, "--address", "127.0.0.1", "--config", document.to_str().unwrap()]);
        command.args(["--gateway-port", &gateway.to_string(), "--fraud-port", &fraud.to_string()]);
        command.args(["--admin-port", &admin.to_string()]).env("PURSER_DATABASE_URL", &url);
        Running::start(command, admin)
    };
    let (metrics, gateway) = (begin("metrics"), begin("gateway"));
    let status = async |running: &Running, path: &str| {
        let answer = reqwest::get(format!("{}{path}", running.admin)).await.ok()?;
        Some((answer.status().as_u16(), answer.text().await.ok()?))
    };
    until("both answer", async || {
        let collects = status(&metrics, "/figures/releases?window_s=60").await.is_some_and(|(code, _)| code == 200);
        collects && status(&gateway, "/figures").await.is_some_and(|(code, _)| code == 200)
    })
    .await;
    for wrong in ["", "?window_s=0", "?window_s=601", "?window_s=x", "?window_s=5&window_s=6"] {
        let (code, sentence) = status(&metrics, &format!("/figures/releases{wrong}")).await.unwrap();
        assert!(code == 400 && sentence.contains("from 1 to 600"), "{wrong}: {code} {sentence}");
    }
    assert_eq!(status(&gateway, "/figures/releases?window_s=60").await.unwrap().0, 404);
    until("it has heard itself", async || {
        let (_, text) = status(&metrics, "/figures/releases?window_s=60").await.unwrap();
        let figures: Figures = serde_json::from_str(&text).unwrap();
        figures.pods == 1 && figures.releases.iter().any(|of| of.release == RELEASE && !of.slices.is_empty())
    })
    .await;
}
