//! The moves of a payment, one row of the design at a time.

use runtime_contract::ProviderName;

use super::*;
use crate::fraud;
use crate::ids::AttemptId;
use crate::payments::Status;
use crate::processor::case::{Judgement, ProviderAddress};
use crate::processor::fixtures;
use crate::providers::Unsupported;
use crate::providers::routing::Exclusion;

const WINDOW_S: i64 = 23 * 3600;

fn start() -> DateTime<Utc> {
    DateTime::from_timestamp(1_790_000_000, 0).unwrap()
}

fn case(status: Status, fraud_status: Option<fraud::Status>) -> Case {
    let judgement = fraud_status.map(|status| Judgement { status, score: None });
    Case { judgement, ..fixtures::case(status, start()) }
}

fn open(reference: Option<&str>) -> OpenAttempt {
    OpenAttempt {
        id: AttemptId::at(start()),
        t_start: start(),
        reference: reference.map(str::to_owned),
        provider_id: 1,
        provider: ProviderAddress {
            resource: "stripe".into(),
            name: ProviderName::Stripe,
            api_endpoint: "https://stripe.test".into(),
            max_latency_ms: 2000,
        },
    }
}

fn provider() -> ProviderSettings {
    ProviderSettings {
        resource: "stripe".into(),
        name: ProviderName::Stripe,
        api_endpoint: "https://stripe.test".into(),
        priority: 1,
        active: true,
        max_latency_ms: 2000,
        success_rate_threshold: "95.0".into(),
    }
}

/// The decision as a word, after `hours`.
fn decided(case: &Case, route: &Route<'_>, hours: i64) -> String {
    decided_under(case, route, hours, true)
}

fn decided_under(case: &Case, route: &Route<'_>, hours: i64, may_retry: bool) -> String {
    let now = start() + TimeDelta::hours(hours);
    let may_retry = |_: &str| may_retry;
    match decide(case, &Circumstances { route, idempotency_window_s: WINDOW_S, may_retry: &may_retry, now }) {
        Move::Finish => "finish".into(),
        Move::Resume(_) => "resume".into(),
        Move::Park { .. } => "park".into(),
        Move::CheckFraud => "check fraud".into(),
        Move::Attempt(provider) => format!("attempt at {}", provider.resource),
        Move::Rehearse => "rehearse".into(),
        Move::Wait { .. } => "wait".into(),
        Move::Fail { code, .. } => format!("fail: {code}"),
    }
}

fn nobody() -> Route<'static> {
    Route { candidates: Vec::new(), standings: Vec::new(), excluded: vec![("stripe", Exclusion::Inactive)] }
}

#[test]
fn a_payment_is_checked_then_attempted() {
    let stripe = provider();
    let route = Route { candidates: vec![&stripe], standings: Vec::new(), excluded: Vec::new() };
    assert_eq!(decided(&case(Status::Pending, None), &route, 0), "check fraud");
    for verdict in [fraud::Status::Passed, fraud::Status::Flagged] {
        assert_eq!(decided(&case(Status::Pending, Some(verdict)), &route, 0), "attempt at stripe");
    }
}

#[test]
fn a_blocked_payment_fails_even_when_a_provider_is_there() {
    let stripe = provider();
    let route = Route { candidates: vec![&stripe], standings: Vec::new(), excluded: Vec::new() };
    assert_eq!(decided(&case(Status::Pending, Some(fraud::Status::Blocked)), &route, 0), "fail: fraud_blocked");
}

#[test]
fn a_test_is_sent_to_nobody_whoever_could_take_it() {
    let stripe = provider();
    let could = Route { candidates: vec![&stripe], standings: Vec::new(), excluded: Vec::new() };
    for route in [&could, &nobody()] {
        for (verdict, expected) in [
            (None, "check fraud"),
            (Some(fraud::Status::Passed), "rehearse"),
            (Some(fraud::Status::Flagged), "rehearse"),
            (Some(fraud::Status::Blocked), "fail: fraud_blocked"),
        ] {
            let test = Case { is_test: true, ..case(Status::Pending, verdict) };
            assert_eq!(decided(&test, route, 0), expected);
        }
    }
}

#[test]
fn whatever_needs_no_processor_is_finished() {
    for status in Status::ALL.into_iter().filter(|status| status.is_settled()) {
        let mut settled = case(status, None);
        settled.open = Some(open(None));
        assert_eq!(decided(&settled, &nobody(), 100), "finish", "{status}");
    }
}

