//! A payment as a row of SQL.

use std::error::Error;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use sqlx::Row;
use sqlx::postgres::PgRow;

use super::{Amounts, Payment};
use crate::money::{Currency, Money};

/// The status as it is shown: PROCESSING is not written, since a payment's row is written when it is accepted and when
/// its wait ends, and not in between. It is a PENDING payment of which a provider was asked.
macro_rules! status {
    () => {
        "case when t.status = 'PENDING' and exists (select from payment_attempts shown where shown.payment_id = t.id)
            then 'PROCESSING' else t.status end"
    };
}

/// Columns of a [`Payment`], from `transactions t` and `payment_providers p`. With `as stored` the status is the row's.
macro_rules! columns {
    () => {
        concat!($crate::payments::row::status!(), " as status, ", $crate::payments::row::columns!(other))
    };
    (as stored) => {
        concat!("t.status, ", $crate::payments::row::columns!(other))
    };
    (other) => {
        "t.id, t.merchant_id, t.user_id, t.payment_method_id, t.amount, t.currency, t.fee, t.payment_provider_id,
         p.name as provider, t.provider_reference, t.fraud_score, t.fraud_status, t.error_code, t.error_message, t.description,
         t.ip_address, t.device_fingerprint, t.release, t.t_start, t.t_end, t.latency_ms, t.capture_method, t.amount_authorized,
         t.amount_captured, t.amount_capturing, t.amount_refunded, t.amount_refunding, t.authorized_until, t.sequence"
    };
}

pub(crate) use {columns, status};

/// The payment in a row with these columns.
///
/// # Errors
/// When the row holds what is no payment.
pub(crate) fn payment(row: &PgRow) -> Result<Payment, sqlx::Error> {
    let currency: Currency = parsed(row.try_get("currency")?)?;
    let money =
        |major: Decimal| Money::from_decimal(major, currency).map_err(|error| sqlx::Error::Decode(error.into()));
    let amount = money(row.try_get("amount")?)?;
    let status = parsed(row.try_get("status")?)?;
    let minor = |column| -> Result<i64, sqlx::Error> { Ok(money(row.try_get(column)?)?.minor()) };
    let optional = |column| -> Result<Option<i64>, sqlx::Error> {
        row.try_get::<Option<Decimal>, _>(column)?.map(|major| Ok(money(major)?.minor())).transpose()
    };
    let amounts = Amounts {
        currency,
        authorized: optional("amount_authorized")?,
        captured: optional("amount_captured")?,
        capturing: minor("amount_capturing")?,
        refunded: minor("amount_refunded")?,
        refunding: minor("amount_refunding")?,
    };
    Ok(Payment {
        id: row.try_get("id")?,
        merchant_id: row.try_get("merchant_id")?,
        user_id: row.try_get("user_id")?,
        payment_method_id: row.try_get("payment_method_id")?,
        amount,
        status,
        capture_method: parsed(row.try_get("capture_method")?)?,
        amounts: amounts.of_earlier_releases(status, amount),
        authorized_until: row.try_get("authorized_until")?,
        sequence: row.try_get("sequence")?,
        fee: row.try_get::<Option<Decimal>, _>("fee")?.map(money).transpose()?,
        payment_provider_id: row.try_get("payment_provider_id")?,
        provider: row.try_get("provider")?,
        provider_reference: row.try_get("provider_reference")?,
        fraud_score: row.try_get("fraud_score")?,
        fraud_status: row.try_get("fraud_status")?,
        error_code: row.try_get("error_code")?,
        error_message: row.try_get("error_message")?,
        description: row.try_get("description")?,
        ip_address: row.try_get("ip_address")?,
        device_fingerprint: row.try_get("device_fingerprint")?,
        release: row.try_get("release")?,
        t_start: row.try_get::<DateTime<Utc>, _>("t_start")?,
        t_end: row.try_get("t_end")?,
        latency_ms: row.try_get("latency_ms")?,
    })
}

fn parsed<T: FromStr<Err: Error + Send + Sync + 'static>>(text: &str) -> Result<T, sqlx::Error> {
    text.parse().map_err(|error: T::Err| sqlx::Error::Decode(error.into()))
}
