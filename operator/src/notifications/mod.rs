//! Who is told how releases go, and in which words. ★ Pure: [`crate::courier`] carries what is made here.
//!
//! What has happened is the difference of two statuses, as for Events ([`happened`]). It is owed to those who want to know, and
//! stands in the status until they know it, by the same write that says it has happened ([`owed`]). So an operator that dies in
//! between is followed by one that tells it; where it died after telling, it is told twice, with the same id.

mod alertmanager;
mod check;
mod happened;
mod letter;
mod outbox;
mod slack;
mod template;
#[cfg(test)]
mod tests;
mod webhook;

use std::collections::{BTreeMap, BTreeSet};

pub use check::verdict;
pub use letter::{Address, Body, Letter, letters};
pub use outbox::owed;

use crate::secrets::SecretState;

/// What is known of those who are to be told.
#[derive(Clone, Debug, Default)]
pub struct SeenNotifications {
    /// The Secrets with their URLs, by the name of the notification.
    pub secrets: BTreeMap<String, SecretState>,
    /// What was told, or given up, since the status was last written.
    pub ended: BTreeSet<Delivery>,
}

/// One thing to one of those who are to be told.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Delivery {
    /// `id` of what is owed.
    pub id: String,
    /// Name of the notification.
    pub to: String,
}
