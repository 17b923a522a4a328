//! What the provider did, by its own account: every charge with its captures and refunds.
//!
//! This is the judge of "charged once", so it never takes our side: it counts each charge that it was made to make.

use std::collections::{BTreeMap, HashMap};

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

/// The wire format that a charge came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Dialect {
    /// PaymentIntents and Refunds.
    Stripe,
    /// Orders and Payments.
    Paypal,
}

/// Where a charge stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Refused; no money was touched.
    Declined,
    /// An amount is held, or what captures left of it.
    Held,
    /// Taken, and nothing more is held.
    Taken,
    /// Given free before anything was taken.
    Canceled,
}

/// A capture or a refund.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Movement {
    /// The provider's name for it.
    pub id: String,
    /// In the provider's smallest unit.
    pub amount: i64,
    /// Seconds since 1970.
    pub created: i64,
    /// The capture that a refund was made of, where the provider wants to know.
    pub of: Option<String>,
    /// Whatever the caller attached.
    pub metadata: BTreeMap<String, String>,
    /// The caller's key.
    pub idempotency_key: Option<String>,
}

/// One charge.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Charge {
    /// `pi_…` at Stripe, the order at PayPal.
    pub id: String,
    /// The wire format.
    pub dialect: Dialect,
    /// `ch_…` at Stripe; the authorization, or the capture of what is taken at once, at PayPal.
    pub charge: String,
    /// In the provider's smallest unit.
    pub amount: i64,
    /// ISO 4217, in upper case.
    pub currency: String,
    /// Where it stands.
    pub state: State,
    /// Whether it was held first.
    pub manual: bool,
    /// Whether several captures are allowed.
    pub multicapture: bool,
    /// The token that was charged.
    pub payment_method: String,
    /// Whatever the caller attached.
    pub metadata: BTreeMap<String, String>,
    /// Seconds since 1970.
    pub created: i64,
    /// Until when a held amount is held, in seconds since 1970.
    pub held_until: i64,
    /// Why it was declined, in the words of its wire format.
    pub decline: Option<Value>,
    /// The caller's key.
    pub idempotency_key: Option<String>,
    /// In the order in which they were made.
    pub captures: Vec<Movement>,
    /// In the order in which they were made.
    pub refunds: Vec<Movement>,
}

/// For how long an amount is held.
pub(super) const HOLD_S: i64 = 7 * 24 * 3600;

impl Charge {
    /// Money that was taken.
    #[must_use]
    pub fn captured(&self) -> i64 {
        self.captures.iter().map(|capture| capture.amount).sum()
    }

    /// Money that went back.
    #[must_use]
    pub fn refunded(&self) -> i64 {
        self.refunds.iter().map(|refund| refund.amount).sum()
    }

    /// What is held and can still be taken.
    #[must_use]
    pub fn capturable(&self) -> i64 {
        if self.state == State::Held { self.amount - self.captured() } else { 0 }
    }

    /// Whether the provider agreed to it.
    #[must_use]
    pub fn is_approved(&self) -> bool {
        self.state != State::Declined
    }

    /// The charge as it was in the answer that told of its making.
    pub(super) fn as_made(&self) -> Self {
        let mut made = Self { refunds: Vec::new(), ..self.clone() };
        if made.manual && made.is_approved() {
            (made.state, made.captures) = (State::Held, Vec::new());
            made.metadata.retain(|key, _| !key.starts_with("cap_"));
        }
        made
    }

    /// Gives free what was held for too long.
    pub(super) fn settle_hold(&mut self, now: i64) {
        if self.state == State::Held && now >= self.held_until {
            self.release();
        }
    }

    /// Gives free what is held.
    pub(super) fn release(&mut self) {
        self.state = if self.captures.is_empty() { State::Canceled } else { State::Taken };
    }

    /// Takes an amount that is held.
    pub(super) fn capture(&mut self, capture: Movement, is_final: bool) {
        self.captures.push(capture);
        if is_final || self.captured() >= self.amount {
            self.state = State::Taken;
        }
    }
}

/// A name such as `pi_…`, or one in PayPal's capitals.
pub(super) fn name(dialect: Dialect, prefix: &str) -> String {
    let unique = Uuid::now_v7().simple().to_string();
    match dialect {
        Dialect::Stripe => format!("{prefix}_{unique}"),
        Dialect::Paypal => unique.to_uppercase(),
    }
}

/// The charges, in the order in which they were made.
#[derive(Debug, Default)]
pub struct Book {
    charges: Vec<Charge>,
    /// Every name that anything has.
    by_name: HashMap<String, usize>,
}

impl Book {
    /// Every charge that was asked for, the declined ones too.
    #[must_use]
    pub fn charges(&self) -> &[Charge] {
        &self.charges
    }

    /// The charge that a name belongs to, be it the charge's own or that of a capture or a refund.
    pub(super) fn find(&self, dialect: Dialect, name: &str) -> Option<&Charge> {
        self.by_name.get(name).map(|&index| &self.charges[index]).filter(|charge| charge.dialect == dialect)
    }

    /// One charge by its place.
    pub(super) fn at(&self, index: usize) -> Option<&Charge> {
        self.charges.get(index)
    }

    /// The newest charge that carries this metadata.
    pub(super) fn search(&self, dialect: Dialect, key: &str, value: &str) -> Option<&Charge> {
        let carries = |charge: &&Charge| charge.metadata.get(key).is_some_and(|found| found == value);
        self.charges.iter().rev().filter(|charge| charge.dialect == dialect).find(carries)
    }

    /// Puts a charge, new or changed, in its place.
    pub(super) fn put(&mut self, charge: Charge) -> usize {
        let index = self.by_name.get(&charge.id).copied().unwrap_or(self.charges.len());
        let names = charge.captures.iter().chain(&charge.refunds).map(|movement| &movement.id);
        for name in names.chain([&charge.id, &charge.charge]) {
            if !self.by_name.contains_key(name) {
                self.by_name.insert(name.clone(), index);
            }
        }
        match self.charges.get_mut(index) {
            Some(place) => *place = charge,
            None => self.charges.push(charge),
        }
        index
    }
}
