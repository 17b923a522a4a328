//! A budget of retries per provider: each first attempt earns a part of a retry, so that an outage of a provider, when
//! every payment is tried again, does not multiply what it is asked to bear. Pure; time is passed in.

use std::collections::HashMap;
use std::time::Instant;

/// What one first attempt earns: one retry for every five payments.
const EARNED: f64 = 0.2;
/// What time earns, per second: without any first attempts retries still trickle.
const EARNED_PER_SECOND: f64 = 10.0;
/// The most that is saved up, and what there is at the start.
const SAVED_MAX: f64 = 100.0;

/// The budgets of all providers.
#[derive(Debug, Default)]
pub(super) struct Budget(HashMap<String, Account>);

#[derive(Debug)]
struct Account {
    saved: f64,
    at: Instant,
}

impl Budget {
    /// A payment goes to this provider for the first time.
    pub(super) fn earn(&mut self, resource: &str, now: Instant) {
        let account = self.account(resource, now);
        account.saved = (account.saved + EARNED).min(SAVED_MAX);
    }

    /// Whether a retry at this provider is within its budget.
    pub(super) fn may_spend(&mut self, resource: &str, now: Instant) -> bool {
        self.account(resource, now).saved >= 1.0
    }

    /// Takes a retry at this provider from its budget. Whether there was one.
    pub(super) fn spend(&mut self, resource: &str, now: Instant) -> bool {
        let account = self.account(resource, now);
        let allowed = account.saved >= 1.0;
        if allowed {
            account.saved -= 1.0;
        }
        allowed
    }

    fn account(&mut self, resource: &str, now: Instant) -> &mut Account {
        let account = self.0.entry(resource.to_owned()).or_insert(Account { saved: SAVED_MAX, at: now });
        let elapsed = now.saturating_duration_since(account.at).as_secs_f64();
        account.saved = (account.saved + elapsed * EARNED_PER_SECOND).min(SAVED_MAX);
        account.at = account.at.max(now);
        account
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn spent(budget: &mut Budget, resource: &str, now: Instant) -> usize {
        (0..1000).filter(|_| budget.spend(resource, now)).count()
    }

    #[test]
    fn what_was_saved_is_spent_once_and_then_time_earns_it_again() {
        let (mut budget, start) = (Budget::default(), Instant::now());
        assert_eq!(spent(&mut budget, "stripe", start), 100);
        assert!(!budget.may_spend("stripe", start));
        assert_eq!(spent(&mut budget, "paypal", start), 100, "each provider has its own");
        assert_eq!(spent(&mut budget, "stripe", start + Duration::from_secs(2)), 20);
        assert_eq!(spent(&mut budget, "stripe", start + Duration::from_secs(3600)), 100);
    }

    #[test]
    fn payments_earn_a_retry_for_every_five_of_them() {
        let (mut budget, now) = (Budget::default(), Instant::now());
        spent(&mut budget, "stripe", now);
        (0..51).for_each(|_| budget.earn("stripe", now));
        assert_eq!(spent(&mut budget, "stripe", now), 10);
    }
}
