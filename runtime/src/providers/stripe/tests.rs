//! Requests and answers of Stripe, in the shape in which they were recorded.

use http::StatusCode;

use http::Method;
use http::header::AUTHORIZATION;
use uuid::Uuid;

use super::*;
use crate::ids::PaymentId;
use crate::payments::CaptureMethod;
use crate::providers::{About, Action};

const SUCCEEDED: &str = r#"{"id":"pi_3PQ8v22eZvKYlo2C1x","object":"payment_intent","amount":1050,"amount_received":1050,
 "capture_method":"automatic","client_secret":"pi_3PQ8v22eZvKYlo2C1x_secret_x","confirmation_method":"automatic","currency":"usd",
 "last_payment_error":null,"latest_charge":"ch_3PQ8v22eZvKYlo2C1","livemode":false,"metadata":{"purser_payment_id":"pay_x"},
 "status":"succeeded"}"#;

const CARD_DECLINED: &str = r#"{"error":{"charge":"ch_3PQ","code":"card_declined","decline_code":"insufficient_funds",
 "doc_url":"https://stripe.com/docs/error-codes/card-declined","message":"Your card has insufficient funds.",
 "payment_intent":{"id":"pi_3PQ8v22eZvKYlo2C1x","object":"payment_intent","amount":1050,"currency":"usd","status":"requires_payment_method"},
 "request_log_url":"https://dashboard.stripe.com/test/logs/req_x","type":"card_error"}}"#;

fn charge(capture: CaptureMethod) -> Call {
    Call {
        id: Uuid::now_v7(),
        payment_id: PaymentId::at(Utc::now()),
        money: Money::parse("10.50", "USD".parse().unwrap()).unwrap(),
        action: Action::Charge { capture, token: "pm_card_visa".into(), multiple_captures: false },
        charge: None,
        capture: None,
        reference: None,
        age_s: 0,
    }
}

fn attempt() -> Call {
    charge(CaptureMethod::Automatic)
}

fn response(status: u16, body: &str) -> HttpResponse {
    HttpResponse { status: StatusCode::from_u16(status).unwrap(), body: body.as_bytes().to_vec() }
}

fn outcome(status: u16, body: &str) -> Outcome {
    Stripe.outcome(&attempt(), &response(status, body))
}

fn is_unknown(status: u16, body: &str) -> bool {
    matches!(outcome(status, body), Outcome::Unknown { .. })
}

