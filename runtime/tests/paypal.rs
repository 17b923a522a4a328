//! The PayPal adapter against the simulator: one charge however often it is asked for, and operations to their end.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends by panicking")]

mod stage;
mod support;

use std::time::Duration;

use chrono::Utc;
use runtime::ids::PaymentId;
use runtime::money::Money;
use runtime::payments::CaptureMethod;
use runtime::providers::paypal::Paypal;
use runtime::providers::{About, Action, Call, Client, Endpoint, Outcome};
use secrecy::SecretString;
use stage::Provider;
use uuid::Uuid;

fn charge(token: &str, capture: CaptureMethod) -> Call {
    call("10.50", Action::Charge { capture, token: token.into(), multiple_captures: true })
}

fn call(amount: &str, action: Action) -> Call {
    Call {
        id: Uuid::now_v7(),
        payment_id: PaymentId::at(Utc::now()),
        money: Money::parse(amount, "USD".parse().unwrap()).unwrap(),
        action,
        charge: None,
        capture: None,
        reference: None,
        age_s: 0,
    }
}

struct Account<'a> {
    simulator: &'a Provider,
    client: Client,
    credential: SecretString,
}

impl<'a> Account<'a> {
    fn at(simulator: &'a Provider) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self { simulator, client: Client::new().unwrap(), credential: "client:secret".into() }
    }

    async fn call(&self, call: &Call, inquiry: bool) -> Outcome {
        let base_url = format!("http://{}", self.simulator.address);
        let limit = Duration::from_secs(2);
        let endpoint = Endpoint { resource: "paypal", base_url: &base_url, credential: &self.credential, limit };
        self.client.call(&Paypal, call, inquiry, &endpoint).await
    }

    async fn approved(&self, call: &Call) -> String {
        match self.call(call, false).await {
            Outcome::Approved { reference, .. } => reference,
            other => panic!("not approved: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_charge_is_made_once_and_read_by_its_name() {
    let simulator = Provider::start().await;
    let account = Account::at(&simulator);
    let mut attempt = charge("vault1", CaptureMethod::Automatic);
    let reference = account.approved(&attempt).await;
    attempt.age_s = 1;
    let again = account.call(&attempt, true).await;
    assert_eq!(again, Outcome::Approved { reference: reference.clone(), authorized_until: None });
    attempt.reference = Some(reference);
    assert_eq!(account.call(&attempt, true).await, again);
    let charges = simulator.charges().await;
    assert_eq!((charges.len(), &charges[0]["amount_captured"]), (1, &1050.into()));
}

#[tokio::test]
async fn after_each_fault_the_same_question_finds_the_one_charge() {
    for fault in [
        "error_before_charging",
        "error_after_charging",
        "timeout_after_charging",
        "reset_after_charging",
        "truncate_after_charging",
        "garbage_after_charging",
    ] {
        let simulator = Provider::start().await;
        let account = Account::at(&simulator);
        let mut attempt = charge("vault1", CaptureMethod::Manual);
        simulator.fault(fault, 1).await;
        assert!(matches!(account.call(&attempt, false).await, Outcome::Unknown { .. }), "{fault}");
        attempt.age_s = 1;
        let Outcome::Approved { authorized_until, .. } = account.call(&attempt, true).await else {
            panic!("{fault}: must be found")
        };
        assert!(authorized_until.is_some_and(|until| until > Utc::now()), "{fault}");
        assert_eq!(simulator.charges().await.len(), 1, "{fault}");
    }
}

#[tokio::test]
async fn what_is_held_is_taken_in_parts_given_back_in_parts_and_the_rest_given_free() {
    let simulator = Provider::start().await;
    let account = Account::at(&simulator);
    let held = Some(account.approved(&charge("vault1", CaptureMethod::Manual)).await);
    let capture = Call { charge: held.clone(), ..call("4.00", Action::Capture { is_final: false }) };
    let first = account.approved(&capture).await;
    assert_eq!(account.approved(&capture).await, first, "the same capture is not made twice");
    let too_much = Call { charge: held.clone(), ..call("6.51", Action::Capture { is_final: false }) };
    let Outcome::Declined { code, .. } = account.call(&too_much, false).await else { panic!("must be refused") };
    assert_eq!(code, "max_capture_amount_exceeded");

    let refund = Call { charge: held.clone(), capture: Some(first.clone()), ..call("1.50", Action::Refund) };
    let refunded = account.approved(&refund).await;
    let read = Call { reference: Some(refunded.clone()), age_s: 1, ..refund.clone() };
    assert_eq!(account.call(&read, true).await, Outcome::Approved { reference: refunded, authorized_until: None });
    let beyond = Call { charge: held.clone(), capture: Some(first), ..call("2.51", Action::Refund) };
    assert!(matches!(account.call(&beyond, false).await, Outcome::Declined { about: About::Request, .. }));

    let void = Call { charge: held, ..call("6.50", Action::Void) };
    account.approved(&void).await;
    account.approved(&Call { id: Uuid::now_v7(), ..void }).await;
    let charges = simulator.charges().await;
    assert_eq!(charges[0]["amount_captured"], 400);
    assert_eq!(charges[0]["amount_refunded"], 150);
    assert_eq!(charges[0]["state"], "taken");
}

#[tokio::test]
async fn declines_and_wrong_credentials_are_told_apart() {
    let simulator = Provider::start().await;
    let mut account = Account::at(&simulator);
    let card = charge("card_declined_5120", CaptureMethod::Automatic);
    let Outcome::Declined { code, about, .. } = account.call(&card, false).await else { panic!("must be declined") };
    assert_eq!((code.as_str(), about), ("insufficient_funds", About::Charge));
    let wallet = charge("declined", CaptureMethod::Automatic);
    assert!(matches!(account.call(&wallet, false).await, Outcome::Declined { about: About::Charge, .. }));
    let missing = charge("missing", CaptureMethod::Automatic);
    assert!(matches!(account.call(&missing, false).await, Outcome::Declined { about: About::Request, .. }));
    account.credential = "client-without-secret".into();
    assert!(matches!(account.call(&wallet, false).await, Outcome::Retryable { .. }));
    assert!(simulator.charges().await.is_empty());
}
