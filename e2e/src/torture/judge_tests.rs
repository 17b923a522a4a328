//! Each thing that must not be is found, and nothing else is.

use runtime_contract::ProviderName;
use serde_json::json;

use super::super::{
    evidence::{AttemptRow, ClearingRow, EventRow, KeyRow, Leftover, OperationRow},
    provider::{Book, Charge},
};
use super::*;

const STRIPE: ProviderName = ProviderName::Stripe;
const PAYPAL: ProviderName = ProviderName::Paypal;

/// One payment of 10.00 that Stripe took, and a refund of 4.00; one of 10.00 that PayPal holds, and a capture of 3.00.
fn good() -> Evidence {
    Evidence {
        payments: vec![
            PaymentRow { sequence: 2, refunded: 400, ..payment("pay_1", "PARTIALLY_REFUNDED", STRIPE, 1000) },
            PaymentRow { sequence: 2, ..payment("pay_2", "AUTHORIZED", PAYPAL, 300) },
        ],
        operations: BTreeMap::from([operation("pay_1", "ref_9a", 400), operation("pay_2", "cap_8b", 300)]),
        events: vec![
            event("evt_1", "pay_1", 1),
            event("evt_2", "pay_1", 2),
            event("evt_3", "pay_2", 1),
            event("evt_4", "pay_2", 2),
        ],
        keys: vec![
            key("a-1", "pay_1", None),
            key("a-1-r0", "pay_1", Some("9a")),
            key("a-2", "pay_2", None),
            key("a-2-c1", "pay_2", Some("8b")),
        ],
        attempts: vec![attempt("t-1", "pay_1", STRIPE), attempt("t-2", "pay_2", PAYPAL)],
        clearing: vec![clearing("pay_1", STRIPE, 600), clearing("pay_2", PAYPAL, 300)],
        books: Book {
            charges: vec![
                Charge { refunded: 400, movements: vec![("9-a".into(), 400)], ..charge("ch_1", "pay_1", STRIPE, 1000) },
                Charge { held: 700, movements: vec![("8-b".into(), 300)], ..charge("3C6", "pay_2", PAYPAL, 300) },
            ],
            ..Book::default()
        },
        records: vec![
            record(Asked::Payment, "a-1", "pay_1"),
            record(Asked::Refund, "a-1-r0", "ref_9a"),
            record(Asked::Payment, "a-2", "pay_2"),
            record(Asked::Capture, "a-2-c1", "cap_8b"),
        ],
        received: vec![
            received("evt_1", "pay_1", 1),
            received("evt_3", "pay_2", 1),
            received("evt_1", "pay_1", 1),
            received("evt_2", "pay_1", 2),
            received("evt_4", "pay_2", 2),
        ],
        ..Evidence::default()
    }
}

fn payment(id: &str, status: &str, provider: ProviderName, captured: i64) -> PaymentRow {
    let (id, status, provider) = (id.to_owned(), status.to_owned(), Some(provider));
    let (authorized, captured) = (Some(1000), Some(captured));
    PaymentRow { id, status, provider, amount: 1000, authorized, captured, ..PaymentRow::default() }
}

fn operation(payment: &str, id: &str, amount: i64) -> (String, Vec<OperationRow>) {
    let kind = if id.starts_with("ref_") { "REFUND" } else { "CAPTURE" };
    let (id, kind, status) = (id.to_owned(), kind.to_owned(), "SUCCEEDED".to_owned());
    (payment.to_owned(), vec![OperationRow { id, payment: payment.to_owned(), kind, status, amount }])
}

fn event(id: &str, payment: &str, sequence: i64) -> EventRow {
    EventRow { id: id.into(), payment: payment.into(), sequence }
}

fn key(key: &str, payment: &str, operation: Option<&str>) -> KeyRow {
    KeyRow { key: key.into(), payment: Some(payment.into()), operation: operation.map(str::to_owned) }
}

fn attempt(id: &str, payment: &str, provider: ProviderName) -> AttemptRow {
    AttemptRow { id: id.into(), payment: payment.into(), provider, state: "APPROVED".into() }
}

fn clearing(payment: &str, provider: ProviderName, amount: i64) -> ClearingRow {
    ClearingRow { payment: payment.into(), provider, amount }
}

