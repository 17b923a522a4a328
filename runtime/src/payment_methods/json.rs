//! A payment method as merchants see it: never its token.

use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;
use sqlx::FromRow;
use utoipa::ToSchema;

use super::Kind;
use super::payment_method::{Expiry, mask_card_number};
use crate::ids::{PaymentMethodId, UserId};
use crate::payments::json::{millis, optional_millis};

/// A payment method as the API shows it.
#[derive(Clone, Debug, Serialize, ToSchema, FromRow)]
#[schema(as = PaymentMethod)]
pub struct PaymentMethodJson {
    /// Its id.
    pub id: PaymentMethodId,
    /// Whose it is.
    pub user_id: UserId,
    /// What kind of instrument it is.
    #[sqlx(rename = "type")]
    pub r#type: Kind,
    /// Brand or bank.
    pub provider: Option<String>,
    /// Last four digits.
    pub last_four: Option<String>,
    /// As on a receipt.
    #[sqlx(skip)]
    #[schema(example = "•••• 4242")]
    pub masked: Option<String>,
    /// 1 to 12.
    pub expiry_month: Option<i32>,
    /// Four digits.
    pub expiry_year: Option<i32>,
    /// Name on the card.
    pub cardholder_name: Option<String>,
    /// Address of the bill.
    pub billing_address: Option<String>,
    /// Whether the user pays with it unless told otherwise.
    pub is_default: bool,
    /// Whether the user proved to own it.
    pub is_verified: bool,
    /// When it was stored.
    #[serde(serialize_with = "millis")]
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    #[serde(serialize_with = "millis")]
    pub updated_at: DateTime<Utc>,
    /// Since when it is not used any more.
    #[serde(serialize_with = "optional_millis")]
    pub detached_at: Option<DateTime<Utc>>,
}

impl PaymentMethodJson {
    /// With its number as on a receipt, where it is a card or an account with one.
    #[must_use]
    pub fn masked(mut self) -> Self {
        self.masked = self.last_four.as_deref().map(|four| mask_card_number(Some(four)));
        self
    }

    /// Whether it is no longer good.
    #[must_use]
    pub fn is_expired(&self, today: NaiveDate) -> bool {
        let expiry = self.expiry_month.zip(self.expiry_year).and_then(|(month, year)| Expiry::new(month, year));
        expiry.is_some_and(|expiry| expiry.is_over(today))
    }
}
