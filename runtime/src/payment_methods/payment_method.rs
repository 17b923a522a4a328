//! One payment method.

use chrono::{Datelike, NaiveDate};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::ids::{PaymentMethodId, UserId};
use crate::users;

/// What kind of instrument it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, sqlx::Type)]
#[schema(as = PaymentMethodType)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[sqlx(type_name = "varchar", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Kind {
    /// A credit card.
    CreditCard,
    /// A debit card.
    DebitCard,
    /// A PayPal account.
    Paypal,
    /// A bank account.
    BankTransfer,
}

/// The last month in which a card is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Expiry {
    year: i32,
    month: u32,
}

impl Expiry {
    /// A month of 1 to 12 and a year of 2000 to 2100; none otherwise.
    #[must_use]
    pub fn new(month: i32, year: i32) -> Option<Self> {
        let month = u32::try_from(month).ok().filter(|month| (1..=12).contains(month))?;
        (2000..=2100).contains(&year).then_some(Self { year, month })
    }

    /// Whether that month is over.
    #[must_use]
    pub fn is_over(self, today: NaiveDate) -> bool {
        (today.year(), today.month()) > (self.year, self.month)
    }
}

/// A payment method, as far as taking a payment needs to know it.
#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
pub struct PaymentMethod {
    /// Its id.
    pub id: PaymentMethodId,
    /// Whose it is.
    pub user_id: UserId,
    /// Whether that user may pay.
    pub user_status: users::Status,
    /// What kind of instrument it is.
    #[sqlx(rename = "type")]
    pub kind: Kind,
    /// Last four digits.
    pub last_four: Option<String>,
    /// 1 to 12; together with the year or not at all.
    pub expiry_month: Option<i32>,
    /// Four digits.
    pub expiry_year: Option<i32>,
    /// The provider's token for the instrument.
    pub token: String,
}

impl PaymentMethod {
    /// Whether it is no longer good. A card is good through the whole of its last month.
    #[must_use]
    pub fn is_expired(&self, today: NaiveDate) -> bool {
        let expiry = self.expiry_month.zip(self.expiry_year).and_then(|(month, year)| Expiry::new(month, year));
        expiry.is_some_and(|expiry| expiry.is_over(today))
    }

    /// What people may see of it.
    #[must_use]
    pub fn mask_card_number(&self) -> String {
        mask_card_number(self.last_four.as_deref())
    }
}

/// The last four digits behind dots, as on a receipt.
#[must_use]
pub fn mask_card_number(last_four: Option<&str>) -> String {
    format!("•••• {}", last_four.unwrap_or("••••"))
}

/// A payment method to be, as a merchant writes it.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPaymentMethod {
    /// Whose it is.
    pub user_id: UserId,
    /// What kind of instrument it is.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// The provider's token for the instrument.
    #[schema(pattern = "^[!-~]{1,255}$", example = "pm_card_visa")]
    pub token: String,
    /// Brand or bank, as shown to people.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 50)]
    pub provider: Option<String>,
    /// Last four digits.
    #[serde(default)]
    #[schema(pattern = "^[0-9]{4}$", example = "4242")]
    pub last_four: Option<String>,
    /// 1 to 12.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 12)]
    pub expiry_month: Option<i32>,
    /// Four digits.
    #[serde(default)]
    #[schema(minimum = 2000, maximum = 2100)]
    pub expiry_year: Option<i32>,
    /// Name on the card.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 255)]
    pub cardholder_name: Option<String>,
    /// Address of the bill.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 2000)]
    pub billing_address: Option<String>,
    /// Whether the user pays with it unless told otherwise.
    #[serde(default)]
    pub is_default: bool,
}

impl NewPaymentMethod {
    /// The first field that cannot be stored, with the reason.
    ///
    /// # Errors
    /// The field's name and a sentence.
    pub fn check(&self) -> Result<(), (&'static str, &'static str)> {
        let too_long = |text: &Option<String>, max: usize| {
            text.as_ref().is_some_and(|text| text.is_empty() || text.chars().count() > max)
        };
        if self.token.is_empty() || self.token.len() > 255 || !self.token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(("token", "must be the provider's token: 1 to 255 visible ASCII characters"));
        }
        if self
            .last_four
            .as_ref()
            .is_some_and(|four| four.len() != 4 || !four.bytes().all(|byte| byte.is_ascii_digit()))
        {
            return Err(("last_four", "must be exactly four digits"));
        }
        if too_long(&self.provider, 50) {
            return Err(("provider", "must be between 1 and 50 characters"));
        }
        if too_long(&self.cardholder_name, 255) {
            return Err(("cardholder_name", "must be between 1 and 255 characters"));
        }
        if too_long(&self.billing_address, 2000) {
            return Err(("billing_address", "must be between 1 and 2000 characters"));
        }
        self.expiry().map(|_| ())
    }

    /// Its expiry, where it has one.
    ///
    /// # Errors
    /// The field's name and a sentence, when it is half given or no month of any calendar.
    pub fn expiry(&self) -> Result<Option<Expiry>, (&'static str, &'static str)> {
        match (self.expiry_month, self.expiry_year) {
            (None, None) => Ok(None),
            (Some(month), Some(year)) => match Expiry::new(month, year) {
                Some(expiry) => Ok(Some(expiry)),
                None => Err(("expiry_month", "must be 1 to 12, with an expiry_year of 2000 to 2100")),
            },
            (Some(_), None) => Err(("expiry_year", "is needed together with expiry_month")),
            (None, Some(_)) => Err(("expiry_month", "is needed together with expiry_year")),
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::Utc;

    use super::*;

    fn method(expiry: Option<(i32, i32)>) -> PaymentMethod {
        PaymentMethod {
            id: PaymentMethodId::at(Utc::now()),
            user_id: UserId::at(Utc::now()),
            user_status: users::Status::Active,
            kind: Kind::CreditCard,
            last_four: Some("4242".into()),
            expiry_month: expiry.map(|(month, _)| month),
            expiry_year: expiry.map(|(_, year)| year),
            token: "pm_card_visa".into(),
        }
    }

    #[test]
    fn a_card_is_good_through_its_last_month() {
        let day = |text: &str| text.parse::<NaiveDate>().unwrap();
        let card = method(Some((2, 2028)));
        assert!(!card.is_expired(day("2027-12-31")));
        assert!(!card.is_expired(day("2028-02-29")));
        assert!(card.is_expired(day("2028-03-01")));
        assert!(card.is_expired(day("2029-01-01")));
        assert!(!method(None).is_expired(day("2099-01-01")), "a bank account does not expire");
    }

    #[test]
    fn people_see_the_last_four_digits_only() {
        assert_eq!(method(None).mask_card_number(), "•••• 4242");
    }

    #[test]
    fn what_cannot_be_stored_is_named_by_its_field() {
        let good = serde_json::json!({"user_id": UserId::at(Utc::now()), "type": "CREDIT_CARD", "token": "pm_card_visa",
            "last_four": "4242", "expiry_month": 12, "expiry_year": 2030});
        for (field, value) in [
            ("token", serde_json::json!("")),
            ("token", serde_json::json!("a b")),
            ("last_four", serde_json::json!("424")),
            ("last_four", serde_json::json!("42a2")),
            ("expiry_month", serde_json::json!(13)),
            ("expiry_year", serde_json::json!(null)),
        ] {
            let mut document = good.clone();
            document[field] = value;
            let new: NewPaymentMethod = serde_json::from_value(document).unwrap();
            assert_eq!(new.check().map_err(|(field, _)| field), Err(field));
        }
    }
}
