//! What the platform owes a merchant, and what that is made of: read from the ledger alone.

use rust_decimal::Decimal;
use serde::Serialize;
use sqlx::PgExecutor;
use utoipa::ToSchema;

use crate::ids::MerchantId;
use crate::money::{Currency, Money, MoneyError};

/// A merchant's account in one currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Balance {
    /// What was taken from users.
    pub captured: Money,
    /// What went back to them.
    pub refunded: Money,
    /// What the platform kept; a refund does not give it back.
    pub fees: Money,
}

/// A balance as the API shows it. Amounts are decimal strings in major units.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Balance)]
pub struct BalanceJson {
    /// ISO 4217.
    pub currency: &'static str,
    /// What the platform owes the merchant: captured less refunded less fees. Below zero, the merchant owes.
    #[schema(example = "97.10")]
    pub available: String,
    /// What was taken from users.
    #[schema(example = "110.00")]
    pub captured: String,
    /// What went back to them.
    #[schema(example = "10.00")]
    pub refunded: String,
    /// What the platform kept.
    #[schema(example = "2.90")]
    pub fees: String,
}

impl Balance {
    /// From the sums of the merchant's accounts, where debits are positive.
    fn of(currency: Currency, sums: Sums) -> Result<Self, MoneyError> {
        let money = |amount| Money::from_decimal(amount, currency);
        let fees = money(-sums.fee)?;
        let refunded = money(sums.merchant_debits)?;
        // A capture credits the merchant with what is left after the fee.
        let captured = money(sums.merchant_debits - sums.merchant)?.checked_add(fees)?;
        Ok(Self { captured, refunded, fees })
    }

    /// What was earned: taken, and not given back.
    ///
    /// # Errors
    /// When it is beyond what money can hold.
    pub fn get_total_revenue(&self) -> Result<Money, MoneyError> {
        self.captured.checked_add(self.refunded.negated())
    }

    /// What the platform owes the merchant.
    ///
    /// # Errors
    /// When it is beyond what money can hold.
    pub fn available(&self) -> Result<Money, MoneyError> {
        self.get_total_revenue()?.checked_add(self.fees.negated())
    }

    /// As the API shows it.
    ///
    /// # Errors
    /// When it is beyond what money can hold.
    pub fn json(&self) -> Result<BalanceJson, MoneyError> {
        Ok(BalanceJson {
            currency: self.captured.currency().code(),
            available: self.available()?.to_string(),
            captured: self.captured.to_string(),
            refunded: self.refunded.to_string(),
            fees: self.fees.to_string(),
        })
    }
}

#[derive(Clone, Copy)]
struct Sums {
    merchant: Decimal,
    merchant_debits: Decimal,
    fee: Decimal,
}

/// A merchant's balances, by currency: the totals of the hours that have them, and what came later line by line, as of one
/// moment.
///
/// # Errors
/// When the database does not answer, or holds a sum that is no money.
pub async fn of(executor: impl PgExecutor<'_>, merchant: MerchantId) -> Result<Vec<Balance>, sqlx::Error> {
    let rows: Vec<(String, Decimal, Decimal, Decimal)> = sqlx::query_as(
        "select currency::text,
             coalesce(sum(amount) filter (where account = 'MERCHANT'), 0),
             coalesce(sum(debits) filter (where account = 'MERCHANT'), 0),
             coalesce(sum(amount) filter (where account = 'FEE'), 0)
         from (
             select currency, account, amount, debits from ledger_totals
             where account_owner = $1 and hour < (select until from ledger_totals_progress)
             union all
             select currency, account, amount, greatest(amount, 0) from ledger_entries
             where account_owner = $1 and account in ('MERCHANT', 'FEE') and created_at >= (select until from ledger_totals_progress)
         ) lines group by currency order by currency",
    )
    .bind(merchant)
    .fetch_all(executor)
    .await?;
    let decode = |error: MoneyError| sqlx::Error::Decode(error.into());
    let balance = |(code, merchant, merchant_debits, fee): (String, _, _, _)| {
        let currency: Currency = code.parse().map_err(decode)?;
        Balance::of(currency, Sums { merchant, merchant_debits, fee }).map_err(decode)
    };
    rows.into_iter().map(balance).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_balance_is_what_was_taken_less_what_went_back_and_what_was_kept() {
        let usd: Currency = "USD".parse().unwrap();
        let cents = |minor| Decimal::new(minor, 2);
        // 110.00 taken at 2.90 fee, 10.00 given back.
        let sums = Sums { merchant: cents(-9710), merchant_debits: cents(1000), fee: cents(-290) };
        let json = Balance::of(usd, sums).unwrap().json().unwrap();
        assert_eq!((json.captured.as_str(), json.refunded.as_str()), ("110.00", "10.00"));
        assert_eq!((json.fees.as_str(), json.available.as_str()), ("2.90", "97.10"));
        let revenue = Balance::of(usd, sums).unwrap().get_total_revenue().unwrap();
        assert_eq!(revenue.to_string(), "100.00");
    }

    #[test]
    fn a_merchant_that_gave_everything_back_owes_the_fee() {
        let jpy: Currency = "JPY".parse().unwrap();
        let sums = Sums { merchant: Decimal::from(29), merchant_debits: Decimal::from(1000), fee: Decimal::from(-29) };
        assert_eq!(Balance::of(jpy, sums).unwrap().json().unwrap().available, "-29");
    }
}
