use super::*;
use crate::operations::fixtures::{held, now, operation, taken, usd};

fn after(payment: &Payment, operation: &Operation, outcome: Outcome) -> Change {
    change(payment, operation, outcome, Decimal::new(290, 2), now()).unwrap()
}

fn finished() -> Outcome {
    Outcome::Done { reference: "re_1".into() }
}

fn refusal() -> Outcome {
    Outcome::Refused { code: "expired".into(), message: "Too late.".into() }
}

fn balance(change: &Change) -> i64 {
    change.journal.iter().flat_map(|journal| &journal.lines).map(|line| line.amount.minor()).sum()
}

#[test]
fn a_capture_of_a_part_leaves_the_rest_held() {
    let payment = held(1_000, 3_000);
    let change = after(&payment, &operation(&payment, Kind::Capture, 3_000), finished());
    assert_eq!((change.payment.status, change.event), (Status::Authorized, EventType::PaymentCaptured));
    assert_eq!((change.payment.amounts.captured, change.payment.amounts.capturing), (Some(4_000), 0));
    assert_eq!((change.payment.fee, change.payment.sequence), (Some(usd(87)), 2));
    assert_eq!(change.payment.authorized_until, payment.authorized_until);
    assert_eq!(change.operation.status, OperationStatus::Succeeded);
    assert_eq!(change.operation.provider_reference.as_deref(), Some("re_1"));
    let journal = change.journal.as_ref().unwrap();
    assert_eq!((journal.id, balance(&change)), (change.operation.id, 0));
}

#[test]
fn the_last_capture_ends_the_payment_and_fees_add_up() {
    let payment = Payment { fee: Some(usd(200)), ..held(7_000, 3_000) };
    let change = after(&payment, &operation(&payment, Kind::Capture, 3_000), finished());
    assert_eq!((change.payment.status, change.event), (Status::Success, EventType::PaymentSucceeded));
    assert_eq!((change.payment.fee, change.payment.authorized_until), (Some(usd(287)), None));
    let last = Operation { is_final: true, ..operation(&payment, Kind::Capture, 1_000) };
    let payment = held(0, 1_000);
    let last = Operation { payment_id: payment.id, ..last };
    let change = after(&payment, &last, finished());
    assert_eq!((change.payment.status, change.payment.amounts.captured), (Status::Success, Some(1_000)));
}

#[test]
fn a_refused_operation_gives_back_what_it_reserved_and_moves_no_money() {
    let payment = held(0, 3_000);
    let change = after(&payment, &operation(&payment, Kind::Capture, 3_000), refusal());
    assert_eq!((change.payment.status, change.event), (Status::Authorized, EventType::CaptureFailed));
    assert_eq!((change.payment.amounts.capturing, change.payment.amounts.captured), (0, Some(0)));
    assert_eq!((change.payment.sequence, change.journal), (2, None));
    assert_eq!(
        (change.operation.status, change.operation.error_code.as_deref()),
        (OperationStatus::Failed, Some("expired"))
    );
    let payment = taken(0, 3_000);
    let change = after(&payment, &operation(&payment, Kind::Refund, 3_000), refusal());
    assert_eq!((change.payment.status, change.event), (Status::Success, EventType::RefundFailed));
    assert_eq!((change.payment.amounts.refunding, change.payment.amounts.refunded), (0, 0));
}

#[test]
fn refunds_go_from_a_part_to_all_and_the_fee_stays() {
    let payment = Payment { fee: Some(usd(290)), ..taken(0, 10_000) };
    let change = after(&payment, &operation(&payment, Kind::Refund, 4_000), finished());
    assert_eq!((change.payment.status, change.event), (Status::PartiallyRefunded, EventType::PaymentPartiallyRefunded));
    assert_eq!((change.payment.fee, balance(&change)), (Some(usd(290)), 0));
    let change = after(&change.payment.clone(), &operation(&payment, Kind::Refund, 6_000), finished());
    assert_eq!((change.payment.status, change.event), (Status::Refunded, EventType::PaymentRefunded));
    assert_eq!(change.payment.sequence, 3);
}

#[test]
fn a_refund_of_what_was_captured_leaves_the_rest_held() {
    let mut payment = held(4_000, 0);
    payment.amounts.refunding = 4_000;
    let change = after(&payment, &operation(&payment, Kind::Refund, 4_000), finished());
    assert_eq!((change.payment.status, change.event), (Status::Authorized, EventType::PaymentPartiallyRefunded));
}

#[test]
fn a_void_gives_the_rest_free() {
    for (captured, refunded, status, event) in [
        (0, 0, Status::Canceled, EventType::PaymentCanceled),
        (4_000, 0, Status::Success, EventType::PaymentSucceeded),
        (4_000, 1_000, Status::PartiallyRefunded, EventType::PaymentPartiallyRefunded),
        (4_000, 4_000, Status::Refunded, EventType::PaymentRefunded),
    ] {
        let mut payment = held(captured, 0);
        payment.amounts.refunded = refunded;
        let change = after(&payment, &operation(&payment, Kind::Void, 10_000 - captured), finished());
        assert_eq!((change.payment.status, change.event, change.journal), (status, event, None));
        assert_eq!(change.payment.authorized_until, None);
    }
    let payment = held(0, 0);
    let change = after(&payment, &operation(&payment, Kind::Void, 10_000), refusal());
    assert_eq!((change.payment.status, change.event), (Status::Authorized, EventType::VoidFailed));
}

#[test]
fn every_change_of_status_is_a_legal_one() {
    for payment in [held(0, 5_000), held(5_000, 5_000), taken(0, 5_000), taken(5_000, 5_000)] {
        let kind = if payment.status == Status::Authorized { Kind::Capture } else { Kind::Refund };
        for outcome in [finished(), refusal()] {
            let change = after(&payment, &operation(&payment, kind, 5_000), outcome);
            let (from, to) = (payment.status, change.payment.status);
            assert!(from == to || from.can_become(to), "{from} > {to}");
        }
    }
}

#[test]
fn what_was_not_reserved_is_not_written() {
    let refused = |payment: &Payment, operation: &Operation| {
        change(payment, operation, finished(), Decimal::ONE, now()).unwrap_err()
    };
    let payment = held(0, 2_999);
    assert_eq!(refused(&payment, &operation(&payment, Kind::Capture, 3_000)), OutcomeError::NotReserved);
    assert_eq!(refused(&payment, &operation(&taken(0, 0), Kind::Capture, 1)), OutcomeError::NotReserved);
    let over = Operation { status: OperationStatus::Failed, ..operation(&payment, Kind::Capture, 1) };
    assert_eq!(refused(&payment, &over), OutcomeError::NotReserved);
    let nowhere = Payment { payment_provider_id: None, ..held(0, 1) };
    assert_eq!(refused(&nowhere, &operation(&nowhere, Kind::Capture, 1)), OutcomeError::NoProvider);
}
