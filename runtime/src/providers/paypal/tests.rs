//! Requests and answers of PayPal, in the shape that its documentation shows.

use http::header::AUTHORIZATION;
use http::{HeaderMap, Method, StatusCode};
use secrecy::ExposeSecret;
use uuid::Uuid;

use super::*;
use crate::ids::PaymentId;
use crate::payments::CaptureMethod;
use crate::providers::{About, Action};

const COMPLETED: &str = r#"{"id":"5O190127TN364715T","intent":"CAPTURE","status":"COMPLETED","purchase_units":[{"reference_id":"default",
 "payments":{"captures":[{"id":"3C679366HH908993F","status":"COMPLETED","amount":{"currency_code":"USD","value":"10.50"},
 "final_capture":true,"create_time":"2026-01-01T21:20:49Z"}]}}]}"#;

const HELD: &str = r#"{"id":"5O190127TN364715T","intent":"AUTHORIZE","status":"COMPLETED","purchase_units":[{"reference_id":"default",
 "payments":{"authorizations":[{"id":"0AW2184448108334S","status":"CREATED","amount":{"currency_code":"USD","value":"10.50"},
 "expiration_time":"2026-01-30T21:20:49Z"}]}}]}"#;

const REFUNDED: &str =
    r#"{"id":"1JU08902781691411","status":"COMPLETED","amount":{"currency_code":"USD","value":"10.50"}}"#;

fn call(action: Action) -> Call {
    Call {
        id: Uuid::now_v7(),
        payment_id: PaymentId::at(Utc::now()),
        money: Money::parse("10.50", "USD".parse().unwrap()).unwrap(),
        action,
        charge: None,
        capture: None,
        reference: None,
        age_s: 0,
    }
}

fn charge(capture: CaptureMethod) -> Call {
    call(Action::Charge { capture, token: "8kk8451t".into(), multiple_captures: false })
}

fn automatic() -> Call {
    charge(CaptureMethod::Automatic)
}

fn operation(action: Action) -> Call {
    Call { charge: Some("0AW2184448108334S".into()), capture: Some("3C679366HH908993F".into()), ..call(action) }
}

fn response(status: u16, body: &str) -> HttpResponse {
    HttpResponse { status: StatusCode::from_u16(status).unwrap(), body: body.as_bytes().to_vec() }
}

fn outcome(call: &Call, status: u16, body: &str) -> Outcome {
    Paypal.outcome(call, &response(status, body))
}

fn error(name: &str, issue: &str) -> String {
    format!(
        r#"{{"name":"{name}","message":"m","debug_id":"d","details":[{{"issue":"{issue}","description":"Told."}}]}}"#
    )
}

fn path(request: Result<HttpRequest, Unsupported>) -> (Method, String) {
    let request = request.unwrap();
    (request.method, request.path)
}

