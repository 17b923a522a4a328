//! Many operations on one payment at once: the sums hold by everybody's account, and nothing that could be is refused.
//!
//! `PURSER_SUMS=1000` runs it with a thousand payments of fifty calls each.

use futures::future::join_all;
use futures::stream::{self, StreamExt};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use reqwest::StatusCode;
use serde_json::{Value, json};
use std::time::Duration;

use crate::shop::Shop;
use crate::support::gateway::Reply;

const PAYMENTS: usize = 6;
const CALLS: usize = 50;
/// Payments that are worked on at the same time.
const AT_ONCE: usize = 4;

/// One call and what came of it in the end.
struct Call {
    kind: &'static str,
    cents: i64,
    reply: Reply,
}

impl Call {
    fn done(&self) -> bool {
        self.reply.status.is_success() && self.reply.json()["status"] != "FAILED"
    }

    fn code(&self) -> String {
        self.reply.json()["code"].as_str().unwrap_or_default().to_owned()
    }
}

#[tokio::test]
async fn no_sum_is_exceeded_and_no_legal_call_refused_however_many_come_at_once() {
    let payments = std::env::var("PURSER_SUMS").map_or(PAYMENTS, |count| count.parse().unwrap());
    let seed: u64 = std::env::var("PURSER_SEED").map_or_else(|_| rand::random(), |seed| seed.parse().unwrap());
    println!("{payments} payments, {CALLS} calls each, PURSER_SEED={seed}");
    let shop = Shop::open().await;
    let shop = &shop;
    let one = |number: usize| async move {
        let mut random = StdRng::seed_from_u64(seed.wrapping_add(number as u64));
        flood(shop, &mut random, number % 3 == 2).await;
    };
    stream::iter(0..payments).for_each_concurrent(AT_ONCE, one).await;
    let left: i64 = sqlx::query_scalar("select count(*) from operation_items").fetch_one(shop.pool()).await.unwrap();
    assert_eq!(left, 0);
}

/// Fifty calls at once on one payment of 100.00, then refunds of what was taken.
async fn flood(shop: &Shop, random: &mut StdRng, with_cancels: bool) {
    let payment = &shop.pay("100.00", "MANUAL").await;
    let wishes: Vec<(&'static str, i64)> = (0..CALLS)
        .map(|place| match place {
            0..3 if with_cancels => ("cancel", 0),
            _ if random.random_bool(0.7) => ("capture", random.random_range(1..=900)),
            _ => ("refund", random.random_range(1..=400)),
        })
        .collect();
    let calls = all(shop, payment, wishes).await;
    let canceled = calls.iter().any(|call| call.kind == "cancel" && call.done());
    let captured = total(&calls, "capture");
    let mut refunded = total(&calls, "refund");
    assert!(captured <= 10_000 && refunded <= captured, "{captured} {refunded}");
    for call in calls.iter().filter(|call| call.kind == "capture" && !call.done() && !canceled) {
        // What was held only ever shrank: had there been room when it was refused, there would be less of it now.
        let explained = match call.code().as_str() {
            "amount_exceeds_authorized" => call.cents > 10_000 - captured,
            "payment_not_capturable" => captured == 10_000,
            _ => false,
        };
        assert!(explained, "a capture of {} was refused: {:?}, {captured}", call.cents, call.reply);
    }

    let wishes = (0..CALLS / 5).map(|_| ("refund", random.random_range(1..=2_500))).collect();
    let calls = all(shop, payment, wishes).await;
    refunded += total(&calls, "refund");
    for call in calls.iter().filter(|call| !call.done()) {
        let explained = match call.code().as_str() {
            "amount_exceeds_captured" => call.cents > captured - refunded,
            "payment_not_refundable" => captured == refunded || captured == 0,
            _ => false,
        };
        assert!(explained, "a refund of {} was refused: {:?}, {captured} {refunded}", call.cents, call.reply);
    }
    agree(shop, payment, captured, refunded).await;
}

/// The payment, the ledger and the provider say the same.
async fn agree(shop: &Shop, payment: &str, captured: i64, refunded: i64) {
    let shown = shop.shown(payment).await;
    let major = |cents: i64| json!(rust_decimal::Decimal::new(cents, 2).to_string());
    assert_eq!((&shown["amount_captured"], &shown["amount_refunded"]), (&major(captured), &major(refunded)), "{shown}");
    let taken: i64 = shop.moved(payment, "captures").await.iter().sum();
    let given_back: i64 = shop.moved(payment, "refunds").await.iter().sum();
    assert_eq!((taken, given_back), (captured, refunded), "the provider's own account");
    assert_eq!(shop.clearing(payment).await, rust_decimal::Decimal::new(captured - refunded, 2), "the ledger");
    let reserved: (bool, i64) = sqlx::query_as(
        "select amount_capturing = 0 and amount_refunding = 0, (select count(*) from operations o where o.payment_id = t.id)
         from transactions t where id = $1",
    )
    .bind(payment.parse::<runtime::ids::PaymentId>().unwrap())
    .fetch_one(shop.pool())
    .await
    .unwrap();
    assert!(reserved.0, "nothing stays reserved");
    assert_eq!(shop.events(payment).await.len() as i64, reserved.1 + 1, "one event for each, and one for the payment");
}

async fn all(shop: &Shop, payment: &str, wishes: Vec<(&'static str, i64)>) -> Vec<Call> {
    join_all(wishes.into_iter().map(|(kind, cents)| patiently(shop, payment, kind, cents))).await
}

/// One call, repeated with its key for as long as it is said to be worth that.
async fn patiently(shop: &Shop, payment: &str, kind: &'static str, cents: i64) -> Call {
    let amount = rust_decimal::Decimal::new(cents, 2).to_string();
    let (path, body): (String, Value) = match kind {
        "capture" => (format!("/v1/payments/{payment}/captures"), json!({"amount": amount})),
        "refund" => ("/v1/refunds".into(), json!({"payment_id": payment, "amount": amount})),
        _ => (format!("/v1/payments/{payment}/cancel"), json!({})),
    };
    let key = uuid::Uuid::now_v7().to_string();
    loop {
        let reply = shop.post_with(&path, &body, &key, 30).await;
        if reply.status != StatusCode::ACCEPTED && reply.json()["retryable"] != true {
            return Call { kind, cents, reply };
        }
        assert_ne!(reply.status, StatusCode::ACCEPTED, "no end within 30 s");
        tokio::time::sleep(Duration::from_millis(rand::random_range(20..100))).await;
    }
}

fn total(calls: &[Call], kind: &str) -> i64 {
    calls.iter().filter(|call| call.kind == kind && call.done()).map(|call| call.cents).sum()
}
