//! Payments that the gateway which accepted them takes to their end itself: no processor runs here.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends by panicking")]

mod stage;
mod support;

use std::collections::HashSet;
use std::time::Duration;

use chrono::Utc;
use futures::future::join_all;
use reqwest::StatusCode;
use runtime::fraud::{Check, Status, Verdict};
use runtime::idempotency::{IdempotencyKey, KeyedRequest, RequestHash};
use runtime::ids::{AttemptId, PaymentId, PaymentMethodId};
use runtime::money::Money;
use runtime::payments::accept::{ClaimedAtOnce, Offered, accept};
use runtime::payments::{self, CaptureMethod, NewPayment};
use runtime::processor::case::{Case, Judgement, ProviderAddress};
use runtime::processor::load;
use runtime::processor::record::{Begun, NewAttempt, NewCheck};
use runtime::queue::{Claimant, First};
use runtime_contract::ProviderName;
use rust_decimal::Decimal;
use serde_json::json;
use stage::{PATIENCE, Provider, Stage, hasty, provider, until};
use support::RELEASE;
use support::gateway::{Reply, merchant, payer, send, start};
use uuid::Uuid;

/// A merchant at a gateway, with a provider and no processor.
struct Counter {
    stage: Stage,
    provider: Provider,
    url: String,
    key: String,
    card: PaymentMethodId,
}

impl Counter {
    async fn open() -> Self {
        let mut stage = Stage::new("pm_card_visa").await;
        let provider = Provider::start().await;
        stage.providers(&[self::provider("stripe", provider.address, 1)]).await;
        let (merchant, key) = merchant(stage.pool()).await;
        let (_, card) = payer(stage.pool(), merchant).await;
        let url = start(stage.test.app.clone()).await;
        let counter = Self { stage, provider, url, key, card };
        counter.is_open(&counter.url).await;
        counter
    }

    /// A second gateway.
    async fn another(&self) -> String {
        let url = start(self.stage.test.app.clone()).await;
        self.is_open(&url).await;
        url
    }

    async fn is_open(&self, url: &str) {
        until("the gateway takes payments to their end", async || {
            self.pay_at(url, &Uuid::now_v7().to_string(), 1).await.status == StatusCode::CREATED
        })
        .await;
    }

    async fn pay(&self, wait_s: u32) -> Reply {
        self.pay_at(&self.url, &Uuid::now_v7().to_string(), wait_s).await
    }

    async fn pay_at(&self, url: &str, key: &str, wait_s: u32) -> Reply {
        let request = reqwest::Client::new().post(format!("{url}/v1/payments")).bearer_auth(&self.key);
        let request = request.header("Idempotency-Key", key).header("Prefer", format!("wait={wait_s}"));
        send(request.json(&json!({"amount": "10.50", "currency": "USD", "payment_method_id": self.card}))).await
    }

    /// The provider's charges for the payment of an answer.
    async fn charges(&self, reply: &Reply) -> usize {
        let id = reply.json()["id"].as_str().unwrap().to_owned();
        let ledger = self.provider.ledger().await;
        ledger.iter().filter(|charge| charge["metadata"]["purser_payment_id"] == id.as_str()).count()
    }
}

fn new_payment(stage: &Stage, card: PaymentMethodId, key: &str) -> NewPayment {
    NewPayment {
        id: PaymentId::at(Utc::now()),
        request: KeyedRequest {
            merchant_id: stage.merchant,
            key: IdempotencyKey::parse(key.as_bytes()).unwrap(),
            hash: RequestHash::of("POST /v1/payments", &key).unwrap(),
        },
        user_id: stage.user,
        payment_method_id: card,
        amount: Money::parse("10.50", "USD".parse().unwrap()).unwrap(),
        capture_method: CaptureMethod::Manual,
        description: Some("two cups".into()),
        ip_address: Some("203.0.113.7".into()),
        device_fingerprint: Some("device".into()),
        is_test: false,
    }
}

