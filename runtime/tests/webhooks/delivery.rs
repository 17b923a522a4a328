//! What is delivered, and how.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use runtime::ids::PaymentId;
use runtime::webhooks::bell;
use runtime::webhooks::dispatch::Options;
use runtime::webhooks::secret::WebhookSecret;
use runtime::webhooks::store;

use crate::ground::{Ground, dispatcher, hasty, until};
use crate::receiver::{Received, Receiver, Reply};

/// Fails unless the first sight of each event of each payment is in order.
pub fn assert_in_order(received: &[Received]) {
    let mut last: HashMap<String, i64> = HashMap::new();
    let mut seen = HashSet::new();
    for event in received.iter().filter(|event| seen.insert(event.id())) {
        let (payment, sequence) = event.place();
        let before = last.insert(payment.clone(), sequence).unwrap_or(0);
        assert_eq!(sequence, before + 1, "{payment}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_arrives_byte_for_byte_and_signed() {
    let (ground, receiver) = (Ground::new().await, Receiver::good().await);
    let (id, secret) = ground.endpoint(&receiver.url()).await;
    ground.dispatcher();
    ground.happen(PaymentId::at(Utc::now()), 1..=1).await;
    ground.all_delivered().await;
    let received = receiver.received();
    assert_eq!(received.len(), 1);
    let event = &received[0];
    let (stored, stored_id): (String, runtime::ids::EventId) =
        sqlx::query_as("select payload::text, id from events").fetch_one(ground.pool()).await.unwrap();
    assert_eq!(event.body, stored.as_bytes());
    assert_eq!(event.id(), stored_id.to_string());
    assert!(event.verifies(&secret));
    assert!(!event.verifies(WebhookSecret::generate(&mut rand::rng()).expose()));
    assert_eq!(event.headers["content-type"], "application/json");
    assert!(event.headers["user-agent"].to_str().unwrap().starts_with("Purser/"));
    until("the endpoint's row tells", async || ground.stored(id).await.last_delivered_at.is_some()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_posted_within_moments_of_its_commit() {
    let (ground, receiver) = (Ground::new().await, Receiver::good().await);
    ground.endpoint(&receiver.url()).await;
    // Looking by itself would take far too long: only the bell can be the reason.
    dispatcher(&ground.test, Options { poll: Duration::from_secs(3_600), ..hasty() });
    tokio::time::sleep(Duration::from_millis(300)).await;
    ground.payments(1).await;
    until("it was told", async || receiver.count() == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotated_secret_signs_beside_the_new_one_until_its_end() {
    let (ground, receiver) = (Ground::new().await, Receiver::good().await);
    let (id, old) = ground.endpoint(&receiver.url()).await;
    ground.dispatcher();
    ground.payments(1).await;
    ground.all_delivered().await;
    let new = WebhookSecret::generate(&mut rand::rng());
    let overlap = TimeDelta::seconds(3);
    store::rotate(ground.pool(), id, ground.merchant, &new, overlap, Utc::now()).await.unwrap().unwrap();
    bell::announce_change(ground.pool(), id).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    ground.payments(1).await;
    ground.all_delivered().await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    ground.payments(1).await;
    ground.all_delivered().await;
    let by: Vec<(bool, bool)> =
        receiver.received().iter().map(|event| (event.verifies(&old), event.verifies(new.expose()))).collect();
    assert_eq!(by, [(true, false), (true, true), (false, true)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_a_payment_arrive_in_order_though_deliveries_fail() {
    let ground = Ground::new().await;
    // Every third POST fails, whatever it carries.
    let mut count = 0;
    let receiver = Receiver::start(move |_| {
        count += 1;
        Reply::After(Duration::from_millis(count % 7), if count % 3 == 0 { 500 } else { 200 })
    })
    .await;
    ground.endpoint(&receiver.url()).await;
    // Some fail six times in a row: that is half a day, for a merchant.
    dispatcher(&ground.test, Options { wait_factor: 0.00001, ..hasty() });
    let payments: Vec<PaymentId> = (0..40).map(|_| PaymentId::at(Utc::now())).collect();
    for sequences in [1..=2, 3..=3, 4..=5] {
        for payment in &payments {
            ground.happen(*payment, sequences.clone()).await;
        }
    }
    ground.all_delivered().await;
    let received = receiver.received();
    let distinct: HashSet<String> = received.iter().map(Received::id).collect();
    assert_eq!(distinct.len(), 200, "every event arrived");
    assert!(received.len() > 200, "some failed first");
    assert_in_order(&received);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_event_waits_for_the_earlier_one_alone() {
    let ground = Ground::new().await;
    let stuck = PaymentId::at(Utc::now());
    let name = stuck.to_string();
    let receiver =
        Receiver::start(move |event| Reply::Status(if event.place() == (name.clone(), 1) { 503 } else { 200 })).await;
    ground.endpoint(&receiver.url()).await;
    ground.dispatcher();
    ground.happen(stuck, 1..=2).await;
    ground.payments(5).await;
    until("the other payments' events are told", async || ground.open().await == 2).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(receiver.received().iter().all(|event| event.place() != (stuck.to_string(), 2)));
    let waiting = "select count(*) from webhook_deliveries where attempts > 0 and last_error like '%503%'";
    assert_eq!(sqlx::query_scalar::<_, i64>(waiting).fetch_one(ground.pool()).await.unwrap(), 1);
    // Once the earlier one's time is over, the later one is told.
    sqlx::query("update webhook_deliveries set created_at = now() - interval '3 days' where attempts > 0")
        .execute(ground.pool())
        .await
        .unwrap();
    ground.all_delivered().await;
    assert!(receiver.received().iter().any(|event| event.place() == (stuck.to_string(), 2)));
    until("it is counted", async || {
        let given_up = "select sum(given_up)::bigint from webhook_endpoints";
        sqlx::query_scalar::<_, i64>(given_up).fetch_one(ground.pool()).await.unwrap() == 1
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dispatcher_that_is_killed_loses_nothing() {
    let ground = Ground::new().await;
    let receiver = Receiver::start(|_| Reply::After(Duration::from_millis(3), 200)).await;
    let (id, _) = ground.endpoint(&receiver.url()).await;
    let doomed = ground.dispatcher();
    let payments: Vec<PaymentId> = (0..150).map(|_| PaymentId::at(Utc::now())).collect();
    for payment in &payments {
        ground.happen(*payment, 1..=2).await;
    }
    until("it is in the middle of it", async || receiver.count() > 40).await;
    doomed.abort();
    assert!(doomed.await.unwrap_err().is_cancelled());
    let (dead, _) = ground.owner(id).await.unwrap();
    let heir = ground.neighbour();
    dispatcher(&heir, hasty());
    ground.all_delivered().await;
    assert_ne!(ground.owner(id).await.unwrap().0, dead);
    let received = receiver.received();
    let distinct: HashSet<String> = received.iter().map(Received::id).collect();
    assert_eq!(distinct.len(), 300, "every event arrived");
    assert_in_order(&received);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_dispatchers_never_deliver_to_one_endpoint_at_a_time() {
    let (ground, receiver) = (Ground::new().await, Receiver::good().await);
    let (id, _) = ground.endpoint(&receiver.url()).await;
    let neighbour = ground.neighbour();
    let first = ground.dispatcher();
    dispatcher(&neighbour, hasty());
    ground.payments(200).await;
    ground.all_delivered().await;
    assert_eq!(receiver.count(), 200, "each event arrived once");
    let (owner, _) = ground.owner(id).await.unwrap();
    // It is renewed, so it stays where it is.
    tokio::time::sleep(hasty().lease * 2).await;
    assert_eq!(ground.owner(id).await.unwrap().0, owner);
    // Whoever ends in order hands over at once, and in order.
    ground.test.app.shutdown.cancel();
    first.await.unwrap();
    ground.payments(50).await;
    ground.all_delivered().await;
    assert_eq!(receiver.count(), 250);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_process_that_committed_tells_the_one_that_delivers() {
    let (ground, receiver) = (Ground::new().await, Receiver::good().await);
    let (id, _) = ground.endpoint(&receiver.url()).await;
    let owner = ground.neighbour();
    dispatcher(&owner, Options { poll: Duration::from_secs(3_600), ..hasty() });
    tokio::time::sleep(Duration::from_millis(300)).await;
    until("it heard of the merchant and owns the endpoint", async || {
        bell::announce(ground.pool(), ground.merchant).await;
        ground.owner(id).await.is_some()
    })
    .await;
    dispatcher(&ground.test, Options { poll: Duration::from_secs(3_600), ..hasty() });
    ground.payments(1).await;
    until("it was told", async || receiver.count() == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn endpoints_that_found_no_place_go_on_when_there_is_one() {
    let (ground, receiver) = (Ground::new().await, Receiver::good().await);
    for _ in 0..4 {
        ground.endpoint(&receiver.url()).await;
    }
    dispatcher(&ground.test, Options { posts_max: 1, ..hasty() });
    ground.payments(20).await;
    ground.all_delivered().await;
    assert_eq!(receiver.count(), 80);
}