#[test]
fn the_credential_is_exchanged_for_a_token_and_neither_prints() {
    let Ok(Login::Exchange(request)) = Paypal.login(&"id:secret".into()) else { panic!("must be exchanged") };
    assert_eq!((request.path.as_str(), request.body.as_str()), ("/v1/oauth2/token", "grant_type=client_credentials"));
    assert_eq!(request.headers[AUTHORIZATION], "Basic aWQ6c2VjcmV0");
    assert!(!format!("{request:?}").contains("aWQ6c2VjcmV0"));
    assert!(Paypal.login(&"no-colon".into()).is_err());
    let token =
        Paypal.token(&response(200, r#"{"access_token":"A21","token_type":"Bearer","expires_in":32400}"#)).unwrap();
    assert_eq!((token.secret.expose_secret(), token.expires_in_s), ("A21", 32400));
    assert!(matches!(Paypal.token(&response(401, "{}")), Err(TokenError::Refused(_))));
    assert!(matches!(Paypal.token(&response(200, "<html>")), Err(TokenError::Unreadable(_))));
}

#[test]
fn a_charge_is_an_order_that_is_paid_at_once_and_the_same_each_time() {
    let call = automatic();
    let request = Paypal.request(&call, &"A21".into()).unwrap();
    assert_eq!((&request.method, request.path.as_str()), (&Method::POST, "/v2/checkout/orders"));
    assert_eq!(request.headers[AUTHORIZATION], "Bearer A21");
    assert_eq!(request.headers[REQUEST_ID], call.id.to_string().as_str());
    let body: serde_json::Value = serde_json::from_str(&request.body).unwrap();
    assert_eq!(body["intent"], "CAPTURE");
    assert_eq!(body["purchase_units"][0]["amount"], serde_json::json!({"currency_code": "USD", "value": "10.50"}));
    assert_eq!(body["purchase_units"][0]["invoice_id"], call.id.to_string());
    assert_eq!(body["payment_source"]["paypal"]["vault_id"], "8kk8451t");
    assert_eq!(Paypal.request(&call, &"A21".into()).unwrap(), request);
}

#[test]
fn a_token_says_whether_it_is_a_wallet_a_card_or_an_agreement() {
    for (token, pointer, expected) in [
        ("8kk8451t", "/payment_source/paypal/vault_id", "8kk8451t"),
        ("card_8kk8451t", "/payment_source/card/vault_id", "8kk8451t"),
        ("B-8NE02341", "/payment_source/token/id", "B-8NE02341"),
    ] {
        let action = Action::Charge { capture: CaptureMethod::Manual, token: token.into(), multiple_captures: false };
        let request = Paypal.request(&call(action), &"A21".into()).unwrap();
        let body: serde_json::Value = serde_json::from_str(&request.body).unwrap();
        assert_eq!(body.pointer(pointer).and_then(|id| id.as_str()), Some(expected));
        assert_eq!(body["intent"], "AUTHORIZE");
    }
}

#[test]
fn operations_go_to_the_authorization_and_refunds_to_the_capture() {
    let bearer = "A21".into();
    let capture = operation(Action::Capture { is_final: true });
    let expected = "/v2/payments/authorizations/0AW2184448108334S";
    assert_eq!(path(Paypal.request(&capture, &bearer)), (Method::POST, format!("{expected}/capture")));
    assert_eq!(path(Paypal.request(&operation(Action::Void), &bearer)), (Method::POST, format!("{expected}/void")));
    let refund = "/v2/payments/captures/3C679366HH908993F/refund".to_owned();
    assert_eq!(path(Paypal.request(&operation(Action::Refund), &bearer)), (Method::POST, refund));
    let nowhere = call(Action::Refund);
    assert_eq!(Paypal.request(&nowhere, &bearer), Err(Unsupported::NoReference("capture")));
    let astray = Call { charge: Some("../orders".into()), ..call(Action::Void) };
    assert_eq!(Paypal.request(&astray, &bearer), Err(Unsupported::Unsendable));
}

#[test]
fn an_attempt_is_asked_about_by_what_is_known_of_it_and_not_at_all_once_its_key_is_forgotten() {
    let bearer = "A21".into();
    let mut call = Call { age_s: 60, ..automatic() };
    assert_eq!(Paypal.inquiry(&call, &bearer), Paypal.request(&call, &bearer));
    call.age_s = Paypal.idempotency_window_s();
    assert_eq!(Paypal.inquiry(&call, &bearer), Err(Unsupported::KeyForgotten));
    call.reference = Some("order:5O1".into());
    assert_eq!(path(Paypal.inquiry(&call, &bearer)), (Method::GET, "/v2/checkout/orders/5O1".into()));
    call.reference = Some("3C6".into());
    assert_eq!(path(Paypal.inquiry(&call, &bearer)), (Method::GET, "/v2/payments/captures/3C6".into()));
    let held = Call { reference: Some("0AW".into()), ..charge(CaptureMethod::Manual) };
    assert_eq!(path(Paypal.inquiry(&held, &bearer)), (Method::GET, "/v2/payments/authorizations/0AW".into()));
}

#[test]
fn what_was_taken_or_held_is_approved_under_its_own_name() {
    let approved = Outcome::Approved { reference: "3C679366HH908993F".into(), authorized_until: None };
    assert_eq!(outcome(&automatic(), 201, COMPLETED), approved);
    let until = "2026-01-30T21:20:49Z".parse().ok();
    let held = Outcome::Approved { reference: "0AW2184448108334S".into(), authorized_until: until };
    assert_eq!(outcome(&charge(CaptureMethod::Manual), 201, HELD), held);
}

#[test]
fn what_is_over_another_amount_or_not_at_its_end_is_unknown_and_keeps_its_name() {
    for (from, to, name) in [
        ("10.50", "10.51", "3C679366HH908993F"),
        ("\"USD\"", "\"EUR\"", "3C679366HH908993F"),
        (r#""status":"COMPLETED","amount""#, r#""status":"PENDING","amount""#, "3C679366HH908993F"),
        (
            r#""intent":"CAPTURE","status":"COMPLETED""#,
            r#""intent":"CAPTURE","status":"CREATED""#,
            "order:5O190127TN364715T",
        ),
    ] {
        let Outcome::Unknown { reference, .. } = outcome(&automatic(), 201, &COMPLETED.replace(from, to)) else {
            panic!("{to} must be unknown")
        };
        assert_eq!(reference.as_deref(), Some(name), "{to}");
    }
}

#[test]
fn an_order_that_was_approved_is_brought_to_its_end_with_a_key_of_its_own() {
    let call = automatic();
    let body = r#"{"id":"5O1","intent":"CAPTURE","status":"APPROVED","purchase_units":[{}]}"#;
    let next = Paypal.follow_up(&call, &response(201, body), &"A21".into()).unwrap();
    assert_eq!(next.path, "/v2/checkout/orders/5O1/capture");
    assert_eq!(next.headers[REQUEST_ID], format!("{}-capture", call.id).as_str());
    assert!(Paypal.follow_up(&call, &response(201, COMPLETED), &"A21".into()).is_none());
}

#[test]
fn a_declined_card_has_the_word_for_its_processors_code() {
    let body = COMPLETED.replace(
        r#""status":"COMPLETED","amount""#,
        r#""status":"DECLINED","processor_response":{"response_code":"5120"},"amount""#,
    );
    let Outcome::Declined { code, about, .. } = outcome(&automatic(), 201, &body) else { panic!("must be declined") };
    assert_eq!((code.as_str(), about), ("insufficient_funds", About::Charge));
}

#[test]
fn errors_are_told_apart_by_their_issue() {
    let declined = |issue: &str| outcome(&automatic(), 422, &error("UNPROCESSABLE_ENTITY", issue));
    let is = |outcome: Outcome, word: &str, of: About| matches!(outcome, Outcome::Declined { code, about, .. } if code == word && about == of);
    assert!(is(declined("INSTRUMENT_DECLINED"), "generic_decline", About::Charge));
    assert!(is(declined("CARD_EXPIRED"), "expired_card", About::Charge));
    assert!(is(declined("CURRENCY_NOT_SUPPORTED"), "currency_not_supported", About::Request));
    for done_before in ["DUPLICATE_INVOICE_ID", "ORDER_ALREADY_CAPTURED", "ORDER_ALREADY_AUTHORIZED"] {
        assert!(matches!(declined(done_before), Outcome::Unknown { .. }), "{done_before}");
    }
    for status in [401, 403, 429] {
        assert!(matches!(outcome(&automatic(), status, &error("X", "Y")), Outcome::Retryable { .. }), "{status}");
    }
    let ended = r#"{"error":"invalid_token","error_description":"The token has expired"}"#;
    assert!(matches!(outcome(&automatic(), 401, ended), Outcome::Retryable { .. }));
    for (status, body) in [(500, COMPLETED), (503, "{}"), (409, &error("RESOURCE_CONFLICT", "X")), (200, "<html>")] {
        assert!(matches!(outcome(&automatic(), status, body), Outcome::Unknown { .. }), "{status} {body}");
    }
}

#[test]
fn operations_end_as_their_answers_say() {
    let refund = operation(Action::Refund);
    let approved = |name: &str| Outcome::Approved { reference: name.into(), authorized_until: None };
    assert_eq!(outcome(&refund, 201, REFUNDED), approved("1JU08902781691411"));
    assert!(matches!(outcome(&refund, 201, &REFUNDED.replace("COMPLETED", "PENDING")), Outcome::Unknown { .. }));
    let exceeded = outcome(&refund, 422, &error("UNPROCESSABLE_ENTITY", "REFUND_AMOUNT_EXCEEDED"));
    assert!(matches!(exceeded, Outcome::Declined { about: About::Request, .. }));

    let capture = operation(Action::Capture { is_final: false });
    assert_eq!(outcome(&capture, 201, REFUNDED), approved("1JU08902781691411"));
    let gone = outcome(&capture, 422, &error("UNPROCESSABLE_ENTITY", "AUTHORIZATION_EXPIRED"));
    assert!(matches!(gone, Outcome::Declined { about: About::Charge, .. }));

    let void = operation(Action::Void);
    assert_eq!(outcome(&void, 204, ""), approved("0AW2184448108334S"));
    let already = outcome(&void, 422, &error("UNPROCESSABLE_ENTITY", "PREVIOUSLY_VOIDED"));
    assert_eq!(already, approved("0AW2184448108334S"));
    assert!(matches!(outcome(&refund, 204, ""), Outcome::Unknown { .. }));
}

#[test]
fn every_truncation_of_an_approval_is_unknown() {
    let held = charge(CaptureMethod::Manual);
    for (call, whole) in [(automatic(), COMPLETED), (held, HELD), (operation(Action::Refund), REFUNDED)] {
        for end in 0..whole.len() {
            assert!(matches!(outcome(&call, 201, &whole[..end]), Outcome::Unknown { .. }), "cut at {end}");
        }
    }
}

#[test]
fn a_message_is_put_into_the_question_byte_for_byte() {
    let body = br#"{ "id":"WH-1", "event_type":"PAYMENT.CAPTURE.COMPLETED","resource_type":"capture",
        "resource":{"id":"3C6","custom_id":"pay_0197f3a6e4b27c1e8d2f5a6b7c8d9e0f:0197f3a6-e4b2-7c1e-8d2f-5a6b7c8d9e0f"}}"#;
    let mut headers = HeaderMap::new();
    for name in ["auth-algo", "cert-url", "transmission-id", "transmission-sig", "transmission-time"] {
        let name: HeaderName = format!("paypal-{name}").parse().unwrap();
        headers.insert(name, "x".parse().unwrap());
    }
    let delivery = WebhookDelivery { headers: &headers, body };
    let Ok(Webhook::Unverified(notice)) = Paypal.webhook(&delivery, &"WID".into(), Utc::now()) else {
        panic!("must be asked about")
    };
    assert_eq!((notice.event_id.as_str(), notice.reference.as_deref()), ("WH-1", Some("3C6")));
    assert!(notice.payment_id.is_some() && notice.call_id.is_some());
    let question = Paypal.verification(&delivery, &"WID".into(), &"A21".into()).unwrap();
    assert!(question.body.contains(std::str::from_utf8(body).unwrap()), "{}", question.body);
    let parsed: serde_json::Value = serde_json::from_str(&question.body).unwrap();
    assert_eq!(parsed["webhook_id"], "WID");
    assert_eq!(Paypal.is_verified(&response(200, r#"{"verification_status":"SUCCESS"}"#)), Some(true));
    assert_eq!(Paypal.is_verified(&response(200, r#"{"verification_status":"FAILURE"}"#)), Some(false));
    assert_eq!(Paypal.is_verified(&response(500, r#"{"verification_status":"SUCCESS"}"#)), None);
    headers.remove("paypal-transmission-sig");
    let unsigned = WebhookDelivery { headers: &headers, body };
    assert_eq!(Paypal.webhook(&unsigned, &"WID".into(), Utc::now()).unwrap_err(), WebhookError::NoSignature);
}
