//! Whether a payment may be captured, refunded or canceled now, and why not. Pure: the database holds the same sums with
//! its own checks, these rules say which of them it would be, in words.
//!
//! Asked while the payment's row is locked, so that a refusal is always that of some order in which the requests came.

use chrono::{DateTime, Utc};

use super::{Kind, Refusal};
use crate::money::Money;
use crate::payments::{Payment, Status};
use crate::providers::Capabilities;

/// What is on its way for a payment, besides the sums in its row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OnTheirWay {
    /// A void: whatever is held is about to be free.
    pub void: bool,
    /// A capture that gives free what it does not take.
    pub final_capture: bool,
}

/// What is to be accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// What it does.
    pub kind: Kind,
    /// How much.
    pub amount: Money,
    /// Whether a capture gives free what it does not take.
    pub is_final: bool,
}

/// How a payment is canceled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cancellation {
    /// No provider has anything to do with it: it just ends.
    AtOnce,
    /// The provider holds the amount and has to give it free.
    Void(Plan),
}

/// A capture of this amount, or of all that can be taken.
///
/// # Errors
/// Why not.
pub fn capture(
    payment: &Payment,
    on_their_way: OnTheirWay,
    able: Capabilities,
    amount: Option<&str>,
    is_final: bool,
    now: DateTime<Utc>,
) -> Result<Plan, Refusal> {
    settled(payment)?;
    let amounts = payment.amounts;
    if payment.status != Status::Authorized {
        return Err(Refusal::NotCapturable(payment.status));
    }
    if payment.authorized_until.is_some_and(|until| until <= now) {
        return Err(Refusal::AuthorizationExpired);
    }
    let asked = amount.map(|text| parse(text, payment)).transpose()?;
    let held = amounts.authorized.unwrap_or(0) - amounts.captured.unwrap_or(0);
    if let Some(amount) = asked.filter(|amount| amount.minor() > held) {
        return Err(Refusal::ExceedsAuthorized { asked: amount, most: money(held, payment) });
    }
    if on_their_way.void {
        return Err(Refusal::CancelInProgress);
    }
    let amount = asked.unwrap_or(money(amounts.capturable(), payment));
    // A final capture takes the rest away from every other, so it is the last one, and alone.
    let alone = is_final || !able.multiple_captures;
    if amount.minor() > amounts.capturable() || amount.minor() == 0 || on_their_way.final_capture {
        return Err(Refusal::CaptureInProgress);
    }
    if alone && amounts.capturing > 0 {
        return Err(Refusal::CaptureInProgress);
    }
    let takes_all = amount.minor() == held;
    if !takes_all && !able.partial_capture {
        return Err(Refusal::PartialCaptureUnsupported);
    }
    if !takes_all && !is_final && !able.multiple_captures {
        return Err(Refusal::MultipleCapturesUnsupported);
    }
    Ok(Plan { kind: Kind::Capture, amount, is_final: is_final || takes_all })
}

/// A refund of this amount, or of all that can go back.
///
/// # Errors
/// Why not.
pub fn refund(payment: &Payment, able: Capabilities, amount: Option<&str>) -> Result<Plan, Refusal> {
    settled(payment)?;
    let amounts = payment.amounts;
    let captured = amounts.captured.unwrap_or(0);
    let kept = captured - amounts.refunded;
    if captured == 0 || (kept == 0 && amount.is_none()) {
        return Err(Refusal::NotRefundable(payment.status));
    }
    let asked = amount.map(|text| parse(text, payment)).transpose()?;
    if let Some(amount) = asked.filter(|amount| amount.minor() > kept) {
        return Err(Refusal::ExceedsCaptured { asked: amount, most: money(kept, payment) });
    }
    let amount = asked.unwrap_or(money(amounts.refundable(), payment));
    if amount.minor() > amounts.refundable() || amount.minor() == 0 {
        return Err(Refusal::RefundInProgress);
    }
    if amount.minor() < captured && !able.partial_refund {
        return Err(Refusal::PartialRefundUnsupported);
    }
    Ok(Plan { kind: Kind::Refund, amount, is_final: false })
}

/// Giving up what was not taken yet. `attempt_open`: a provider may have charged, and nobody knows yet.
///
/// # Errors
/// Why not.
pub fn cancel(
    payment: &Payment,
    on_their_way: OnTheirWay,
    able: Capabilities,
    attempt_open: bool,
) -> Result<Cancellation, Refusal> {
    match payment.status {
        Status::Pending | Status::Processing if attempt_open => Err(Refusal::PaymentProcessing),
        // Every attempt there was ended before it was sent: nothing can have been charged.
        Status::Pending | Status::Processing | Status::InReview => Ok(Cancellation::AtOnce),
        Status::Authorized if on_their_way.void => Err(Refusal::CancelInProgress),
        Status::Authorized if payment.amounts.capturing > 0 => Err(Refusal::CaptureInProgress),
        Status::Authorized if !able.void => Err(Refusal::VoidUnsupported),
        Status::Authorized => {
            let amount = money(payment.amounts.capturable(), payment);
            Ok(Cancellation::Void(Plan { kind: Kind::Void, amount, is_final: false }))
        }
        status => Err(Refusal::NotCancelable(status)),
    }
}

/// A capture whose money can go back: its id, and what of it neither went back nor is about to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// The capture.
    pub capture: uuid::Uuid,
    /// In minor units.
    pub kept: i64,
}

/// The capture that a refund goes to: the one that it fits most closely, so that larger ones stay whole for larger
/// refunds. None when the payment was taken at once, or the refund spans several captures.
///
/// # Errors
/// When it would have to span captures, and the provider cannot do that.
pub fn capture_of_refund(taken: &[Taken], able: Capabilities, amount: Money) -> Result<Option<uuid::Uuid>, Refusal> {
    let fits = taken.iter().filter(|capture| capture.kept >= amount.minor());
    match fits.min_by_key(|capture| (capture.kept, capture.capture)) {
        Some(capture) => Ok(Some(capture.capture)),
        None if taken.is_empty() || able.refund_spans_captures => Ok(None),
        None => Err(Refusal::ExceedsEachCapture),
    }
}

fn settled(payment: &Payment) -> Result<(), Refusal> {
    if payment.status.is_settled() { Ok(()) } else { Err(Refusal::PaymentProcessing) }
}

fn parse(text: &str, payment: &Payment) -> Result<Money, Refusal> {
    Money::parse(text, payment.amount.currency()).map_err(Refusal::Amount)
}

const fn money(minor: i64, payment: &Payment) -> Money {
    Money::from_minor(minor, payment.amount.currency())
}

impl Payment {
    /// Whether a part of what is held can be taken now.
    #[must_use]
    pub fn can_capture(&self, now: DateTime<Utc>) -> bool {
        self.status == Status::Authorized
            && self.authorized_until.is_none_or(|until| until > now)
            && self.amounts.capturable() > 0
    }

    /// Whether a part of what was taken can go back now.
    #[must_use]
    pub fn can_refund(&self) -> bool {
        self.status.is_settled() && self.amounts.refundable() > 0
    }

    /// The most that a refund can be now.
    #[must_use]
    pub fn refundable(&self) -> Money {
        money(self.amounts.refundable(), self)
    }

    /// The most that a capture can be now.
    #[must_use]
    pub fn capturable(&self) -> Money {
        let held = if self.status == Status::Authorized { self.amounts.capturable() } else { 0 };
        money(held, self)
    }
}

#[cfg(test)]
mod tests;
