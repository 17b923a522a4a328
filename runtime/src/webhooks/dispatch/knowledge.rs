//! Whose endpoints are where: which merchants this process delivers for, and for whom another process has to be told.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use crate::ids::MerchantId;

/// How long it is believed. What changed meanwhile is found by looking into the table.
const BELIEVED: Duration = Duration::from_secs(10);
/// Far more merchants than are active within that time.
const ENTRIES_MAX: usize = 50_000;

#[derive(Default)]
pub(super) struct Knowledge {
    merchants: HashMap<MerchantId, (Instant, bool)>,
    to_tell: HashSet<MerchantId>,
}

impl Knowledge {
    /// Events of these merchants were committed here. Returns those that nothing is known of.
    pub(super) fn rung(&mut self, merchants: &HashSet<MerchantId>, now: Instant) -> Vec<MerchantId> {
        let mut unknown = Vec::new();
        for merchant in merchants {
            match self.merchants.get(merchant) {
                Some((until, elsewhere)) if now < *until => {
                    if *elsewhere {
                        self.to_tell.insert(*merchant);
                    }
                }
                _ => unknown.push(*merchant),
            }
        }
        unknown
    }

    /// What was found out about merchants: those with an endpoint that another process owns, and the rest.
    pub(super) fn learn(&mut self, merchants: &[MerchantId], elsewhere: &[MerchantId], now: Instant) {
        if self.merchants.len() >= ENTRIES_MAX {
            self.merchants.clear();
        }
        for merchant in merchants {
            let is_elsewhere = elsewhere.contains(merchant);
            self.merchants.insert(*merchant, (now + BELIEVED, is_elsewhere));
            if is_elsewhere {
                self.to_tell.insert(*merchant);
            }
        }
    }

    /// Whom other processes are to be told of.
    pub(super) fn take_to_tell(&mut self) -> HashSet<MerchantId> {
        std::mem::take(&mut self.to_tell)
    }
}

#[cfg(test)]
mod tests {
    use chrono::Utc;

    use super::*;

    #[test]
    fn another_process_is_told_only_of_merchants_whose_endpoints_it_has() {
        let now = Instant::now();
        let (mine, theirs, nobodys) =
            (MerchantId::at(Utc::now()), MerchantId::at(Utc::now()), MerchantId::at(Utc::now()));
        let all = HashSet::from([mine, theirs, nobodys]);
        let mut knowledge = Knowledge::default();
        assert_eq!(knowledge.rung(&all, now).len(), 3);
        knowledge.learn(&[mine, theirs, nobodys], &[theirs], now);
        assert_eq!(knowledge.take_to_tell(), HashSet::from([theirs]));
        assert!(knowledge.rung(&all, now).is_empty());
        assert_eq!(knowledge.take_to_tell(), HashSet::from([theirs]));
        assert!(knowledge.take_to_tell().is_empty());
        assert_eq!(knowledge.rung(&all, now + BELIEVED).len(), 3, "it is not believed for ever");
    }
}
