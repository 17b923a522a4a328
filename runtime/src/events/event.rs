//! One event, as it is stored and sent.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use uuid::Uuid;

use crate::ids::{EventId, MerchantId, PaymentId};
use crate::operations::{Operation, OperationJson};
use crate::payments::json::millis;
use crate::payments::{Payment, PaymentJson, Status};

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventType {
    /// The amount was taken.
    PaymentSucceeded,
    /// No money moved, and none will.
    PaymentFailed,
    /// The amount is held.
    PaymentAuthorized,
    /// Fraud flagged it, and it waits for a look.
    PaymentInReview,
    /// Given up before any money moved, or what was held is free again.
    PaymentCanceled,
    /// A part, or all, of a held amount was taken.
    PaymentCaptured,
    /// A part of what was taken went back.
    PaymentPartiallyRefunded,
    /// All of what was taken went back.
    PaymentRefunded,
    /// A capture was refused; the amount is as it was.
    CaptureFailed,
    /// A refund was refused; the amount is as it was.
    RefundFailed,
    /// A void was refused; the amount is as it was.
    VoidFailed,
    /// Another endpoint of the merchant was disabled by the platform.
    WebhookEndpointDisabled,
}

impl utoipa::PartialSchema for EventType {
    fn schema() -> RefOr<Schema> {
        let names = Self::ALL.map(Self::as_str);
        ObjectBuilder::new().schema_type(Type::String).enum_values(Some(names)).examples([names[0]]).into()
    }
}

impl utoipa::ToSchema for EventType {}

impl EventType {
    /// Every type.
    pub const ALL: [Self; 12] = [
        Self::PaymentSucceeded,
        Self::PaymentFailed,
        Self::PaymentAuthorized,
        Self::PaymentInReview,
        Self::PaymentCanceled,
        Self::PaymentCaptured,
        Self::PaymentPartiallyRefunded,
        Self::PaymentRefunded,
        Self::CaptureFailed,
        Self::RefundFailed,
        Self::VoidFailed,
        Self::WebhookEndpointDisabled,
    ];

    /// As in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PaymentSucceeded => "payment.succeeded",
            Self::PaymentFailed => "payment.failed",
            Self::PaymentAuthorized => "payment.authorized",
            Self::PaymentInReview => "payment.in_review",
            Self::PaymentCanceled => "payment.canceled",
            Self::PaymentCaptured => "payment.captured",
            Self::PaymentPartiallyRefunded => "payment.partially_refunded",
            Self::PaymentRefunded => "payment.refunded",
            Self::CaptureFailed => "capture.failed",
            Self::RefundFailed => "refund.failed",
            Self::VoidFailed => "void.failed",
            Self::WebhookEndpointDisabled => "webhook_endpoint.disabled",
        }
    }

    /// What a payment that has just come to this status is announced as; none while it is on its way.
    #[must_use]
    pub const fn of_status(status: Status) -> Option<Self> {
        Some(match status {
            Status::Pending | Status::Processing => return None,
            Status::InReview => Self::PaymentInReview,
            Status::Authorized => Self::PaymentAuthorized,
            Status::Success => Self::PaymentSucceeded,
            Status::Failed => Self::PaymentFailed,
            Status::Canceled => Self::PaymentCanceled,
            Status::PartiallyRefunded => Self::PaymentPartiallyRefunded,
            Status::Refunded => Self::PaymentRefunded,
        })
    }
}

/// An event, ready to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its id; carries `created_at`.
    pub id: EventId,
    /// Who is told.
    pub merchant_id: MerchantId,
    /// What happened.
    pub kind: EventType,
    /// To which payment.
    pub payment_id: Option<PaymentId>,
    /// By which operation.
    pub operation_id: Option<Uuid>,
    /// 1, 2, … within the payment.
    pub sequence: i32,
    /// The bytes that are sent.
    pub payload: String,
}

#[derive(Serialize)]
struct Document<'a> {
    id: EventId,
    r#type: &'static str,
    #[serde(serialize_with = "millis")]
    created_at: DateTime<Utc>,
    sequence: i32,
    data: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    payment: PaymentJson<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    operation: Option<OperationJson<'a>>,
}

impl Event {
    /// The payment in its payload, byte for byte as PostgreSQL gives it; none when there is no payment in it.
    #[must_use]
    pub fn payment(&self) -> Option<&str> {
        #[derive(Deserialize)]
        struct Told<'a> {
            #[serde(borrow)]
            data: Of<'a>,
        }
        #[derive(Deserialize)]
        struct Of<'a> {
            #[serde(borrow)]
            payment: &'a RawValue,
        }
        serde_json::from_str::<Told<'_>>(&self.payload).ok().map(|told| told.data.payment.get())
    }

    /// What happened to a payment. `payment` is as it is after the change, its `sequence` counted up.
    ///
    /// # Errors
    /// When it cannot be written as JSON, which does not happen to texts and numbers.
    pub fn of_payment(
        kind: EventType,
        payment: &Payment,
        operation: Option<&Operation>,
        now: DateTime<Utc>,
    ) -> Result<Self, serde_json::Error> {
        let id = EventId::at(now);
        let data = Data { payment: PaymentJson::of(payment), operation: operation.map(OperationJson::of) };
        let document =
            Document { id, r#type: kind.as_str(), created_at: id.created_at(), sequence: payment.sequence, data };
        Ok(Self {
            id,
            merchant_id: payment.merchant_id,
            kind,
            payment_id: Some(payment.id),
            operation_id: operation.map(|operation| operation.id),
            sequence: payment.sequence,
            payload: serde_json::to_string(&document)?,
        })
    }
}
