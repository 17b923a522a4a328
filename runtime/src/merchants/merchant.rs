//! One merchant.

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::ids::MerchantId;
use crate::money::{Money, MoneyError};

/// Whether a merchant may take payments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, sqlx::Type)]
#[schema(as = MerchantStatus)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[sqlx(type_name = "varchar", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Status {
    /// It may.
    Active,
    /// Not for now; what it has taken it can still give back, cancel and read.
    Suspended,
    /// Never again; what it has taken can still be read.
    Inactive,
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Active => "ACTIVE",
            Self::Suspended => "SUSPENDED",
            Self::Inactive => "INACTIVE",
        })
    }
}

/// A merchant, as far as taking a payment needs to know it.
#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
pub struct Merchant {
    /// Its id.
    pub id: MerchantId,
    /// Name shown to people.
    pub name: String,
    /// Whether it may take payments.
    pub status: Status,
    /// Share of each successful payment that the platform keeps, in percent.
    pub fee_percentage: Decimal,
    /// Whether all of its payments are tests, of which no provider hears.
    pub is_test: bool,
}

impl Merchant {
    /// What the platform keeps of a successful payment, in whole minor units.
    ///
    /// # Errors
    /// When the fee is beyond what money can hold.
    pub fn calculate_fee(&self, amount: Money) -> Result<Money, MoneyError> {
        amount.percentage(self.fee_percentage)
    }
}

#[cfg(test)]
mod tests {
    use chrono::Utc;

    use super::*;

    #[test]
    fn the_fee_is_the_merchants_share_in_whole_minor_units() {
        let merchant = Merchant {
            id: MerchantId::at(Utc::now()),
            name: "Shop".into(),
            status: Status::Active,
            fee_percentage: Decimal::new(290, 2),
            is_test: false,
        };
        for (amount, currency, fee) in
            [("10.50", "USD", "0.30"), ("1000", "JPY", "29"), ("1.500", "KWD", "0.044"), ("0.01", "USD", "0.00")]
        {
            let amount = Money::parse(amount, currency.parse().unwrap()).unwrap();
            assert_eq!(merchant.calculate_fee(amount).unwrap().to_string(), fee, "{amount} {currency}");
        }
    }
}
