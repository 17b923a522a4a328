//! All that is known of an operation on its way, as values.

use chrono::{DateTime, Utc};
use runtime_contract::ProviderName;
use rust_decimal::Decimal;

use crate::operations::{Kind, Operation};
use crate::providers::{Action, Call};

/// An operation on its way.
#[derive(Clone, Debug)]
pub(super) struct Case {
    /// The operation.
    pub(super) operation: Operation,
    /// Share of a capture that the platform keeps, in percent.
    pub(super) fee_percentage: Decimal,
    /// Who took the payment, and so the only one to be asked; none when no approved attempt is known.
    pub(super) charged: Option<Charged>,
    /// The provider's name for the capture that a refund goes to.
    pub(super) capture: Option<String>,
}

/// Where a payment was charged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Charged {
    /// The provider's name for the charge.
    pub(super) reference: Option<String>,
    /// Name of the resource and of its credential.
    pub(super) resource: String,
    /// Which adapter speaks to it.
    pub(super) name: ProviderName,
    /// Base URL at which it was charged.
    pub(super) api_endpoint: String,
    /// Time limit of one call, in milliseconds.
    pub(super) max_latency_ms: u32,
}

impl Case {
    /// The call that the provider sees: the same one, however often it is sent.
    pub(super) fn call(&self, now: DateTime<Utc>) -> Call {
        let operation = &self.operation;
        let action = match operation.kind {
            Kind::Capture => Action::Capture { is_final: operation.is_final },
            Kind::Refund => Action::Refund,
            Kind::Void => Action::Void,
        };
        Call {
            id: operation.id,
            payment_id: operation.payment_id,
            money: operation.amount,
            action,
            charge: self.charged.as_ref().and_then(|charged| charged.reference.clone()),
            capture: self.capture.clone(),
            reference: operation.provider_reference.clone(),
            age_s: self.age_s(now),
        }
    }

    /// Seconds since the provider was first asked, a begun one counted whole; 0 when it was not asked.
    pub(super) fn age_s(&self, now: DateTime<Utc>) -> i64 {
        self.operation.sent_at.map_or(0, |sent_at| (now - sent_at).num_seconds().max(1))
    }
}