#[tokio::test]
async fn a_payment_comes_to_its_end_where_it_was_accepted_and_others_see_all_of_it() {
    let counter = Counter::open().await;
    let paid = counter.pay(20).await;
    assert_eq!((paid.status, &paid.json()["status"]), (StatusCode::CREATED, &json!("SUCCESS")), "{paid:?}");
    let id: PaymentId = paid.json()["id"].as_str().unwrap().parse().unwrap();
    let stored = counter.stage.settled(id).await;
    assert_eq!(
        (stored.status.as_str(), stored.fraud_status.as_deref(), stored.fee.map(|fee| fee.to_string())),
        ("SUCCESS", Some("PASSED"), Some("0.3000".into()))
    );
    assert_eq!(counter.stage.attempts(id).await, ["APPROVED"]);
    let events = counter.stage.events(id).await;
    assert_eq!(events.len(), 1);
    assert_eq!(events[0]["data"]["payment"], paid.json(), "its maker was answered with what merchants are told");
    assert_eq!(counter.stage.count("select count(*) from ledger_entries where payment_id = $1", id).await, 5);
    assert_eq!(counter.charges(&paid).await, 1);
}

#[tokio::test]
async fn a_hundred_calls_at_two_gateways_are_one_payment_and_one_answer() {
    let counter = Counter::open().await;
    let urls = [counter.url.clone(), counter.another().await];
    let calls = (0..100).map(|n| counter.pay_at(&urls[n % 2], "k", 20));
    let replies = join_all(calls).await;
    let answers: HashSet<_> = replies.iter().map(|reply| (reply.status.as_u16(), reply.bytes.clone())).collect();
    assert_eq!(answers.len(), 1, "{:?}", replies.iter().map(|reply| reply.status).collect::<Vec<_>>());
    assert_eq!((replies[0].status, counter.charges(&replies[0]).await), (StatusCode::CREATED, 1));
    let late = counter.pay_at(&urls[0], "k", 0).await;
    assert_eq!((late.status, late.bytes), (replies[0].status, replies[0].bytes.clone()), "handed out as it is read");
}

#[tokio::test]
async fn what_was_answered_early_is_the_answer_to_all_whoever_ends_the_payment() {
    let counter = Counter::open().await;
    let other = counter.another().await;
    counter.provider.slow(Duration::from_millis(1000)).await;
    let (first, early) = tokio::join!(counter.pay_at(&counter.url, "k", 20), async {
        until("it is accepted", async || {
            let sent = "select count(*) from payment_attempts where state = 'SENT'";
            sqlx::query_scalar::<_, i64>(sent).fetch_one(counter.stage.pool()).await.unwrap() == 1
        })
        .await;
        counter.pay_at(&other, "k", 0).await
    });
    assert_eq!(early.status, StatusCode::ACCEPTED);
    assert_eq!((first.status, &first.bytes), (early.status, &early.bytes));
    let id: PaymentId = first.json()["id"].as_str().unwrap().parse().unwrap();
    assert_eq!(counter.stage.settled(id).await.status, "SUCCESS");
    let late = counter.pay_at(&counter.url, "k", 20).await;
    assert_eq!((late.status, late.bytes), (early.status, early.bytes));
}

#[tokio::test]
async fn a_gateway_that_is_told_to_stop_finishes_what_it_has_in_work() {
    let counter = Counter::open().await;
    counter.provider.slow(Duration::from_millis(1500)).await;
    let (paid, ()) = tokio::join!(counter.pay(20), async {
        let open = "select count(*) from payment_attempts where state = 'SENT'";
        until("the provider is asked", async || {
            sqlx::query_scalar::<_, i64>(open).fetch_one(counter.stage.pool()).await.unwrap() == 1
        })
        .await;
        counter.stage.test.app.shutdown.cancel();
    });
    assert_eq!(paid.status, StatusCode::ACCEPTED, "{paid:?}");
    let id: PaymentId = paid.json()["id"].as_str().unwrap().parse().unwrap();
    assert_eq!(counter.stage.settled(id).await.status, "SUCCESS");
    assert_eq!(counter.charges(&paid).await, 1);
}

#[tokio::test]
async fn what_its_gateway_cannot_end_a_processor_takes_on() {
    let counter = Counter::open().await;
    counter.provider.fault("error_after_charging", 1).await;
    let (paid, ()) = tokio::join!(counter.pay(20), async {
        let unknown = "select count(*) from payment_attempts where state = 'UNKNOWN'";
        until("the outcome is unknown", async || {
            sqlx::query_scalar::<_, i64>(unknown).fetch_one(counter.stage.pool()).await.unwrap() == 1
        })
        .await;
        drop(counter.stage.processor(hasty()));
    });
    assert_eq!((paid.status, &paid.json()["status"]), (StatusCode::CREATED, &json!("SUCCESS")), "{paid:?}");
    assert_eq!(counter.charges(&paid).await, 1);
}

