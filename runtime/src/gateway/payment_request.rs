//! What a client asks for with `POST /v1/payments`, parsed and checked as far as that needs no database.

use std::net::IpAddr;
use std::time::Duration;

use http::HeaderMap;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::body::object;
use super::problem::Problem;
use crate::idempotency::IdempotencyKey;
use crate::ids::{PaymentMethodId, UserId};
use crate::money::{Currency, Money, MoneyError};
use crate::payment_methods::card_number;
use crate::payments::CaptureMethod;

/// How long an answer waits for the payment's end when the client does not say.
const WAIT_DEFAULT_S: u64 = 5;
/// Longer than any provider takes, shorter than the patience of load balancers.
const WAIT_MAX_S: u64 = 30;

/// A payment to be, as a merchant writes it.
#[derive(Deserialize, ToSchema)]
#[schema(as = NewPayment)]
#[serde(deny_unknown_fields)]
pub(super) struct PaymentRequest {
    /// Major units, with at most as many decimals as the currency has.
    #[schema(pattern = "^(0|[1-9][0-9]{0,11})([.][0-9]{1,4})?$", example = "10.50")]
    amount: String,
    /// ISO 4217.
    #[schema(value_type = Currency)]
    currency: String,
    /// What is paid with.
    payment_method_id: PaymentMethodId,
    /// Who pays; the payment method's user if absent.
    #[serde(default)]
    user_id: Option<UserId>,
    /// Whether the amount is taken at once, or held first and taken by captures.
    #[serde(default)]
    capture_method: CaptureMethod,
    /// The merchant's own words.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 500)]
    description: Option<String>,
    /// What is known of the one who pays.
    #[serde(default, deserialize_with = "object")]
    context: Context,
}

/// What is known of the one who pays, for the fraud check.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Context {
    /// IPv4 or IPv6.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "203.0.113.7")]
    ip_address: Option<IpAddr>,
    /// The device, as the merchant recognises it.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 255)]
    device_fingerprint: Option<String>,
}

/// What the request means. Two requests that mean the same are the same request, however they are written.
#[derive(Serialize)]
pub(super) struct Checked {
    amount_minor: i64,
    currency: Currency,
    /// What is paid with.
    pub(super) payment_method_id: PaymentMethodId,
    /// Whether the amount is taken at once. Left out where it is, as before there was a choice: the hash of such a request
    /// stays what the release before made of it.
    #[serde(skip_serializing_if = "CaptureMethod::is_default")]
    pub(super) capture_method: CaptureMethod,
    /// Who pays, if the client says.
    pub(super) user_id: Option<UserId>,
    /// The merchant's own words.
    pub(super) description: Option<String>,
    /// Address of the one who pays.
    pub(super) ip_address: Option<IpAddr>,
    /// Device of the one who pays.
    pub(super) device_fingerprint: Option<String>,
}

impl Checked {
    /// How much.
    pub(super) const fn amount(&self) -> Money {
        Money::from_minor(self.amount_minor, self.currency)
    }
}

impl PaymentRequest {
    /// The meaning of the request.
    ///
    /// # Errors
    /// The first field that cannot be accepted.
    pub(super) fn check(self) -> Result<Checked, Problem> {
        let currency: Currency = self.currency.parse().map_err(|error: MoneyError| {
            Problem::unprocessable("unknown_currency", error.to_string()).param("currency")
        })?;
        let amount = Money::parse(&self.amount, currency)
            .map_err(|error| Problem::unprocessable(error.code(), error.to_string()).param("amount"))?;
        let bounded = |text: &Option<String>, max: usize| {
            text.as_ref().is_none_or(|text| (1..=max).contains(&text.chars().count()))
        };
        if !bounded(&self.description, 500) {
            return Err(("description", "must be between 1 and 500 characters").into());
        }
        if !bounded(&self.context.device_fingerprint, 255) {
            return Err(("context.device_fingerprint", "must be between 1 and 255 characters").into());
        }
        if [&self.description, &self.context.device_fingerprint].into_iter().flatten().any(|text| text.contains('\0')) {
            return Err(("description", "must not contain the character U+0000").into());
        }
        Ok(Checked {
            amount_minor: amount.minor(),
            currency,
            payment_method_id: self.payment_method_id,
            capture_method: self.capture_method,
            user_id: self.user_id,
            description: self.description,
            ip_address: self.context.ip_address,
            device_fingerprint: self.context.device_fingerprint,
        })
    }
}

