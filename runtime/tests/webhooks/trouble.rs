//! Endpoints that misbehave hurt nobody but themselves.

use std::time::{Duration, Instant};

use chrono::Utc;
use runtime::ids::PaymentId;
use runtime::webhooks::EndpointStatus;
use runtime::webhooks::dispatch::Options;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use crate::ground::{Ground, dispatcher, hasty, until};
use crate::receiver::{Receiver, Reply};

/// A server that takes connections and hands each to this.
async fn raw<F: Future<Output = ()> + Send>(
    serve: impl Fn(tokio::net::TcpStream) -> F + Send + Clone + 'static,
) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let serve = serve.clone();
            tokio::spawn(async move { serve(stream).await });
        }
    });
    url
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_is_gone_is_disabled_and_the_others_are_told() {
    let ground = Ground::new().await;
    let (gone, witness) = (Receiver::start(|_| Reply::Status(410)).await, Receiver::good().await);
    let (id, _) = ground.endpoint(&gone.url()).await;
    ground.endpoint(&witness.url()).await;
    ground.dispatcher();
    ground.payments(3).await;
    until("it is disabled", async || ground.stored(id).await.status == EndpointStatus::Disabled).await;
    assert!(ground.stored(id).await.disabled_reason.unwrap().contains("410"));
    ground.all_delivered().await;
    let notices = || witness.received().into_iter().filter(|event| event.json()["type"] == "webhook_endpoint.disabled");
    until("the witness is told", async || notices().count() == 1).await;
    let notice = notices().next().unwrap().json();
    assert_eq!(notice["data"]["webhook_endpoint"]["id"], id.to_string());
    assert_eq!(notice["data"]["webhook_endpoint"]["status"], "DISABLED");
    assert!(!notice.to_string().contains("whsec_"));
    let before = gone.count();
    ground.payments(3).await;
    ground.all_delivered().await;
    assert_eq!((gone.count(), witness.count()), (before, 7));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_is_not_followed() {
    let (ground, target) = (Ground::new().await, Receiver::good().await);
    let to = target.url();
    let receiver = Receiver::start(move |_| Reply::Redirect(to.clone())).await;
    let (id, _) = ground.endpoint(&receiver.url()).await;
    ground.dispatcher();
    ground.payments(1).await;
    until("it failed", async || ground.stored(id).await.failures > 0).await;
    assert!(ground.stored(id).await.last_error.unwrap().contains("redirects are not followed"));
    // To itself, it would go round for ever.
    let itself = receiver.url();
    receiver.behave(move |_| Reply::Redirect(itself.clone()));
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert!(receiver.count() < 10);
    assert_eq!((target.count(), ground.open().await), (0, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_without_end_is_an_answer() {
    let ground = Ground::new().await;
    for reply in [Reply::Endless, Reply::Dripping] {
        let answer = reply.clone();
        let receiver = Receiver::start(move |_| answer.clone()).await;
        let (id, _) = ground.endpoint(&receiver.url()).await;
        let running = ground.dispatcher();
        ground.payments(5).await;
        ground.all_delivered().await;
        assert_eq!(receiver.count(), 5, "{reply:?}: each came once");
        assert_eq!(ground.stored(id).await.failures, 0);
        running.abort();
        sqlx::query("delete from webhook_endpoints").execute(ground.pool()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_do_not_speak_http_are_given_up_on_in_time() {
    let silent = raw(|stream| async move {
        std::future::pending::<()>().await;
        drop(stream);
    });
    let loris = raw(async |mut stream: tokio::net::TcpStream| {
        for byte in b"HTTP/1.1 200 OK\r\nx-padding: ".iter().chain(std::iter::repeat(&b'x')) {
            if stream.write_all(&[*byte]).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(40)).await;
        }
    });
    let garbage = raw(async |mut stream: tokio::net::TcpStream| {
        let _ = stream.write_all(b"SSH-2.0-OpenSSH_9.2\r\n").await;
    });
    let flood = raw(async |mut stream: tokio::net::TcpStream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n").await;
        while stream.write_all(&[b'x'; 4096]).await.is_ok() {}
    });
    let closed = raw(async |stream: tokio::net::TcpStream| drop(stream));
    for url in [silent.await, loris.await, garbage.await, flood.await, closed.await, "http://127.0.0.1:1/".to_owned()] {
        let (ground, begin) = (Ground::new().await, Instant::now());
        let (id, _) = ground.endpoint(&url).await;
        ground.dispatcher();
        ground.payments(1).await;
        until("it failed", async || ground.stored(id).await.last_error.is_some()).await;
        let endpoint = ground.stored(id).await;
        assert!(begin.elapsed() < Duration::from_secs(10), "{url}");
        let reason = endpoint.last_error.unwrap();
        assert!(reason.starts_with("no answer") || reason.starts_with("no connection"), "{url}: {reason}");
        assert_eq!(ground.open().await, 1, "it is still to be delivered");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_is_back_is_told_of_all_it_missed_soon_and_in_order() {
    let ground = Ground::new().await;
    let receiver = Receiver::start(|_| Reply::Status(503)).await;
    let (id, _) = ground.endpoint(&receiver.url()).await;
    // The waits are those of production: what was put off would come after hours.
    dispatcher(&ground.test, Options { wait_factor: 1.0, ..hasty() });
    let payments: Vec<PaymentId> = (0..30).map(|_| PaymentId::at(Utc::now())).collect();
    for payment in &payments {
        ground.happen(*payment, 1..=2).await;
    }
    until("it rests", async || ground.stored(id).await.failures >= 8).await;
    let tried = receiver.count();
    assert!(tried < 20, "a dead endpoint is left alone: {tried} tries");
    receiver.behave(|_| Reply::Status(200));
    ground.all_delivered().await;
    let told: Vec<_> = receiver.received().split_off(tried);
    assert!(told.len() >= 60);
    crate::delivery::assert_in_order(&told);
    until("it is well again", async || ground.stored(id).await.failures == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_endpoint_missed_for_three_days_is_given_up_and_counted() {
    let ground = Ground::new().await;
    let (id, _) = ground.endpoint("http://127.0.0.1:1/").await;
    ground.payments(20).await;
    sqlx::query("update webhook_deliveries set created_at = now() - interval '3 days 1 hour' where id <= 15")
        .execute(ground.pool())
        .await
        .unwrap();
    dispatcher(&ground.test, Options { sweep: Duration::from_millis(200), wait_factor: 1.0, ..hasty() });
    until("the old ones are given up", async || ground.open().await == 5).await;
    until("and counted", async || ground.stored(id).await.given_up == 15).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_whose_month_is_away_for_a_while_is_told_when_it_is_back() {
    let (ground, receiver) = (Ground::new().await, Receiver::good().await);
    ground.endpoint(&receiver.url()).await;
    ground.payments(1).await;
    sqlx::raw_sql("create table away as select * from events; delete from events")
        .execute(ground.pool())
        .await
        .unwrap();
    ground.dispatcher();
    let tries = async || -> i32 {
        sqlx::query_scalar("select attempts from webhook_deliveries").fetch_one(ground.pool()).await.unwrap()
    };
    until("it was tried", async || tries().await > 0).await;
    assert_eq!((receiver.count(), ground.open().await), (0, 1));
    sqlx::raw_sql("insert into events select * from away").execute(ground.pool()).await.unwrap();
    ground.all_delivered().await;
    assert_eq!(receiver.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_for_nobody_goes_away() {
    let ground = Ground::new().await;
    let (removed, _) = ground.endpoint("http://127.0.0.1:1/a").await;
    let (disabled, _) = ground.endpoint("http://127.0.0.1:1/b").await;
    ground.payments(30).await;
    assert_eq!(ground.open().await, 60);
    sqlx::query("delete from webhook_endpoints where id = $1").bind(removed).execute(ground.pool()).await.unwrap();
    sqlx::query("update webhook_endpoints set status = 'DISABLED' where id = $1")
        .bind(disabled)
        .execute(ground.pool())
        .await
        .unwrap();
    ground.dispatcher();
    ground.all_delivered().await;
}

/// How long an endpoint that answers well waits for the last of so many events.
async fn time_for(ground: &Ground, living: &Receiver, count: usize) -> Duration {
    let before = living.count();
    ground.payments(count).await;
    let begin = Instant::now();
    until("all are told", async || living.count() - before == count).await;
    begin.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_endpoint_slows_its_neighbour_by_less_than_a_twentieth() {
    const EVENTS: usize = 1_500;
    let pace = |_: &_| Reply::After(Duration::from_millis(20), 200);
    let (alone, beside_dead) = (Ground::new().await, Ground::new().await);
    let (first, second) = (Receiver::start(pace).await, Receiver::start(pace).await);
    // The system takes connections to it; nobody ever answers.
    let dead = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    alone.endpoint(&first.url()).await;
    beside_dead.endpoint(&second.url()).await;
    beside_dead.endpoint(&format!("http://{}/", dead.local_addr().unwrap())).await;
    alone.dispatcher();
    beside_dead.dispatcher();
    let (mut without, mut with) = (Duration::MAX, Duration::MAX);
    // Whatever else the machine does makes rounds longer, never shorter: the best of each is compared.
    for _ in 0..10 {
        without = without.min(time_for(&alone, &first, EVENTS).await);
        with = with.min(time_for(&beside_dead, &second, EVENTS).await);
        if with.as_secs_f64() < without.as_secs_f64() * 1.05 {
            return;
        }
    }
    panic!("{with:?} beside a dead endpoint, {without:?} alone");
}
