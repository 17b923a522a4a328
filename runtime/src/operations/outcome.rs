//! What an outcome changes: the operation, the payment's sums and status, the ledger, and what the merchant is told. Pure.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use thiserror::Error;

use super::{Kind, Operation, OperationStatus};
use crate::events::EventType;
use crate::ledger::Journal;
use crate::ledger::journal::Parties;
use crate::money::{Money, MoneyError};
use crate::payments::{Amounts, Payment, Status};

/// What the provider did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// What it was asked for.
    Done {
        /// Its name for that.
        reference: String,
    },
    /// Nothing, and it will not.
    Refused {
        /// As one word.
        code: String,
        /// As a sentence for the merchant.
        message: String,
    },
}

/// All that follows from an outcome, to be written in one commit.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// The operation at its end.
    pub operation: Operation,
    /// The payment afterwards, its sequence counted up.
    pub payment: Payment,
    /// What the merchant is told.
    pub event: EventType,
    /// What the ledger is told; nothing when no money moved.
    pub journal: Option<Journal>,
}

/// Why an outcome cannot be written down.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum OutcomeError {
    /// The operation is at its end, or its payment does not hold what it reserved.
    #[error("the payment does not have what the operation is about")]
    NotReserved,
    /// No provider stands in the payment.
    #[error("the payment names no provider")]
    NoProvider,
    /// A sum or fee is out of bounds.
    #[error("the amounts: {0}")]
    Money(#[from] MoneyError),
}

/// What an outcome changes. `payment` is as it stands, under lock.
///
/// # Errors
/// When operation and payment do not belong together as they stand: nothing may be written then.
pub fn change(
    payment: &Payment,
    operation: &Operation,
    outcome: Outcome,
    fee_percentage: Decimal,
    now: DateTime<Utc>,
) -> Result<Change, OutcomeError> {
    if operation.status != OperationStatus::Pending || operation.payment_id != payment.id {
        return Err(OutcomeError::NotReserved);
    }
    let t_end = Some(now.max(operation.created_at));
    let next = Payment { sequence: payment.sequence + 1, amounts: released(payment, operation)?, ..payment.clone() };
    match outcome {
        Outcome::Refused { code, message } => {
            let (error_code, error_message) = (Some(code), Some(message));
            let status = OperationStatus::Failed;
            let operation = Operation { status, error_code, error_message, t_end, ..operation.clone() };
            Ok(Change { event: refused(operation.kind), operation, payment: next, journal: None })
        }
        Outcome::Done { reference } => {
            let provider_reference = Some(reference);
            let status = OperationStatus::Succeeded;
            let operation = Operation { status, provider_reference, t_end, ..operation.clone() };
            done(next, operation, fee_percentage, now)
        }
    }
}

/// The sums without what the operation reserved.
fn released(payment: &Payment, operation: &Operation) -> Result<Amounts, OutcomeError> {
    let (amounts, minor) = (payment.amounts, operation.amount.minor());
    let released = match operation.kind {
        Kind::Capture => Amounts { capturing: amounts.capturing - minor, ..amounts },
        Kind::Refund => Amounts { refunding: amounts.refunding - minor, ..amounts },
        Kind::Void => amounts,
    };
    let whole = released.capturing >= 0 && released.refunding >= 0;
    if whole { Ok(released) } else { Err(OutcomeError::NotReserved) }
}

fn done(
    payment: Payment,
    operation: Operation,
    fee_percentage: Decimal,
    now: DateTime<Utc>,
) -> Result<Change, OutcomeError> {
    let Amounts { captured, refunded, .. } = payment.amounts;
    let minor = operation.amount.minor();
    let mut next = payment;
    let mut journal = None;
    // Once nothing is held any more, what happens later holds nothing either.
    let mut gives_free = next.status != Status::Authorized;
    match operation.kind {
        Kind::Capture => {
            let fee = operation.calculate_fee(fee_percentage)?;
            next.fee = Some(next.fee.map_or(Ok(fee), |before| before.checked_add(fee))?);
            next.amounts.captured = Some(captured.unwrap_or(0) + minor);
            gives_free |= operation.is_final;
            let parties = parties(&next)?;
            journal = Some(Journal::capture(operation.id, next.id, parties, operation.amount, fee, now)?);
        }
        Kind::Refund => {
            next.amounts.refunded = refunded + minor;
            journal = Some(Journal::refund(operation.id, next.id, parties(&next)?, operation.amount, now));
        }
        Kind::Void => gives_free = true,
    }
    next.status = next.amounts.status(gives_free);
    if next.status != Status::Authorized {
        next.authorized_until = None;
    }
    let event = told(operation.kind, next.status);
    Ok(Change { operation, payment: next, event, journal })
}

fn parties(payment: &Payment) -> Result<Parties, OutcomeError> {
    let provider = payment.payment_provider_id.ok_or(OutcomeError::NoProvider)?;
    Ok(Parties { user: payment.user_id, merchant: payment.merchant_id, provider })
}

const fn refused(kind: Kind) -> EventType {
    match kind {
        Kind::Capture => EventType::CaptureFailed,
        Kind::Refund => EventType::RefundFailed,
        Kind::Void => EventType::VoidFailed,
    }
}

/// One event per change: it names what was done, or the status where that says more.
const fn told(kind: Kind, status: Status) -> EventType {
    match (kind, status) {
        (Kind::Capture | Kind::Void, Status::Success) => EventType::PaymentSucceeded,
        (Kind::Capture, _) => EventType::PaymentCaptured,
        (Kind::Refund, Status::Refunded) => EventType::PaymentRefunded,
        (Kind::Refund, _) => EventType::PaymentPartiallyRefunded,
        (Kind::Void, Status::PartiallyRefunded) => EventType::PaymentPartiallyRefunded,
        (Kind::Void, Status::Refunded) => EventType::PaymentRefunded,
        (Kind::Void, _) => EventType::PaymentCanceled,
    }
}

impl Operation {
    /// The fee of a capture at this percentage; nothing for what takes no money. The fee of a capture is kept when its
    /// money goes back.
    ///
    /// # Errors
    /// When it is out of bounds.
    pub fn calculate_fee(&self, fee_percentage: Decimal) -> Result<Money, MoneyError> {
        match self.kind {
            Kind::Capture => self.amount.percentage(fee_percentage),
            Kind::Refund | Kind::Void => Ok(Money::from_minor(0, self.amount.currency())),
        }
    }
}

#[cfg(test)]
mod tests;