/// The client's key for this request.
///
/// # Errors
/// When it is missing, given twice, or none.
pub(super) fn idempotency_key(headers: &HeaderMap) -> Result<IdempotencyKey, Problem> {
    let mut given = headers.get_all("idempotency-key").iter();
    let refuse = |code, detail: &str| Problem::bad_request(code, detail).param("Idempotency-Key");
    let Some(value) = given.next() else {
        return Err(refuse(
            "idempotency_key_missing",
            "an Idempotency-Key is needed: a text that is new for each payment",
        ));
    };
    let key = IdempotencyKey::parse(value.as_bytes()).filter(|_| given.next().is_none());
    let key = key.ok_or_else(|| {
        refuse("idempotency_key_invalid", "one Idempotency-Key of 1 to 255 visible ASCII characters is needed")
    })?;
    if card_number::stands_in_text(key.as_str()) {
        return Err(refuse("card_number_refused", "the key looks like a card number"));
    }
    Ok(key)
}

/// How long the client is ready to wait: `Prefer: wait=N`, in seconds.
///
/// # Errors
/// When N is no number of 0 to 30.
pub(super) fn wait(headers: &HeaderMap) -> Result<Duration, Problem> {
    let preferences = headers
        .get_all("prefer")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split([',', ';']));
    let wanted = preferences
        .filter_map(|preference| preference.trim().split_once('='))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("wait"));
    let Some((_, seconds)) = wanted else { return Ok(Duration::from_secs(WAIT_DEFAULT_S)) };
    match seconds.trim().trim_matches('"').parse() {
        Ok(seconds @ 0..=WAIT_MAX_S) => Ok(Duration::from_secs(seconds)),
        _ => Err(Problem::bad_request("invalid_prefer", "Prefer: wait=N takes a number of seconds from 0 to 30")
            .param("Prefer")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefer(value: &str) -> Result<u64, Problem> {
        let mut headers = HeaderMap::new();
        headers.insert("prefer", value.parse().unwrap());
        wait(&headers).map(|wait| wait.as_secs())
    }

    #[test]
    fn a_client_chooses_how_long_it_waits() {
        assert_eq!(wait(&HeaderMap::new()).unwrap().as_secs(), WAIT_DEFAULT_S);
        assert_eq!(prefer("wait=0"), Ok(0));
        assert_eq!(prefer("respond-async, wait=30"), Ok(30));
        assert_eq!(prefer("return=minimal"), Ok(WAIT_DEFAULT_S));
        for bad in ["wait=31", "wait=-1", "wait=soon", "wait="] {
            assert!(prefer(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn requests_that_mean_the_same_are_the_same() {
        let hash = |json: &str| {
            let request: PaymentRequest = serde_json::from_str(json).unwrap();
            crate::idempotency::RequestHash::of(
                "POST /v1/payments",
                &request.check().unwrap_or_else(|_| panic!("{json}")),
            )
            .unwrap()
        };
        let one =
            hash(r#"{"amount":"10.5","currency":"USD","payment_method_id":"pm_0199f2a4c6d87b1e8f3a5b7c9d1e2f3a"}"#);
        let two =
            hash(r#"{"payment_method_id":"pm_0199f2a4c6d87b1e8f3a5b7c9d1e2f3a", "currency":"USD", "amount":"10.50"}"#);
        let other =
            hash(r#"{"amount":"10.51","currency":"USD","payment_method_id":"pm_0199f2a4c6d87b1e8f3a5b7c9d1e2f3a"}"#);
        assert_eq!(one, two);
        assert_ne!(one, other);
    }
}