/// It would choose among those that it has, and not by priority.
#[tokio::test]
async fn a_gateway_that_has_not_every_credential_leaves_payments_to_the_processors() {
    let counter = Counter::open().await;
    counter.stage.test.forget_credential("stripe");
    // What was read of it is kept for a second.
    tokio::time::sleep(Duration::from_millis(1200)).await;
    let paid = counter.pay(1).await;
    assert_eq!((paid.status, counter.charges(&paid).await), (StatusCode::ACCEPTED, 0), "{paid:?}");
    let id: PaymentId = paid.json()["id"].as_str().unwrap().parse().unwrap();
    let claims = "select attempt::bigint from work_items where payment_id = $1";
    assert_eq!(counter.stage.count(claims, id).await, 0);
}

/// What is begun for a payment: a check that it passed, and an attempt at a provider.
fn begun(new: &NewPayment, resource: &str) -> Begun {
    let now = Utc::now();
    let verdict = Verdict { status: Status::Passed, score: 3, rules: Vec::new(), degraded: false };
    let check = Check { status: verdict.status, verdict: Some(verdict), duration: Duration::from_millis(2) };
    let provider = ProviderAddress {
        resource: resource.into(),
        name: ProviderName::Stripe,
        api_endpoint: "http://127.0.0.1:1".into(),
        max_latency_ms: 100,
    };
    let case = Case {
        payment: new.payment(RELEASE),
        is_test: false,
        fee_percentage: Decimal::TWO,
        token: String::new().into(),
        judgement: None,
        attempts: 0,
        open: None,
        purchase: None,
    };
    Begun {
        check: NewCheck::of(&case, &check, now),
        judgement: Judgement::from(&check),
        attempt: Some(NewAttempt {
            id: AttemptId::at(now),
            number: 1,
            provider,
            route: "the only one".into(),
            t_start: now,
        }),
    }
}

#[tokio::test]
async fn what_there_was_no_place_for_is_in_the_queue_and_nothing_else() {
    let mut stage = Stage::new("pm_card_visa").await;
    stage.providers(&[provider("stripe", stage::free_address().await, 1)]).await;
    let (_, card) = stage::payer(stage.pool(), stage.merchant, "pm_card_visa").await;
    let batch = [new_payment(&stage, card, "first"), new_payment(&stage, card, "second")];
    let claim = ClaimedAtOnce { worker: "gateway".into(), lease: PATIENCE, token: 7 };
    let begun = begun(&batch[0], "stripe");
    let offered = [Offered { new: &batch[0], begun: Some(&begun) }, Offered { new: &batch[1], begun: None }];
    let accepted = accept(stage.pool(), &offered, RELEASE, &claim).await.unwrap();
    let claims = |new: &NewPayment| accepted.iter().find(|accepted| accepted.payment_id == new.id).unwrap().claims;
    assert_eq!((claims(&batch[0]), claims(&batch[1])), (1, 0));
    let claimant =
        Claimant { release: RELEASE.into(), worker: "processor".into(), lease: PATIENCE, grace: Duration::ZERO };
    let claimed = load::claim(stage.pool(), &claimant, 9, First::Own).await.unwrap();
    assert_eq!(claimed.iter().map(|claimed| claimed.item.payment_id).collect::<Vec<_>>(), [batch[1].id]);
    let purchase = claimed[0].case.as_ref().unwrap().purchase.clone();
    assert_eq!(purchase, Some(batch[1].request.purchase()), "it counts once, whoever checks it");
    for (new, status) in batch.iter().zip([payments::Status::Processing, payments::Status::Pending]) {
        let stored = payments::store::load(stage.pool(), new.id).await.unwrap().unwrap();
        let in_work = payments::Payment { status, ..new.payment(RELEASE) };
        assert_eq!(in_work, stored, "what is in work is what is stored");
    }
    assert_eq!(
        (stage.attempts(batch[0].id).await.as_slice(), stage.attempts(batch[1].id).await.len()),
        (["SENT".to_owned()].as_slice(), 0)
    );
    let checks = "select count(*) from fraud_checks where transaction_id = $1";
    assert_eq!((stage.count(checks, batch[0].id).await, stage.count(checks, batch[1].id).await), (1, 0));
}
