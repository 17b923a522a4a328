use chrono::TimeDelta;

use super::*;
use crate::money::MoneyError;
use crate::operations::fixtures::{held, now, payment, taken, usd};
use crate::payments::Amounts;

const ABLE: Capabilities = Capabilities {
    manual_capture: true,
    partial_capture: true,
    multiple_captures: true,
    partial_refund: true,
    refund_spans_captures: true,
    void: true,
};

fn captured(payment: &Payment, amount: Option<&str>, is_final: bool) -> Result<(i64, bool), &'static str> {
    captured_by(payment, OnTheirWay::default(), ABLE, amount, is_final)
}

fn captured_by(
    payment: &Payment,
    on_their_way: OnTheirWay,
    able: Capabilities,
    amount: Option<&str>,
    is_final: bool,
) -> Result<(i64, bool), &'static str> {
    let plan = capture(payment, on_their_way, able, amount, is_final, now());
    plan.map(|plan| (plan.amount.minor(), plan.is_final)).map_err(|refusal| refusal.code())
}

fn refunded(payment: &Payment, amount: Option<&str>) -> Result<i64, &'static str> {
    refund(payment, ABLE, amount).map(|plan| plan.amount.minor()).map_err(|refusal| refusal.code())
}

#[test]
fn a_capture_takes_a_part_or_all_that_is_left() {
    assert_eq!(captured(&held(0, 0), None, false), Ok((10_000, true)), "nothing is left: it is the last one");
    assert_eq!(captured(&held(0, 0), Some("30.00"), false), Ok((3_000, false)));
    assert_eq!(captured(&held(3_000, 2_000), Some("50.00"), false), Ok((5_000, false)));
    assert_eq!(captured(&held(3_000, 0), Some("20.00"), true), Ok((2_000, true)));
    assert_eq!(captured(&held(3_000, 2_000), None, false), Ok((5_000, false)), "others may fail and leave their part");
}

#[test]
fn a_capture_above_what_is_held_is_refused_and_above_what_is_free_only_for_now() {
    assert_eq!(captured(&held(3_000, 0), Some("70.01"), false), Err("amount_exceeds_authorized"));
    assert_eq!(captured(&held(3_000, 2_000), Some("50.01"), false), Err("capture_in_progress"));
    assert_eq!(captured(&held(3_000, 7_000), None, false), Err("capture_in_progress"));
}

#[test]
fn a_final_capture_is_the_last_and_alone() {
    assert_eq!(captured(&held(0, 1_000), Some("10.00"), true), Err("capture_in_progress"));
    let on_their_way = OnTheirWay { final_capture: true, ..OnTheirWay::default() };
    let refused = captured_by(&held(0, 1_000), on_their_way, ABLE, Some("10.00"), false);
    assert_eq!(refused, Err("capture_in_progress"));
}

#[test]
fn what_is_not_held_cannot_be_captured() {
    assert_eq!(captured(&payment(Status::Pending), None, false), Err("payment_processing"));
    assert_eq!(captured(&payment(Status::Processing), None, false), Err("payment_processing"));
    for status in [Status::InReview, Status::Success, Status::Failed, Status::Canceled, Status::Refunded] {
        assert_eq!(captured(&payment(status), None, false), Err("payment_not_capturable"));
    }
    let expired = Payment { authorized_until: Some(now()), ..held(0, 0) };
    assert_eq!(captured(&expired, None, false), Err("authorization_expired"));
    let voided = captured_by(&held(0, 0), OnTheirWay { void: true, final_capture: false }, ABLE, None, false);
    assert_eq!(voided, Err("cancel_in_progress"));
}

#[test]
fn a_provider_that_captures_once_is_asked_once() {
    let once = Capabilities { multiple_captures: false, ..ABLE };
    let by_once =
        |payment: &Payment, amount, is_final| captured_by(payment, OnTheirWay::default(), once, amount, is_final);
    assert_eq!(by_once(&held(0, 0), Some("30"), false), Err("multiple_captures_not_supported"));
    assert_eq!(by_once(&held(0, 0), Some("30"), true), Ok((3_000, true)));
    assert_eq!(by_once(&held(0, 0), None, false), Ok((10_000, true)));
    assert_eq!(by_once(&held(0, 1_000), None, false), Err("capture_in_progress"));
    let whole = Capabilities { partial_capture: false, ..once };
    let partly = captured_by(&held(0, 0), OnTheirWay::default(), whole, Some("30"), true);
    assert_eq!(partly, Err("partial_capture_not_supported"));
}

#[test]
fn a_refund_gives_back_a_part_or_all_that_is_left() {
    assert_eq!(refunded(&taken(0, 0), None), Ok(10_000));
    assert_eq!(refunded(&taken(1_000, 2_000), None), Ok(7_000));
    assert_eq!(refunded(&taken(1_000, 2_000), Some("0.01")), Ok(1));
    let still_held = Payment { amounts: Amounts { captured: Some(4_000), ..held(0, 0).amounts }, ..held(0, 0) };
    assert_eq!(refunded(&still_held, Some("40.00")), Ok(4_000), "what was captured goes back while the rest is held");
}

