//! Nobody makes the platform call what only the platform can reach.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use runtime::webhooks::dispatch::Options;
use runtime::webhooks::resolver::LookUp;
use tokio::net::TcpListener;

use crate::ground::{Ground, dispatcher, hasty, until};
use crate::receiver::Receiver;

/// A server inside, which counts connections.
async fn inside() -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let (port, count) = (listener.local_addr().unwrap().port(), Arc::new(AtomicUsize::default()));
    let counted = count.clone();
    tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            counted.fetch_add(1, Ordering::SeqCst);
        }
    });
    (port, count)
}

/// Names lead to these addresses, one list after the other; the last one stays.
fn names(answers: Vec<Vec<&'static str>>) -> (LookUp, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::default());
    let counted = asked.clone();
    let look_up: LookUp = Arc::new(move |_| {
        let turn = counted.fetch_add(1, Ordering::SeqCst).min(answers.len() - 1);
        let found = answers[turn].iter().map(|address| SocketAddr::new(address.parse().unwrap(), 0)).collect();
        Box::pin(async move { Ok(found) })
    });
    (look_up, asked)
}

/// What a failed delivery to this URL says.
async fn reason(url: &str, options: Options) -> String {
    let ground = Ground::with(false).await;
    let (id, _) = ground.endpoint(url).await;
    dispatcher(&ground.test, options);
    ground.payments(1).await;
    until("it failed", async || ground.stored(id).await.last_error.is_some()).await;
    ground.stored(id).await.last_error.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_url_that_was_stored_when_it_was_allowed_is_refused_when_it_is_not() {
    let (port, connections) = inside().await;
    for host in ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "localhost"] {
        let reason = reason(&format!("https://{host}:{port}/"), hasty()).await;
        assert!(reason.contains("refused"), "{host}: {reason}");
    }
    let plain = reason(&format!("http://shop.example:{port}/"), hasty()).await;
    assert!(plain.contains("https"), "{plain}");
    assert_eq!(connections.load(Ordering::SeqCst), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_leads_inside_is_refused() {
    let (port, connections) = inside().await;
    for address in ["127.0.0.1", "::1", "::ffff:127.0.0.1", "10.0.0.1", "169.254.169.254", "fd00::1"] {
        let (look_up, _) = names(vec![vec![address]]);
        let reason = reason(&format!("https://shop.example:{port}/"), Options { look_up, ..hasty() }).await;
        assert!(reason.contains("private address"), "{address}: {reason}");
    }
    assert_eq!(connections.load(Ordering::SeqCst), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_led_outside_before_is_refused_when_it_leads_inside() {
    let (port, connections) = inside().await;
    // Outside is an address of a range that nobody has.
    let (look_up, asked) = names(vec![vec!["2000::1"], vec!["127.0.0.1"]]);
    let ground = Ground::with(false).await;
    let (id, _) = ground.endpoint(&format!("https://shop.example:{port}/")).await;
    dispatcher(&ground.test, Options { look_up, wait_factor: 0.01, ..hasty() });
    ground.payments(1).await;
    let told = async || ground.stored(id).await.last_error.is_some_and(|reason| reason.contains("private address"));
    until("the second answer is refused", told).await;
    assert!(asked.load(Ordering::SeqCst) >= 2, "the name is asked for at each connection");
    assert_eq!(connections.load(Ordering::SeqCst), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_name_with_addresses_inside_and_outside_only_those_outside_are_called() {
    let (port, connections) = inside().await;
    let (look_up, _) = names(vec![vec!["127.0.0.1", "2000::1", "::1"]]);
    let reason = reason(&format!("https://shop.example:{port}/"), Options { look_up, ..hasty() }).await;
    assert!(reason.starts_with("no "), "{reason}");
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(connections.load(Ordering::SeqCst), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn for_development_a_name_may_lead_inside() {
    let (ground, receiver) = (Ground::new().await, Receiver::good().await);
    ground.endpoint(&format!("http://localhost:{}/", receiver.address.port())).await;
    ground.dispatcher();
    ground.payments(1).await;
    until("it arrived", async || receiver.count() == 1).await;
}
