//! One endpoint in the hands of this process: what is at hand for it, how much may be in flight, and when it rests. Pure.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use super::deliveries::Due;
use super::leases::{Figures, LeasedRow};
use super::post::Target;
use crate::ids::MerchantId;
use crate::webhooks::schedule;

/// Posts in flight to an endpoint of which nothing is known yet.
const WINDOW_FIRST: usize = 4;
/// Posts in flight to an endpoint that answers well.
const WINDOW_MAX: usize = 64;
/// How many deliveries are read ahead for each place of the window.
const AHEAD: usize = 4;

/// One endpoint.
pub(super) struct Owned {
    pub(super) merchant: MerchantId,
    pub(super) target: Arc<Target>,
    /// Until when no other process takes it.
    pub(super) valid_until: Instant,
    /// Whether there may be something due that was not read.
    pub(super) unread: bool,
    /// Whether the latest read left something lying.
    pub(super) more: bool,
    ready: VecDeque<Due>,
    /// Deliveries that were read and are not written down yet.
    held: HashSet<i64>,
    posting: usize,
    window: usize,
    failures: u32,
    resting_until: Option<Instant>,
    last_error: Option<String>,
    last_failed_at: Option<DateTime<Utc>>,
    last_delivered_at: Option<DateTime<Utc>>,
    given_up: i64,
    pub(super) busy_at: Instant,
}

impl Owned {
    pub(super) fn new(row: &LeasedRow, target: Target, valid_until: Instant, now: Instant) -> Self {
        let failures = u32::try_from(row.failures).unwrap_or(0);
        // It goes on resting where the owner before left it.
        let rest = schedule::rest(failures, 0.0);
        let rested = Duration::from_secs_f64(row.failed_before_s.unwrap_or(f64::MAX).clamp(0.0, 3600.0));
        Self {
            merchant: row.merchant_id,
            target: Arc::new(target),
            valid_until,
            unread: true,
            more: false,
            ready: VecDeque::new(),
            held: HashSet::new(),
            posting: 0,
            window: if failures > 0 { 1 } else { WINDOW_FIRST },
            failures,
            resting_until: rest.and_then(|rest| rest.checked_sub(rested)).map(|left| now + left),
            last_error: None,
            last_failed_at: None,
            last_delivered_at: None,
            given_up: 0,
            busy_at: now,
        }
    }

    /// How many deliveries to read now.
    pub(super) fn appetite(&self, now: Instant) -> usize {
        if !self.unread || self.is_resting(now) {
            return 0;
        }
        let wanted = if self.is_probing() { 1 } else { self.window * AHEAD };
        let at_hand = self.ready.len() + self.posting.min(self.window);
        if at_hand * 2 > wanted { 0 } else { wanted - at_hand }
    }

    /// Takes what was read: what may be posted is kept, what waits for an earlier event of its payment is not.
    pub(super) fn stock(&mut self, read: Vec<Due>, asked: usize) {
        let whole = read.len() >= asked;
        let before = self.ready.len();
        let blocked = read.iter().any(|due| due.blocked);
        for due in read.into_iter().filter(|due| !due.blocked) {
            if self.held.insert(due.id) {
                self.ready.push_back(due);
            }
        }
        // What is only blocked moves when something is written down, not by reading it again.
        self.unread = whole && self.ready.len() > before;
        self.more = whole || blocked;
    }

    /// The next delivery, if there is a place for it and the lease outlasts it.
    pub(super) fn take(&mut self, now: Instant, post_limit: Duration) -> Option<Due> {
        let places = if self.is_probing() { 1 } else { self.window };
        if self.posting >= places || self.is_resting(now) || now + post_limit >= self.valid_until {
            return None;
        }
        let due = self.ready.pop_front()?;
        self.posting += 1;
        self.busy_at = now;
        Some(due)
    }

    /// A post was answered with 2xx. True when the endpoint is back after it was given rests.
    pub(super) fn succeeded(&mut self, now: DateTime<Utc>) -> bool {
        let back = self.is_probing();
        self.posting = self.posting.saturating_sub(1);
        self.failures = 0;
        self.resting_until = None;
        self.window = (self.window + 1).min(WINDOW_MAX);
        self.last_delivered_at = Some(now);
        self.unread |= back;
        back
    }

    /// There was nothing to post: what was taken has its place no longer.
    pub(super) fn not_posted(&mut self) {
        self.posting = self.posting.saturating_sub(1);
    }

    /// A post failed.
    pub(super) fn failed(&mut self, reason: &str, now: Instant, time: DateTime<Utc>, chance: f64) {
        self.posting = self.posting.saturating_sub(1);
        self.failures = self.failures.saturating_add(1);
        self.window = (self.window / 2).max(1);
        self.last_error = Some(reason.to_owned());
        self.last_failed_at = Some(time);
        if let Some(rest) = schedule::rest(self.failures, chance) {
            self.resting_until = Some(now + rest);
            // What is at hand stays in the table, for whoever owns the endpoint after the rest.
            for due in self.ready.drain(..) {
                self.held.remove(&due.id);
            }
            self.unread = true;
        }
    }

    pub(super) fn gave_up(&mut self) {
        self.given_up += 1;
    }

    /// These are in flight already.
    pub(super) fn hold(&mut self, in_flight: impl Iterator<Item = i64>) {
        for id in in_flight {
            self.held.insert(id);
            self.posting += 1;
        }
    }

    /// What came of a delivery is in the database.
    pub(super) fn written(&mut self, id: i64) {
        self.held.remove(&id);
        self.unread |= self.more;
    }

    pub(super) fn held(&self) -> impl Iterator<Item = i64> {
        self.held.iter().copied()
    }

    pub(super) fn stocked(&self) -> usize {
        self.ready.len()
    }

    /// Whether nothing is known to be due or in work.
    pub(super) fn is_idle(&self, now: Instant, idle: Duration) -> bool {
        self.held.is_empty() && self.posting == 0 && !self.is_probing() && now >= self.busy_at + idle
    }

    /// What is to be kept of it in its row; counts begin anew.
    pub(super) fn figures(&mut self) -> Figures {
        Figures {
            id: self.target.id,
            failures: i32::try_from(self.failures).unwrap_or(i32::MAX),
            given_up: std::mem::take(&mut self.given_up),
            last_error: self.last_error.clone(),
            last_failed_at: self.last_failed_at,
            last_delivered_at: self.last_delivered_at,
        }
    }

    fn is_probing(&self) -> bool {
        schedule::rest(self.failures, 0.0).is_some()
    }

    fn is_resting(&self, now: Instant) -> bool {
        self.resting_until.is_some_and(|until| now < until)
    }
}

#[cfg(test)]
#[path = "owned_tests.rs"]
mod tests;