/// By the attempt that has the payment's number.
fn charge(id: &str, payment: &str, provider: ProviderName, captured: i64) -> Charge {
    let attempt = payment.replace("pay_", "t-");
    let (id, payment, movements) = (id.to_owned(), payment.to_owned(), Vec::new());
    Charge { id, provider, payment, attempt, authorized: 1000, captured, refunded: 0, held: 0, movements }
}

fn record(asked: Asked, key: &str, id: &str) -> Record {
    let (key, request, answer) = (key.to_owned(), "a request".to_owned(), json!({"id": id}));
    Record { asked, key, request, status: 201, answer }
}

fn received(id: &str, payment: &str, sequence: i64) -> Received {
    Received { event: id.into(), payment: Some(payment.into()), sequence, taken: true }
}

/// A third payment: Stripe keeps an error for the key of its attempt, and made nothing.
fn with_silence() -> Evidence {
    let mut evidence = good();
    evidence.payments.push(PaymentRow {
        id: "pay_3".into(),
        status: "PROCESSING".into(),
        amount: 1000,
        ..PaymentRow::default()
    });
    evidence.keys.push(key("a-3", "pay_3", None));
    evidence.records.push(record(Asked::Payment, "a-3", "pay_3"));
    evidence.attempts.push(AttemptRow { state: "UNKNOWN".into(), ..attempt("t-3", "pay_3", STRIPE) });
    evidence.leftovers.push(Leftover {
        payment: Some("pay_3".into()),
        attempt: Some("t-3".into()),
        parked: false,
        what: "payment 3 waits: 500".into(),
    });
    evidence.books.silent.insert("t-3".into());
    evidence
}

/// What the judge says after something was changed in what was right; some of it must be these words.
fn finds_in(right: fn() -> Evidence, change: impl FnOnce(&mut Evidence), words: &str) {
    let mut evidence = right();
    assert_eq!(judge(&evidence), Vec::<String>::new());
    change(&mut evidence);
    let wrong = judge(&evidence);
    assert!(wrong.iter().any(|sentence| sentence.contains(words)), "{words}: {wrong:#?}");
}

fn finds(change: impl FnOnce(&mut Evidence), words: &str) {
    finds_in(good, change, words);
}

#[test]
fn a_second_charge_is_found_in_whichever_book() {
    finds(|evidence| evidence.books.charges.push(evidence.books.charges[0].clone()), "was charged 2 times");
    finds(
        |evidence| evidence.books.charges.push(charge("4D7", "pay_1", PAYPAL, 1000)),
        "pay_1 was charged 2 times: ch_1 at STRIPE, 4D7 at PAYPAL",
    );
}

#[test]
fn a_charge_that_nobody_knows_and_a_payment_without_charge_are_found() {
    finds(
        |evidence| evidence.books.charges[0].payment = "pay_7".into(),
        "STRIPE charged for pay_7, which is not there",
    );
    finds(|evidence| evidence.books.charges.clear(), "(1000, 400, 0) here, (0, 0, 0) at the provider");
    finds(
        |evidence| evidence.books.charges.clear(),
        "attempt t-2 of pay_2 was approved, and PAYPAL has no charge of it",
    );
}

#[test]
fn a_charge_in_the_wrong_book_or_by_no_approved_attempt_is_found() {
    finds(
        |evidence| evidence.books.charges[0].provider = PAYPAL,
        "is in the book of PAYPAL, and was charged by STRIPE here",
    );
    finds(
        |evidence| evidence.attempts[0].provider = PAYPAL,
        "STRIPE charged ch_1 for pay_1 by t-1, which is of pay_1 at PAYPAL",
    );
    finds(
        |evidence| evidence.attempts[1].state = "DECLINED".into(),
        "PAYPAL charged 3C6 for pay_2 by t-2, which is no approved attempt",
    );
    finds(|evidence| evidence.books.charges[1].attempt = "t-9".into(), "by t-9, which is no approved attempt");
}

#[test]
fn money_that_a_provider_still_holds_for_a_payment_at_its_end_is_found() {
    finds(
        |evidence| evidence.payments[1].status = "CANCELED".into(),
        "(300, 0, 0) here, (300, 0, 700) at the provider",
    );
    finds(|evidence| evidence.books.charges[1].held = 0, "(300, 0, 700) here, (300, 0, 0) at the provider");
}