fn error(kind: &str, code: &str) -> String {
    format!(r#"{{"error":{{"type":"{kind}","code":"{code}","message":"Told by Stripe."}}}}"#)
}

#[test]
fn the_request_is_a_confirmed_payment_intent_that_cannot_redirect() {
    let attempt = attempt();
    let request = Stripe.request(&attempt, &"sk_test_1".into()).unwrap();
    assert_eq!((request.method, request.path.as_str()), (Method::POST, "/v1/payment_intents"));
    assert_eq!(request.headers[AUTHORIZATION], "Bearer sk_test_1");
    assert_eq!(request.headers[IDEMPOTENCY_KEY], attempt.id.to_string().as_str());
    assert_eq!(request.headers[VERSION], API_VERSION);
    assert_eq!(
        request.body,
        format!(
            "amount=1050&currency=usd&payment_method=pm_card_visa&payment_method_types%5B%5D=card&confirm=true&capture_method=automatic\
             &off_session=true&error_on_requires_action=true&metadata%5Bpurser_payment_id%5D={}&metadata%5Bpurser_call_id%5D={}",
            attempt.payment_id, attempt.id
        )
    );
}

#[test]
fn the_same_attempt_makes_the_same_request_each_time() {
    let attempt = attempt();
    assert_eq!(Stripe.request(&attempt, &"sk".into()), Stripe.request(&attempt, &"sk".into()));
}

#[test]
fn the_credential_does_not_print() {
    let request = Stripe.request(&attempt(), &"sk_test_hidden".into()).unwrap();
    assert!(!format!("{request:?}").contains("sk_test_hidden"));
}

#[test]
fn an_attempt_with_a_reference_is_asked_about_by_it_and_one_without_is_sent_again() {
    let mut attempt = attempt();
    assert_eq!(Stripe.inquiry(&attempt, &"sk".into()), Stripe.request(&attempt, &"sk".into()));
    attempt.reference = Some("pi_1".into());
    let inquiry = Stripe.inquiry(&attempt, &"sk".into()).unwrap();
    assert_eq!(
        (inquiry.method, inquiry.path.as_str(), inquiry.body.as_str()),
        (Method::GET, "/v1/payment_intents/pi_1?expand%5B%5D=latest_charge", "")
    );
    attempt.reference = Some("../charges".into());
    assert_eq!(Stripe.inquiry(&attempt, &"sk".into()), Err(Unsupported::Unsendable));
}

#[test]
fn a_succeeded_intent_is_approved() {
    assert_eq!(
        outcome(200, SUCCEEDED),
        Outcome::Approved { reference: "pi_3PQ8v22eZvKYlo2C1x".into(), authorized_until: None }
    );
}

#[test]
fn a_succeeded_intent_over_another_amount_or_currency_is_not_believed() {
    assert!(is_unknown(200, &SUCCEEDED.replace("\"amount\":1050", "\"amount\":1051")));
    assert!(is_unknown(200, &SUCCEEDED.replace("\"usd\"", "\"eur\"")));
}

#[test]
fn every_truncation_of_a_success_is_unknown() {
    for end in 0..SUCCEEDED.len() {
        assert!(is_unknown(200, &SUCCEEDED[..end]), "cut at {end}");
    }
}

#[test]
fn every_truncation_of_a_decline_is_unknown() {
    for end in 0..CARD_DECLINED.len() {
        assert!(is_unknown(402, &CARD_DECLINED[..end]), "cut at {end}");
    }
}

#[test]
fn a_card_error_is_a_decline_of_the_charge_with_the_decline_code() {
    let message = "Your card has insufficient funds.".into();
    assert_eq!(
        outcome(402, CARD_DECLINED),
        Outcome::Declined { code: "insufficient_funds".into(), message, about: About::Charge }
    );
}

#[test]
fn a_card_error_with_an_intent_that_succeeded_is_unknown() {
    let body = CARD_DECLINED.replace("requires_payment_method", "succeeded");
    let Outcome::Unknown { reference, .. } = outcome(402, &body) else { panic!("must be unknown") };
    assert_eq!(reference.as_deref(), Some("pi_3PQ8v22eZvKYlo2C1x"));
}

#[test]
fn an_intent_that_requires_a_payment_method_is_a_decline() {
    let body = SUCCEEDED.replace("succeeded", "requires_payment_method").replace(
        "\"last_payment_error\":null",
        r#""last_payment_error":{"type":"card_error","code":"expired_card","message":"Your card has expired."}"#,
    );
    let message = "Your card has expired.".into();
    assert_eq!(outcome(200, &body), Outcome::Declined { code: "expired_card".into(), message, about: About::Charge });
}

#[test]
fn intents_on_their_way_are_unknown_with_a_reference() {
    for status in ["processing", "requires_action", "requires_capture", "requires_confirmation", "something_new"] {
        let Outcome::Unknown { reference, .. } = outcome(200, &SUCCEEDED.replace("succeeded", status)) else {
            panic!("{status} must be unknown")
        };
        assert_eq!(reference.as_deref(), Some("pi_3PQ8v22eZvKYlo2C1x"), "{status}");
    }
}

#[test]
fn a_wrong_request_is_declined_but_says_nothing_of_earlier_ones() {
    let expected =
        |code: &str| Outcome::Declined { code: code.into(), message: "Told by Stripe.".into(), about: About::Request };
    assert_eq!(outcome(400, &error("invalid_request_error", "amount_too_small")), expected("amount_too_small"));
    assert_eq!(outcome(404, &error("invalid_request_error", "resource_missing")), expected("resource_missing"));
}

#[test]
fn a_refused_credential_and_a_rate_limit_did_nothing() {
    for status in [401, 403, 429] {
        assert!(matches!(outcome(status, &error("invalid_request_error", "x")), Outcome::Retryable { .. }), "{status}");
    }
}

#[test]
fn trouble_with_the_key_a_server_error_or_a_foreign_answer_is_unknown() {
    assert!(is_unknown(409, &error("idempotency_error", "idempotency_key_in_use")));
    assert!(is_unknown(400, &error("idempotency_error", "")));
    assert!(is_unknown(404, &error("invalid_request_error", "url_unknown")));
    for status in [500, 502, 503, 504] {
        assert!(is_unknown(status, &error("api_error", "")), "{status}");
        assert!(is_unknown(status, CARD_DECLINED), "{status} with a decline inside");
    }
    for status in [200, 201, 204, 301, 302, 400, 401, 402, 408, 424, 429] {
        assert!(is_unknown(status, "<html>proxy</html>"), "{status}");
    }
    assert!(is_unknown(200, r#"{"object":"list","data":[]}"#));
}

#[test]
fn long_codes_and_control_characters_are_cut_to_what_the_table_takes() {
    let body = error("card_error", &"x".repeat(80)).replace("Told", "To\\u0000ld");
    let Outcome::Declined { code, message, .. } = outcome(402, &body) else { panic!("must be declined") };
    assert_eq!((code.len(), message.as_str()), (50, "Told by Stripe."));
}

fn search_result(metadata: &str) -> String {
    let intent = SUCCEEDED.replace(r#"{"purser_payment_id":"pay_x"}"#, metadata);
    format!(r#"{{"object":"search_result","has_more":false,"data":[{intent}]}}"#)
}

/// The release before this one named only the payment in what it sent.
#[test]
fn a_charge_of_an_earlier_release_is_found_by_its_payment() {
    let call = Call { age_s: 7 * 86_400, ..attempt() };
    let of = |metadata: String| Stripe.outcome(&call, &response(200, &search_result(&metadata)));
    let approved = Outcome::Approved { reference: "pi_3PQ8v22eZvKYlo2C1x".into(), authorized_until: None };
    let payment = call.payment_id;
    assert_eq!(of(format!(r#"{{"purser_payment_id":"{payment}"}}"#)), approved);
    assert_eq!(of(format!(r#"{{"purser_payment_id":"{payment}","purser_call_id":"{}"}}"#, call.id)), approved);
    for other in [
        format!(r#"{{"purser_payment_id":"{payment}","purser_call_id":"{}"}}"#, Uuid::now_v7()),
        r#"{"purser_payment_id":"pay_x"}"#.into(),
    ] {
        assert!(matches!(of(other), Outcome::Declined { about: About::Charge, .. }));
    }
    let path = Stripe.inquiry(&call, &"sk".into()).unwrap().path;
    assert!(path.contains(&payment.to_string()) && path.contains("/search?"), "{path}");
}

#[test]
fn a_key_that_came_with_another_form_before_makes_us_look_what_there_is() {
    let answer = response(400, &error("idempotency_error", ""));
    assert_eq!(Stripe.follow_up(&attempt(), &answer, &"sk".into()), None, "nothing was sent before");
    let again = Call { age_s: 60, ..attempt() };
    let question = Stripe.follow_up(&again, &answer, &"sk".into()).expect("a question");
    assert_eq!((question.method, question.path.starts_with("/v1/payment_intents/search?")), (Method::GET, true));
}

#[test]
fn a_void_of_what_somebody_else_captured_is_no_void() {
    let call = Call { action: Action::Void, charge: Some("pi_3PQ8v22eZvKYlo2C1x".into()), ..attempt() };
    let of = |received: i64| {
        let body = SUCCEEDED
            .replace("\"amount_received\":1050", &format!("\"amount_received\":{received},\"amount_capturable\":0"));
        Stripe.outcome(&call, &response(200, &body))
    };
    assert!(matches!(of(1050), Outcome::Declined { about: About::Charge, .. }), "all of it was taken");
    assert!(matches!(of(0), Outcome::Approved { .. }));
}

/// What was sent in the last moment of a key's life may still be on its way when the key is forgotten.
#[test]
fn what_cannot_be_found_is_refused_only_when_nothing_can_be_on_its_way() {
    let held = SUCCEEDED.replace("\"succeeded\"", "\"requires_capture\"");
    let refunds = r#"{"object":"list","data":[],"has_more":false}"#;
    for (action, answer) in
        [(Action::Capture { is_final: true }, held.as_str()), (Action::Void, held.as_str()), (Action::Refund, refunds)]
    {
        let charge = Some("pi_3PQ8v22eZvKYlo2C1x".to_owned());
        let at = |age_s| {
            let call = Call { action: action.clone(), charge: charge.clone(), age_s, ..attempt() };
            Stripe.outcome(&call, &response(200, answer))
        };
        assert!(matches!(at(KEY_LIVES_S + 60), Outcome::Unknown { .. }), "{action:?}");
        assert!(matches!(at(READ_IS_COMPLETE_S), Outcome::Declined { about: About::Charge, .. }), "{action:?}");
    }
}
