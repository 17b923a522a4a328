//! What a merchant changes of a payment method.

use serde::Deserialize;
use utoipa::ToSchema;

use super::payment_method::Expiry;
use crate::users::change::given;

/// A change: what is absent stays as it is, and what is null becomes empty.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PaymentMethodChange {
    /// Whether the user pays with it unless told otherwise. The one before is no longer the default then.
    #[serde(default)]
    pub is_default: Option<bool>,
    /// Whether the user proved to own it.
    #[serde(default)]
    pub is_verified: Option<bool>,
    /// 1 to 12, together with `expiry_year`: a renewed card.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 12)]
    pub expiry_month: Option<i32>,
    /// Four digits.
    #[serde(default)]
    #[schema(minimum = 2000, maximum = 2100)]
    pub expiry_year: Option<i32>,
    /// Name on the card.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 255)]
    pub cardholder_name: Option<Option<String>>,
    /// Address of the bill.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 2000)]
    pub billing_address: Option<Option<String>>,
}

impl PaymentMethodChange {
    /// The first field that cannot be stored, with the reason.
    ///
    /// # Errors
    /// The field's name and a sentence.
    pub fn check(&self) -> Result<(), (&'static str, &'static str)> {
        match (self.expiry_month, self.expiry_year) {
            (None, None) => {}
            (Some(month), Some(year)) if Expiry::new(month, year).is_some() => {}
            _ => return Err(("expiry_month", "must be 1 to 12, with an expiry_year of 2000 to 2100")),
        }
        let fits = |text: &Option<Option<String>>, max: usize| {
            let text = text.as_ref().and_then(Option::as_ref);
            text.is_none_or(|text| (1..=max).contains(&text.chars().count()) && !text.contains('\0'))
        };
        if !fits(&self.cardholder_name, 255) {
            return Err(("cardholder_name", "must be between 1 and 255 characters"));
        }
        if !fits(&self.billing_address, 2000) {
            return Err(("billing_address", "must be between 1 and 2000 characters"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_that_cannot_be_stored_is_named_by_its_field() {
        for (json, field) in [
            (r#"{"expiry_month": 3}"#, Err("expiry_month")),
            (r#"{"expiry_month": 13, "expiry_year": 2030}"#, Err("expiry_month")),
            (r#"{"cardholder_name": ""}"#, Err("cardholder_name")),
            (r#"{"billing_address": "a\u0000"}"#, Err("billing_address")),
            (r#"{"billing_address": null, "expiry_month": 3, "expiry_year": 2030}"#, Ok(())),
        ] {
            let change: PaymentMethodChange = serde_json::from_str(json).unwrap();
            assert_eq!(change.check().map_err(|(field, _)| field), field, "{json}");
        }
    }
}
