//! Journals: which accounts an outcome moves, and by how much. Pure.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::ids::{MerchantId, PaymentId, UserId};
use crate::money::{Money, MoneyError};

/// An account of the ledger, in one currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Account {
    /// What a user paid: always square in the end, since what is paid is passed on at once.
    Customer(UserId),
    /// What the platform owes a merchant.
    Merchant(MerchantId),
    /// What the platform earned from a merchant.
    Fee(MerchantId),
    /// What a provider holds for the platform: id of the row in `payment_providers`.
    ProviderClearing(i32),
}

impl Account {
    /// As in the database.
    #[must_use]
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Customer(_) => "CUSTOMER",
            Self::Merchant(_) => "MERCHANT",
            Self::Fee(_) => "FEE",
            Self::ProviderClearing(_) => "PROVIDER_CLEARING",
        }
    }

    /// The user or merchant it belongs to.
    #[must_use]
    pub const fn owner(self) -> Option<Uuid> {
        match self {
            Self::Customer(user) => Some(user.as_uuid()),
            Self::Merchant(merchant) | Self::Fee(merchant) => Some(merchant.as_uuid()),
            Self::ProviderClearing(_) => None,
        }
    }

    /// The provider it belongs to.
    #[must_use]
    pub const fn provider(self) -> Option<i32> {
        match self {
            Self::ProviderClearing(provider) => Some(provider),
            _ => None,
        }
    }
}

/// One line: debits positive, credits negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// The account.
    pub account: Account,
    /// Signed amount.
    pub amount: Money,
}

/// What one outcome moves. Its lines sum to zero, or the database refuses it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Journal {
    /// Id of the attempt or operation: the same outcome is posted once.
    pub id: Uuid,
    /// The payment.
    pub payment_id: PaymentId,
    /// When it is posted.
    pub created_at: DateTime<Utc>,
    /// Its lines.
    pub lines: Vec<Line>,
}

/// Who takes part in a payment.
#[derive(Clone, Copy, Debug)]
pub struct Parties {
    /// Who pays.
    pub user: UserId,
    /// Who receives.
    pub merchant: MerchantId,
    /// Who moves the money.
    pub provider: i32,
}

impl Journal {
    /// Money taken: the provider holds it for us, the customer has paid it, the merchant is owed it less the fee.
    ///
    /// # Errors
    /// When the fee is in another currency, or a sum is beyond bounds.
    pub fn capture(
        id: Uuid,
        payment_id: PaymentId,
        parties: Parties,
        amount: Money,
        fee: Money,
        created_at: DateTime<Utc>,
    ) -> Result<Self, MoneyError> {
        let owed = amount.checked_add(fee.negated())?;
        let lines = vec![
            Line { account: Account::ProviderClearing(parties.provider), amount },
            Line { account: Account::Customer(parties.user), amount: amount.negated() },
            Line { account: Account::Customer(parties.user), amount },
            Line { account: Account::Merchant(parties.merchant), amount: owed.negated() },
            Line { account: Account::Fee(parties.merchant), amount: fee.negated() },
        ];
        Ok(Self::of(id, payment_id, created_at, lines))
    }

    /// Money given back: the merchant bears all of it; the fee of the capture stays earned.
    #[must_use]
    pub fn refund(id: Uuid, payment_id: PaymentId, parties: Parties, amount: Money, created_at: DateTime<Utc>) -> Self {
        let lines = vec![
            Line { account: Account::Merchant(parties.merchant), amount },
            Line { account: Account::Customer(parties.user), amount: amount.negated() },
            Line { account: Account::Customer(parties.user), amount },
            Line { account: Account::ProviderClearing(parties.provider), amount: amount.negated() },
        ];
        Self::of(id, payment_id, created_at, lines)
    }

    /// Lines of nothing, such as the fee of a merchant who pays none, are left out.
    fn of(id: Uuid, payment_id: PaymentId, created_at: DateTime<Utc>, lines: Vec<Line>) -> Self {
        let lines = lines.into_iter().filter(|line| line.amount.minor() != 0).collect();
        Self { id, payment_id, created_at, lines }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parties() -> Parties {
        Parties { user: UserId::at(Utc::now()), merchant: MerchantId::at(Utc::now()), provider: 1 }
    }

    fn usd(minor: i64) -> Money {
        Money::from_minor(minor, "USD".parse().unwrap())
    }

    fn total(journal: &Journal) -> i64 {
        journal.lines.iter().map(|line| line.amount.minor()).sum()
    }

    #[test]
    fn every_journal_sums_to_zero() {
        let (id, payment, now) = (Uuid::now_v7(), PaymentId::at(Utc::now()), Utc::now());
        for fee in [0, 1, 29, 1000] {
            let journal = Journal::capture(id, payment, parties(), usd(1000), usd(fee), now).unwrap();
            assert_eq!(total(&journal), 0);
            assert!(journal.lines.iter().all(|line| line.amount.minor() != 0));
        }
        assert_eq!(total(&Journal::refund(id, payment, parties(), usd(700), now)), 0);
    }

    #[test]
    fn a_merchant_is_owed_what_was_taken_less_the_fee() {
        let parties = parties();
        let journal =
            Journal::capture(Uuid::now_v7(), PaymentId::at(Utc::now()), parties, usd(1000), usd(29), Utc::now());
        let owed: i64 = journal
            .unwrap()
            .lines
            .iter()
            .filter(|line| line.account == Account::Merchant(parties.merchant))
            .map(|line| line.amount.minor())
            .sum();
        assert_eq!(owed, -971);
    }
}
