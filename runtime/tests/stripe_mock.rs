//! Every request of the Stripe adapter against stripe-mock, which checks it against Stripe's own OpenAPI document, and which
//! nobody here wrote.
//!
//! `PURSER_STRIPE_MOCK` names the program; `make test` builds it and sets this. Without it there is nothing to ask.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends by panicking")]

use std::ffi::OsStr;
use std::io::Write as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use chrono::Utc;
use runtime::ids::PaymentId;
use runtime::money::Money;
use runtime::payments::CaptureMethod;
use runtime::providers::stripe::Stripe;
use runtime::providers::{Action, Adapter, Call, HttpRequest, HttpResponse, Outcome};
use serde_json::Value;
use uuid::Uuid;

struct Mock {
    process: Child,
    url: String,
}

impl Mock {
    async fn start() -> Option<Self> {
        let Some(program) = std::env::var_os("PURSER_STRIPE_MOCK") else {
            // Written, not printed: what a test prints is shown only when it fails.
            let mut shown = std::io::stderr();
            writeln!(shown, "left out: PURSER_STRIPE_MOCK does not say where stripe-mock is").unwrap();
            return None;
        };
        let _ = rustls::crypto::ring::default_provider().install_default();
        let begin = Instant::now();
        loop {
            let mut mock = Self::spawn(&program);
            // It ends when somebody else took the port meanwhile.
            while mock.process.try_wait().unwrap().is_none() {
                if reqwest::get(&mock.url).await.is_ok() {
                    return Some(mock);
                }
                assert!(begin.elapsed() < Duration::from_secs(60), "stripe-mock does not answer");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            assert!(begin.elapsed() < Duration::from_secs(60), "{} ends at once", program.display());
        }
    }

    fn spawn(program: &OsStr) -> Self {
        let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let process = Command::new(program)
            .args(["-http-addr", &address.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{} does not start: {error}", program.display()));
        Self { process, url: format!("http://{address}") }
    }

    async fn send(&self, request: HttpRequest) -> HttpResponse {
        let HttpRequest { method, path, headers, body } = request;
        let client = reqwest::Client::new();
        let response =
            client.request(method, format!("{}{path}", self.url)).headers(headers).body(body).send().await.unwrap();
        HttpResponse { status: response.status(), body: response.bytes().await.unwrap().to_vec() }
    }

    /// Sends it, and wants it to be a request that Stripe understands.
    async fn accepts(&self, request: HttpRequest) -> HttpResponse {
        let told = format!("{} {} {}", request.method, request.path, request.body);
        let response = self.send(request).await;
        assert_eq!(response.status, 200, "{told}: {}", String::from_utf8_lossy(&response.body));
        response
    }
}

impl Drop for Mock {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn call(action: Action) -> Call {
    Call {
        id: Uuid::now_v7(),
        payment_id: PaymentId::at(Utc::now()),
        money: Money::parse("10.50", "USD".parse().unwrap()).unwrap(),
        action,
        charge: Some("pi_123".into()),
        capture: None,
        reference: None,
        age_s: 0,
    }
}

fn every_call() -> Vec<Call> {
    let charge =
        |capture, multiple_captures| Action::Charge { capture, token: "pm_card_visa".into(), multiple_captures };
    [
        charge(CaptureMethod::Automatic, false),
        charge(CaptureMethod::Manual, false),
        charge(CaptureMethod::Manual, true),
        Action::Capture { is_final: true },
        Action::Capture { is_final: false },
        Action::Refund,
        Action::Void,
    ]
    .map(call)
    .into()
}

#[tokio::test]
async fn stripe_understands_every_request_and_every_question() {
    let Some(mock) = Mock::start().await else { return };
    let bearer = "sk_test_123".into();
    for call in every_call() {
        let answer = mock.accepts(Stripe.request(&call, &bearer).unwrap()).await;
        // The mock answers with fixtures: what they say is of something else, and must not be taken for this.
        let outcome = Stripe.outcome(&call, &answer);
        assert!(!matches!(outcome, Outcome::Retryable { .. }), "{:?}: {outcome:?}", call.action);
        let old = Call { age_s: 30 * 24 * 3600, ..call.clone() };
        mock.accepts(Stripe.inquiry(&old, &bearer).unwrap()).await;
        let name = if matches!(call.action, Action::Refund) { "re_123" } else { "pi_123" };
        let named = Call { reference: Some(name.into()), age_s: 1, ..call };
        mock.accepts(Stripe.inquiry(&named, &bearer).unwrap()).await;
    }
}

#[tokio::test]
async fn a_charge_that_stripe_answers_is_read_as_far_as_the_fixture_goes() {
    let Some(mock) = Mock::start().await else { return };
    let call = &every_call()[0];
    let answer = mock.accepts(Stripe.request(call, &"sk_test_123".into()).unwrap()).await;
    let intent: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(intent["object"], "payment_intent");
    assert_eq!((&intent["amount"], &intent["currency"]), (&1050.into(), &"usd".into()), "{intent}");
    // Whatever the fixture's status is, only a success is taken for one.
    let approved = matches!(Stripe.outcome(call, &answer), Outcome::Approved { .. });
    assert_eq!(approved, intent["status"] == "succeeded", "{intent}");
}

#[tokio::test]
async fn the_mock_does_refuse_what_stripe_does_not_know() {
    let Some(mock) = Mock::start().await else { return };
    let mut request = Stripe.request(&every_call()[0], &"sk_test_123".into()).unwrap();
    request.body.push_str("&colour=red");
    let answer = mock.send(request).await;
    assert_eq!(answer.status, 400, "{}", String::from_utf8_lossy(&answer.body));
}
