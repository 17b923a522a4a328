//! A payment as merchants see it: in answers of the API and in events, the same bytes.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Serialize, Serializer};
use utoipa::ToSchema;

use super::{CaptureMethod, Payment, Status};
use crate::ids::{MerchantId, PaymentId, PaymentMethodId, UserId};

/// A payment as the API shows it. Amounts are decimal strings in major units.
#[derive(Serialize, ToSchema)]
#[schema(as = Payment)]
pub struct PaymentJson<'a> {
    id: PaymentId,
    status: Status,
    amount: String,
    currency: &'static str,
    fee: Option<String>,
    capture_method: CaptureMethod,
    amount_authorized: Option<String>,
    amount_captured: Option<String>,
    amount_refunded: String,
    #[serde(serialize_with = "optional_millis")]
    authorized_until: Option<DateTime<Utc>>,
    sequence: i32,
    merchant_id: MerchantId,
    user_id: UserId,
    payment_method_id: PaymentMethodId,
    provider: Option<&'a str>,
    provider_reference: Option<&'a str>,
    fraud: Option<FraudJson<'a>>,
    error: Option<ErrorJson<'a>>,
    description: Option<&'a str>,
    #[serde(serialize_with = "millis")]
    t_start: DateTime<Utc>,
    #[serde(serialize_with = "optional_millis")]
    t_end: Option<DateTime<Utc>>,
    latency_ms: Option<i32>,
    can_retry: bool,
}

#[derive(Serialize, ToSchema)]
#[schema(as = FraudVerdict)]
struct FraudJson<'a> {
    status: &'a str,
    score: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = PaymentError)]
struct ErrorJson<'a> {
    code: &'a str,
    message: Option<&'a str>,
}

impl<'a> PaymentJson<'a> {
    /// What is shown of this payment.
    pub fn of(payment: &'a Payment) -> Self {
        Self {
            id: payment.id,
            status: payment.status,
            amount: payment.amount.to_string(),
            currency: payment.amount.currency().code(),
            fee: payment.fee.map(|fee| fee.to_string()),
            capture_method: payment.capture_method,
            amount_authorized: payment.amounts.authorized().map(|amount| amount.to_string()),
            amount_captured: payment.amounts.captured().map(|amount| amount.to_string()),
            amount_refunded: payment.amounts.refunded().to_string(),
            authorized_until: payment.authorized_until,
            sequence: payment.sequence,
            merchant_id: payment.merchant_id,
            user_id: payment.user_id,
            payment_method_id: payment.payment_method_id,
            provider: payment.provider.as_deref(),
            provider_reference: payment.provider_reference.as_deref(),
            fraud: payment
                .fraud_status
                .as_deref()
                .map(|status| FraudJson { status, score: payment.fraud_score.map(|score| score.to_string()) }),
            error: payment
                .error_code
                .as_deref()
                .map(|code| ErrorJson { code, message: payment.error_message.as_deref() }),
            description: payment.description.as_deref(),
            t_start: payment.t_start,
            t_end: payment.t_end,
            latency_ms: payment.latency_ms,
            can_retry: payment.can_retry(),
        }
    }
}

/// Times as the API writes them: RFC 3339, UTC, milliseconds.
///
/// # Errors
/// Those of the serializer.
pub fn millis<S: Serializer>(time: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&time.to_rfc3339_opts(SecondsFormat::Millis, true))
}

/// The same for a time that may not have come.
///
/// # Errors
/// Those of the serializer.
pub fn optional_millis<S: Serializer>(time: &Option<DateTime<Utc>>, serializer: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => millis(time, serializer),
        None => serializer.serialize_none(),
    }
}