#[test]
fn what_a_provider_moved_without_an_operation_that_succeeded_is_found() {
    finds(|evidence| evidence.books.charges[0].movements[0].1 = 399, "STRIPE moved 399 of pay_1 for 9-a");
    finds(|evidence| evidence.books.charges[1].movements[0].0 = "7-c".into(), "PAYPAL moved 300 of pay_2 for 7-c");
}

#[test]
fn a_ledger_that_says_something_else_is_found() {
    finds(|evidence| evidence.clearing[0].amount = 1000, "the ledger says 1000, the payment 600");
    finds(|evidence| evidence.clearing[0].provider = PAYPAL, "the ledger has 600 at PAYPAL, which did not charge");
    finds(|evidence| evidence.unbalanced.push("USD 1".into()), "does not balance");
}

#[test]
fn a_lost_or_unfinished_promise_is_found() {
    finds(|evidence| evidence.payments.clear(), "pay_1 was acknowledged (201) and is not there");
    finds(|evidence| evidence.payments[0].status = "PENDING".into(), "has no end");
    finds(|evidence| evidence.operations.clear(), "ref_9a was acknowledged (201) and is not there");
    let leftover = Leftover { payment: None, attempt: None, parked: true, what: "operation 1 is parked: why".into() };
    finds(|evidence| evidence.leftovers.push(leftover), "is parked");
}

#[test]
fn a_payment_whose_key_keeps_an_error_stays_open_and_is_charged_nowhere_else() {
    finds_in(with_silence, |evidence| evidence.books.silent.clear(), "payment 3 waits: 500");
    finds_in(with_silence, |evidence| evidence.leftovers[0].parked = true, "payment 3 waits: 500");
    finds_in(with_silence, |evidence| drop(evidence.leftovers.pop()), "a-3: pay_3 was acknowledged and has no end");
    finds_in(with_silence, |evidence| evidence.events.push(event("evt_5", "pay_3", 1)), "events [1] instead of []");
    let elsewhere = Charge { held: 1000, ..charge("4D7", "pay_3", PAYPAL, 0) };
    finds_in(
        with_silence,
        |evidence| evidence.books.charges.push(elsewhere),
        "pay_3 (PROCESSING): captured, refunded and held are (0, 0, 0) here, (0, 0, 1000) at the provider",
    );
}

#[test]
fn a_refused_payment_is_found_and_a_refund_that_came_too_late_is_in_order() {
    finds(|evidence| evidence.records[0].status = 422, "was refused (422)");
    let mut evidence = good();
    evidence.records[1].status = 409;
    assert_eq!(judge(&evidence), Vec::<String>::new());
}

#[test]
fn two_payments_of_one_key_are_found() {
    finds(|evidence| evidence.keys[0].payment = Some("pay_7".into()), "stands for");
    finds(|evidence| drop(evidence.keys.remove(2)), "pay_2 belongs to no key");
}

#[test]
fn missing_and_disordered_events_are_found() {
    finds(|evidence| drop(evidence.events.remove(1)), "events [1] instead of [1, 2]");
    finds(|evidence| evidence.received.retain(|event| event.event != "evt_2"), "evt_2 was never received");
    finds(|evidence| evidence.received.reverse(), "event 2 was sent before 1 was taken");
    finds(|evidence| evidence.received[0].event = "evt_0".into(), "evt_0 was received, and is not there");
}

#[test]
fn a_reservation_that_was_not_given_back_is_found() {
    finds(|evidence| evidence.payments[0].on_its_way = 100, "is still reserved");
}

#[test]
fn a_provider_that_was_not_tested_is_found_and_so_is_a_message_about_nothing() {
    let many = |evidence: &mut Evidence| {
        evidence.books.charges = vec![evidence.books.charges[0].clone(); 100];
    };
    finds(many, "PAYPAL took nothing of 100 charges");
    finds(many, "no message of STRIPE was taken");
    let tally = |effect: &str| (("paypal".to_owned(), effect.to_owned()), 3);
    finds(
        |evidence| evidence.messages.extend([tally("unknown")]),
        "3 messages of PAYPAL were about payments that nobody knew",
    );
    let mut evidence = good();
    evidence.messages.extend([tally("due"), tally("nothing"), tally("refused")]);
    assert_eq!(judge(&evidence), Vec::<String>::new());
}
