//! An operation as merchants see it: in answers of the API and in events, the same bytes.

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Kind, Operation, OperationStatus};
use crate::ids::{CaptureId, PaymentId};
use crate::payments::json::{millis, optional_millis};

/// An operation as the API shows it. Amounts are decimal strings in major units.
#[derive(Serialize, ToSchema)]
#[schema(as = Operation)]
pub struct OperationJson<'a> {
    id: String,
    kind: Kind,
    status: OperationStatus,
    payment_id: PaymentId,
    amount: String,
    currency: &'static str,
    #[serde(rename = "final", skip_serializing_if = "Option::is_none")]
    is_final: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    capture_id: Option<CaptureId>,
    reason: Option<&'a str>,
    provider_reference: Option<&'a str>,
    error: Option<ErrorJson<'a>>,
    #[serde(serialize_with = "millis")]
    created_at: DateTime<Utc>,
    #[serde(serialize_with = "optional_millis")]
    t_end: Option<DateTime<Utc>>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = OperationError)]
struct ErrorJson<'a> {
    code: &'a str,
    message: Option<&'a str>,
}

impl<'a> OperationJson<'a> {
    /// What is shown of this operation.
    #[must_use]
    pub fn of(operation: &'a Operation) -> Self {
        Self {
            id: operation.kind.id_text(operation.id),
            kind: operation.kind,
            status: operation.status,
            payment_id: operation.payment_id,
            amount: operation.amount.to_string(),
            currency: operation.amount.currency().code(),
            is_final: (operation.kind == Kind::Capture).then_some(operation.is_final),
            capture_id: operation.capture_id.map(CaptureId::from_uuid),
            reason: operation.reason.as_deref(),
            provider_reference: operation.provider_reference.as_deref(),
            error: operation
                .error_code
                .as_deref()
                .map(|code| ErrorJson { code, message: operation.error_message.as_deref() }),
            created_at: operation.created_at,
            t_end: operation.t_end,
        }
    }
}