#[test]
fn a_refund_above_what_was_taken_is_refused_and_above_what_is_free_only_for_now() {
    assert_eq!(refunded(&taken(1_000, 0), Some("90.01")), Err("amount_exceeds_captured"));
    assert_eq!(refunded(&taken(1_000, 2_000), Some("70.01")), Err("refund_in_progress"));
    assert_eq!(refunded(&taken(1_000, 9_000), None), Err("refund_in_progress"));
    assert_eq!(refunded(&taken(10_000, 0), None), Err("payment_not_refundable"));
    assert_eq!(refunded(&held(0, 0), Some("1")), Err("payment_not_refundable"));
    assert_eq!(refunded(&payment(Status::Processing), None), Err("payment_processing"));
    let whole = Capabilities { partial_refund: false, ..ABLE };
    assert_eq!(refund(&taken(0, 0), whole, Some("1")), Err(Refusal::PartialRefundUnsupported));
}

#[test]
fn an_amount_is_one_of_the_payments_currency() {
    let refused = |text| captured(&held(0, 0), Some(text), false);
    assert_eq!(refused("0"), Err(MoneyError::Zero.code()));
    assert_eq!(refused("-1"), Err(MoneyError::Negative.code()));
    assert_eq!(refused("1.001"), Err("amount_too_precise"));
    assert_eq!(refused("1e2"), Err("amount_malformed"));
}

#[test]
fn a_payment_is_canceled_at_once_while_nobody_can_have_charged_it() {
    let none = OnTheirWay::default();
    let canceled = |status, attempt_open| cancel(&payment(status), none, ABLE, attempt_open);
    assert_eq!(canceled(Status::Pending, false), Ok(Cancellation::AtOnce));
    assert_eq!(canceled(Status::InReview, false), Ok(Cancellation::AtOnce));
    assert_eq!(canceled(Status::Processing, false), Ok(Cancellation::AtOnce));
    assert_eq!(canceled(Status::Pending, true), Err(Refusal::PaymentProcessing));
    for status in [Status::Success, Status::Failed, Status::Canceled, Status::PartiallyRefunded, Status::Refunded] {
        assert_eq!(canceled(status, false), Err(Refusal::NotCancelable(status)));
    }
}

#[test]
fn what_is_held_is_given_free_once_and_not_beside_a_capture() {
    let none = OnTheirWay::default();
    let plan = Plan { kind: Kind::Void, amount: usd(6_000), is_final: false };
    assert_eq!(cancel(&held(4_000, 0), none, ABLE, false), Ok(Cancellation::Void(plan)));
    assert_eq!(cancel(&held(4_000, 1), none, ABLE, false), Err(Refusal::CaptureInProgress));
    let voiding = OnTheirWay { void: true, final_capture: false };
    assert_eq!(cancel(&held(0, 0), voiding, ABLE, false), Err(Refusal::CancelInProgress));
    let unable = Capabilities { void: false, ..ABLE };
    assert_eq!(cancel(&held(0, 0), none, unable, false), Err(Refusal::VoidUnsupported));
}

#[test]
fn a_refund_goes_to_the_capture_it_fits_most_closely() {
    let [a, b, c] = [1, 2, 3].map(uuid::Uuid::from_u128);
    let taken = [Taken { capture: a, kept: 500 }, Taken { capture: b, kept: 300 }, Taken { capture: c, kept: 0 }];
    let one_by_one = Capabilities { refund_spans_captures: false, ..ABLE };
    for able in [ABLE, one_by_one] {
        assert_eq!(capture_of_refund(&taken, able, usd(200)), Ok(Some(b)));
        assert_eq!(capture_of_refund(&taken, able, usd(301)), Ok(Some(a)));
        assert_eq!(capture_of_refund(&[], able, usd(501)), Ok(None), "taken at once");
    }
    assert_eq!(capture_of_refund(&taken, ABLE, usd(501)), Ok(None));
    assert_eq!(capture_of_refund(&taken, one_by_one, usd(501)), Err(Refusal::ExceedsEachCapture));
}

#[test]
fn a_payment_says_what_may_be_done_with_it() {
    assert!(held(0, 0).can_capture(now()) && !held(0, 0).can_refund());
    assert!(!held(0, 10_000).can_capture(now()) && !held(0, 0).can_capture(now() + TimeDelta::days(8)));
    assert!(taken(0, 0).can_refund() && !taken(0, 10_000).can_refund() && !taken(0, 0).can_capture(now()));
    assert_eq!((taken(1_000, 500).refundable(), held(2_000, 500).capturable()), (usd(8_500), usd(7_500)));
    assert_eq!(taken(0, 0).capturable(), usd(0));
}
