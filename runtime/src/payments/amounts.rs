//! What of a payment was held, taken and given back, and the status that follows from it.

use super::Status;
use crate::money::{Currency, Money};

/// Sums of one payment, in minor units of its currency. The database holds the same with checks:
/// captured + capturing ≤ authorized, refunded + refunding ≤ captured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Amounts {
    /// The payment's currency.
    pub currency: Currency,
    /// What the provider agreed to; none until it did.
    pub authorized: Option<i64>,
    /// What was taken; none until the provider agreed.
    pub captured: Option<i64>,
    /// What captures on their way may still take.
    pub capturing: i64,
    /// What went back.
    pub refunded: i64,
    /// What refunds on their way may still give back.
    pub refunding: i64,
}

impl Amounts {
    /// Of a payment that no provider has agreed to.
    #[must_use]
    pub const fn none(currency: Currency) -> Self {
        Self { currency, authorized: None, captured: None, capturing: 0, refunded: 0, refunding: 0 }
    }

    /// A payment that an earlier release took has no sums; they are those of its status.
    #[must_use]
    pub fn of_earlier_releases(self, status: Status, amount: Money) -> Self {
        let taken = matches!(status, Status::Success | Status::PartiallyRefunded | Status::Refunded);
        if self.captured.is_some() || !taken {
            return self;
        }
        Self { authorized: Some(amount.minor()), captured: Some(amount.minor()), ..self }
    }

    /// What the provider agreed to.
    #[must_use]
    pub fn authorized(&self) -> Option<Money> {
        self.authorized.map(|minor| Money::from_minor(minor, self.currency))
    }

    /// What was taken.
    #[must_use]
    pub fn captured(&self) -> Option<Money> {
        self.captured.map(|minor| Money::from_minor(minor, self.currency))
    }

    /// What went back.
    #[must_use]
    pub const fn refunded(&self) -> Money {
        Money::from_minor(self.refunded, self.currency)
    }

    /// What is held and neither taken nor about to be: the most that a capture or void can be about.
    #[must_use]
    pub fn capturable(&self) -> i64 {
        self.authorized.unwrap_or(0) - self.captured.unwrap_or(0) - self.capturing
    }

    /// What was taken and neither went back nor is about to: the most that a refund can be.
    #[must_use]
    pub fn refundable(&self) -> i64 {
        self.captured.unwrap_or(0) - self.refunded - self.refunding
    }

    /// The status of a payment that a provider has agreed to. `released`: nothing of it is held any more.
    #[must_use]
    pub fn status(&self, released: bool) -> Status {
        let captured = self.captured.unwrap_or(0);
        let held = self.authorized.unwrap_or(0) - captured;
        if held > 0 && !released {
            return Status::Authorized;
        }
        match (captured, self.refunded) {
            (0, _) => Status::Canceled,
            (_, 0) => Status::Success,
            (captured, refunded) if refunded < captured => Status::PartiallyRefunded,
            _ => Status::Refunded,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn amounts(authorized: i64, captured: i64, refunded: i64) -> Amounts {
        let currency = "USD".parse().unwrap();
        Amounts { authorized: Some(authorized), captured: Some(captured), refunded, ..Amounts::none(currency) }
    }

    #[test]
    fn the_status_follows_from_the_sums() {
        for (authorized, captured, refunded, released, status) in [
            (100, 0, 0, false, Status::Authorized),
            (100, 40, 0, false, Status::Authorized),
            (100, 40, 40, false, Status::Authorized),
            (100, 0, 0, true, Status::Canceled),
            (100, 40, 0, true, Status::Success),
            (100, 100, 0, false, Status::Success),
            (100, 40, 10, true, Status::PartiallyRefunded),
            (100, 40, 40, true, Status::Refunded),
            (100, 100, 100, false, Status::Refunded),
        ] {
            assert_eq!(amounts(authorized, captured, refunded).status(released), status);
        }
    }

    #[test]
    fn what_is_on_its_way_is_neither_capturable_nor_refundable() {
        let on_its_way = Amounts { capturing: 30, refunding: 15, ..amounts(100, 40, 10) };
        assert_eq!((on_its_way.capturable(), on_its_way.refundable()), (30, 15));
    }

    #[test]
    fn a_payment_of_an_earlier_release_was_taken_whole() {
        let currency = "USD".parse().unwrap();
        let whole = Money::from_minor(100, currency);
        let old = Amounts::none(currency);
        assert_eq!(old.of_earlier_releases(Status::Success, whole), amounts(100, 100, 0));
        assert_eq!(old.of_earlier_releases(Status::Failed, whole), old);
        assert_eq!(old.of_earlier_releases(Status::Pending, whole), old);
    }
}
