//! A payment as the API shows it.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Serialize, Serializer};

use crate::ids::{MerchantId, PaymentId, PaymentMethodId, UserId};
use crate::payments::{Payment, Status};

/// A payment as the API shows it. Amounts are decimal strings in major units.
#[derive(Serialize)]
pub(super) struct PaymentJson<'a> {
    id: PaymentId,
    status: Status,
    amount: String,
    currency: &'static str,
    fee: Option<String>,
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

#[derive(Serialize)]
struct FraudJson<'a> {
    status: &'a str,
    score: Option<String>,
}

#[derive(Serialize)]
struct ErrorJson<'a> {
    code: &'a str,
    message: Option<&'a str>,
}

impl<'a> PaymentJson<'a> {
    /// What is shown of this payment.
    pub(super) fn of(payment: &'a Payment) -> Self {
        Self {
            id: payment.id,
            status: payment.status,
            amount: payment.amount.to_string(),
            currency: payment.amount.currency().code(),
            fee: payment.fee.map(|fee| fee.to_string()),
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

fn millis<S: Serializer>(time: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&time.to_rfc3339_opts(SecondsFormat::Millis, true))
}

fn optional_millis<S: Serializer>(time: &Option<DateTime<Utc>>, serializer: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => millis(time, serializer),
        None => serializer.serialize_none(),
    }
}
