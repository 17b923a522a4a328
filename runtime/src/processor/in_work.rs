//! What a worker has in work: the claims that it keeps alive, and gives back when it has to end before they do.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::queue::Lease;

/// The claims that are in work.
#[derive(Debug, Default)]
pub(super) struct InWork(Mutex<HashSet<Lease>>);

impl InWork {
    /// Counts a claim among them for as long as what is returned lives.
    pub(super) fn enter(&self, lease: Lease) -> Entry<'_> {
        self.claims().insert(lease);
        Entry { in_work: self, lease }
    }

    pub(super) fn leases(&self) -> Vec<Lease> {
        self.claims().iter().copied().collect()
    }

    fn claims(&self) -> MutexGuard<'_, HashSet<Lease>> {
        // A set of numbers is whole even if somebody panicked beside it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Stands for an item in work; gone when it is not, however that came about.
pub(super) struct Entry<'a> {
    in_work: &'a InWork,
    lease: Lease,
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        self.in_work.claims().remove(&self.lease);
    }
}