#[test]
fn an_open_attempt_is_resumed_whatever_else_could_be_done() {
    let stripe = provider();
    let route = Route { candidates: vec![&stripe], standings: Vec::new(), excluded: Vec::new() };
    for verdict in [None, Some(fraud::Status::Passed), Some(fraud::Status::Blocked)] {
        let mut sent = case(Status::Processing, verdict);
        sent.open = Some(open(None));
        assert_eq!(decided(&sent, &route, 1), "resume");
    }
}

#[test]
fn an_open_attempt_is_never_sent_again_after_the_provider_may_have_forgotten_its_key() {
    let mut sent = case(Status::Processing, Some(fraud::Status::Passed));
    sent.open = Some(open(None));
    assert_eq!(decided(&sent, &nobody(), 22), "resume");
    assert_eq!(decided(&sent, &nobody(), 23), "park");
    sent.open = Some(open(Some("pi_1")));
    assert_eq!(decided(&sent, &nobody(), 1000), "resume", "reading by reference never charges");
}

#[test]
fn without_a_provider_a_payment_waits_for_a_day_and_then_fails() {
    let waiting = case(Status::Pending, Some(fraud::Status::Passed));
    assert_eq!(decided(&waiting, &nobody(), 23), "wait");
    assert_eq!(decided(&waiting, &nobody(), 24), "fail: no_provider_available");
}

#[test]
fn a_first_attempt_needs_no_budget_and_a_further_one_waits_for_it() {
    let stripe = provider();
    let route = Route { candidates: vec![&stripe], standings: Vec::new(), excluded: Vec::new() };
    let mut fresh = case(Status::Pending, Some(fraud::Status::Passed));
    assert_eq!(decided_under(&fresh, &route, 0, false), "attempt at stripe");
    fresh.attempts = 1;
    assert_eq!(decided_under(&fresh, &route, 0, false), "wait");
    assert_eq!(decided_under(&fresh, &route, 0, true), "attempt at stripe");
    assert_eq!(decided_under(&fresh, &route, 24, false), "fail: no_provider_available");
}

#[test]
fn a_payment_whose_attempts_all_failed_to_leave_is_given_up_after_a_hundred() {
    let stripe = provider();
    let route = Route { candidates: vec![&stripe], standings: Vec::new(), excluded: Vec::new() };
    let mut tried = case(Status::Pending, Some(fraud::Status::Passed));
    tried.attempts = ATTEMPTS_MAX - 1;
    assert_eq!(decided(&tried, &route, 0), "attempt at stripe");
    tried.attempts = ATTEMPTS_MAX;
    assert_eq!(decided(&tried, &route, 0), "fail: no_provider_available");
}

#[test]
fn an_amount_that_nobody_takes_fails_at_once() {
    let unsupported = Exclusion::Unsupported(Unsupported::Currency("IQD".into()));
    let route = Route { candidates: Vec::new(), standings: Vec::new(), excluded: vec![("stripe", unsupported)] };
    assert_eq!(decided(&case(Status::Pending, Some(fraud::Status::Passed)), &route, 0), "fail: amount_not_supported");
}

fn declined(about: About) -> Outcome {
    Outcome::Declined { code: "c".into(), message: "m".into(), about }
}

#[test]
fn a_first_answer_is_taken_at_its_word() {
    let failed = Conclusion::Failed { code: "c".into(), message: "m".into() };
    assert_eq!(conclude(declined(About::Charge), false), failed);
    assert_eq!(conclude(declined(About::Request), false), failed);
    let nothing = Conclusion::NothingSent { reason: "refused".into() };
    assert_eq!(conclude(Outcome::Retryable { reason: "refused".into() }, false), nothing);
}

#[test]
fn after_an_earlier_sending_only_an_answer_about_the_charge_ends_it() {
    assert!(matches!(conclude(declined(About::Charge), true), Conclusion::Failed { .. }));
    let approved = Outcome::Approved { reference: "pi".into(), authorized_until: None };
    assert!(matches!(conclude(approved, true), Conclusion::Succeeded { .. }));
    assert!(matches!(conclude(declined(About::Request), true), Conclusion::Open { .. }));
    assert!(matches!(conclude(Outcome::Retryable { reason: "refused".into() }, true), Conclusion::Open { .. }));
}

#[test]
fn unknown_is_open_and_keeps_the_reference() {
    let outcome = Outcome::Unknown { reason: "r".into(), reference: Some("pi".into()) };
    for sent_before in [false, true] {
        let expected = Conclusion::Open { reason: "r".into(), reference: Some("pi".into()) };
        assert_eq!(conclude(outcome.clone(), sent_before), expected);
    }
}
