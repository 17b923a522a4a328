//! Each thing that must not be is found, and nothing else is.

use serde_json::json;

use super::super::evidence::{EventRow, KeyRow, OperationRow};
use super::*;

/// One payment of 10.00 that went well, and one refund of 4.00.
fn good() -> Evidence {
    let payment = PaymentRow {
        id: "pay_1".into(),
        status: "PARTIALLY_REFUNDED".into(),
        amount: 1000,
        authorized: Some(1000),
        captured: Some(1000),
        refunded: 400,
        on_its_way: 0,
        sequence: 2,
    };
    let refund = OperationRow {
        id: "ref_9".into(),
        payment: "pay_1".into(),
        kind: "REFUND".into(),
        status: "SUCCEEDED".into(),
        amount: 400,
    };
    let record = |asked, key: &str, id: &str| Record {
        asked,
        key: key.into(),
        request: "a request".into(),
        status: 201,
        answer: json!({"id": id}),
    };
    let event = |id: &str, sequence| EventRow { id: id.into(), payment: "pay_1".into(), sequence };
    let received =
        |id: &str, sequence| Received { event: id.into(), payment: Some("pay_1".into()), sequence, taken: true };
    let key = |key: &str, operation: Option<&str>| KeyRow {
        key: key.into(),
        payment: Some("pay_1".into()),
        operation: operation.map(str::to_owned),
    };
    Evidence {
        payments: vec![payment],
        operations: BTreeMap::from([("pay_1".to_owned(), vec![refund])]),
        events: vec![event("evt_1", 1), event("evt_2", 2)],
        keys: vec![key("a-1", None), key("a-1-r0", Some("9"))],
        clearing: HashMap::from([("pay_1".to_owned(), 600)]),
        charges: vec![Charge {
            id: "ch_1".into(),
            payment: "pay_1".into(),
            authorized: 1000,
            captured: 1000,
            refunded: 400,
        }],
        records: vec![record(Asked::Payment, "a-1", "pay_1"), record(Asked::Refund, "a-1-r0", "ref_9")],
        received: vec![received("evt_1", 1), received("evt_1", 1), received("evt_2", 2)],
        ..Evidence::default()
    }
}

/// What the judge says after something was changed; it must say one thing, of these words.
fn finds(change: impl FnOnce(&mut Evidence), words: &str) {
    let mut evidence = good();
    change(&mut evidence);
    let wrong = judge(&evidence);
    assert!(wrong.iter().any(|sentence| sentence.contains(words)), "{words}: {wrong:#?}");
}

#[test]
fn nothing_is_wrong_with_what_is_right() {
    assert_eq!(judge(&good()), Vec::<String>::new());
}

#[test]
fn a_second_charge_is_found() {
    finds(|evidence| evidence.charges.push(evidence.charges[0].clone()), "was charged 2 times");
}

#[test]
fn a_charge_that_nobody_knows_and_a_payment_without_charge_are_found() {
    finds(|evidence| evidence.charges[0].payment = "pay_2".into(), "which is not there");
    finds(|evidence| evidence.charges.clear(), "(1000, 400) here, (0, 0) at the provider");
}

#[test]
fn a_ledger_that_says_something_else_is_found() {
    finds(
        |evidence| evidence.clearing = HashMap::from([("pay_1".into(), 1000)]),
        "the ledger says 1000, the payment 600",
    );
    finds(|evidence| evidence.unbalanced.push("USD 1".into()), "does not balance");
}

#[test]
fn a_lost_or_unfinished_promise_is_found() {
    finds(|evidence| evidence.payments.clear(), "pay_1 was acknowledged (201) and is not there");
    finds(|evidence| evidence.payments[0].status = "PENDING".into(), "has no end");
    finds(|evidence| evidence.operations.clear(), "ref_9 was acknowledged (201) and is not there");
    finds(|evidence| evidence.leftovers.push("payment 1 is parked: why".into()), "is parked");
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
    finds(
        |evidence| {
            let other = PaymentRow { id: "pay_2".into(), ..evidence.payments[0].clone() };
            evidence.payments.push(other);
        },
        "pay_2 belongs to no key",
    );
}

#[test]
fn missing_and_disordered_events_are_found() {
    finds(|evidence| drop(evidence.events.pop()), "events [1] instead of [1, 2]");
    finds(|evidence| evidence.received.retain(|event| event.sequence != 2), "evt_2 was never received");
    finds(|evidence| evidence.received.reverse(), "event 2 was sent before 1 was taken");
    finds(|evidence| evidence.received[0].event = "evt_0".into(), "evt_0 was received, and is not there");
}

#[test]
fn a_reservation_that_was_not_given_back_is_found() {
    finds(|evidence| evidence.payments[0].on_its_way = 100, "is still reserved");
}
