//! Payments and operations for the tests of this room.

use chrono::{DateTime, TimeDelta, Utc};

use super::{Kind, Operation, OperationStatus};
use crate::ids::{MerchantId, PaymentId, PaymentMethodId, UserId, uuid_at};
use crate::money::Money;
use crate::payments::{Amounts, CaptureMethod, Payment, Status};

pub(super) fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_000_000, 0).unwrap()
}

pub(super) fn usd(minor: i64) -> Money {
    Money::from_minor(minor, "USD".parse().unwrap())
}

/// A payment of 100.00 USD.
pub(super) fn payment(status: Status) -> Payment {
    let now = now();
    Payment {
        id: PaymentId::at(now),
        merchant_id: MerchantId::at(now),
        user_id: UserId::at(now),
        payment_method_id: PaymentMethodId::at(now),
        amount: usd(10_000),
        status,
        capture_method: CaptureMethod::Manual,
        amounts: Amounts::none("USD".parse().unwrap()),
        authorized_until: None,
        sequence: 1,
        fee: None,
        payment_provider_id: Some(1),
        provider: Some("STRIPE".into()),
        provider_reference: Some("pi_1".into()),
        fraud_score: None,
        fraud_status: None,
        error_code: None,
        error_message: None,
        description: None,
        ip_address: None,
        device_fingerprint: None,
        release: "0.1.0".into(),
        t_start: now,
        t_end: None,
        latency_ms: None,
    }
}

/// 100.00 held, of which so much is taken, and about to be.
pub(super) fn held(captured: i64, capturing: i64) -> Payment {
    let payment = payment(Status::Authorized);
    let amounts = Amounts { authorized: Some(10_000), captured: Some(captured), capturing, ..payment.amounts };
    Payment { amounts, authorized_until: Some(now() + TimeDelta::days(7)), ..payment }
}

/// 100.00 taken, of which so much went back, and is about to.
pub(super) fn taken(refunded: i64, refunding: i64) -> Payment {
    let payment = payment(if refunded > 0 { Status::PartiallyRefunded } else { Status::Success });
    let amounts = Amounts { authorized: Some(10_000), captured: Some(10_000), refunded, refunding, ..payment.amounts };
    Payment { amounts, ..payment }
}

/// An operation on its way.
pub(super) fn operation(payment: &Payment, kind: Kind, minor: i64) -> Operation {
    Operation {
        id: uuid_at(now()),
        kind,
        payment_id: payment.id,
        merchant_id: payment.merchant_id,
        amount: usd(minor),
        is_final: false,
        capture_id: None,
        status: OperationStatus::Pending,
        reason: None,
        sent_at: None,
        provider_reference: None,
        error_code: None,
        error_message: None,
        release: "0.1.0".into(),
        created_at: now(),
        t_end: None,
    }
}
