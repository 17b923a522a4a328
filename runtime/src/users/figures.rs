//! What became of a user's payments, in numbers.

use rust_decimal::Decimal;
use sqlx::PgExecutor;

use crate::ids::UserId;

/// A user's payments, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, sqlx::FromRow)]
pub struct UserFigures {
    total: i64,
    successful: i64,
    /// At their end, with or without success; not those that were called off.
    ended: i64,
}

impl UserFigures {
    /// How many payments there were.
    #[must_use]
    pub const fn get_total_transaction_count(&self) -> i64 {
        self.total
    }

    /// How many of those at their end took money, in percent with two decimals; none while none is at its end.
    #[must_use]
    pub fn get_success_rate(&self) -> Option<Decimal> {
        let rate = Decimal::from(self.successful * 100).checked_div(Decimal::from(self.ended))?;
        Some(rate.round_dp(2))
    }
}

/// The figures of one user.
///
/// # Errors
/// When the database does not answer.
pub async fn of(executor: impl PgExecutor<'_>, user: UserId) -> Result<UserFigures, sqlx::Error> {
    sqlx::query_as(
        "select count(*) as total,
             count(*) filter (where status in ('SUCCESS', 'PARTIALLY_REFUNDED', 'REFUNDED')) as successful,
             count(*) filter (where status in ('SUCCESS', 'PARTIALLY_REFUNDED', 'REFUNDED', 'FAILED')) as ended
         from transactions where user_id = $1",
    )
    .bind(user)
    .fetch_one(executor)
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_success_rate_is_that_of_payments_at_their_end() {
        let figures = UserFigures { total: 5, successful: 2, ended: 3 };
        assert_eq!(figures.get_success_rate(), Some(Decimal::new(6667, 2)));
        assert_eq!(figures.get_total_transaction_count(), 5);
        assert_eq!(UserFigures { total: 1, successful: 0, ended: 0 }.get_success_rate(), None);
        assert_eq!(UserFigures { total: 1, successful: 1, ended: 1 }.get_success_rate(), Some(Decimal::ONE_HUNDRED));
    }
}
