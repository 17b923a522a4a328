//! Faults that tests ask for: each takes the place of one ordinary answer.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// What goes wrong with a request that charges, captures, refunds or voids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// 500, and nothing was charged.
    ErrorBeforeCharging,
    /// 500, although the charge was made.
    ErrorAfterCharging,
    /// No answer, and nothing was charged.
    TimeoutBeforeCharging,
    /// No answer, although the charge was made.
    TimeoutAfterCharging,
    /// The connection breaks, and nothing was charged.
    ResetBeforeCharging,
    /// The connection breaks, although the charge was made.
    ResetAfterCharging,
    /// 200 with half a body, although the charge was made.
    TruncateAfterCharging,
    /// 200 with a web page, although the charge was made.
    GarbageAfterCharging,
    /// 429, and nothing was charged.
    RateLimit,
    /// 500, nothing was charged, and the key answers with that 500 from now on, as Stripe's keys do.
    StoredErrorBeforeCharging,
    /// 500 although the charge was made, and the key answers with that 500 from now on.
    StoredErrorAfterCharging,
}

impl Fault {
    /// Whether the charge is made all the same.
    pub(super) const fn charges(self) -> bool {
        match self {
            Self::ErrorAfterCharging
            | Self::TimeoutAfterCharging
            | Self::ResetAfterCharging
            | Self::TruncateAfterCharging
            | Self::GarbageAfterCharging
            | Self::StoredErrorAfterCharging => true,
            Self::ErrorBeforeCharging
            | Self::TimeoutBeforeCharging
            | Self::ResetBeforeCharging
            | Self::RateLimit
            | Self::StoredErrorBeforeCharging => false,
        }
    }

    /// Whether the key keeps the error.
    pub(super) const fn is_stored(self) -> bool {
        matches!(self, Self::StoredErrorBeforeCharging | Self::StoredErrorAfterCharging)
    }
}

/// A fault, and where an answer is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Trouble {
    pub(super) fault: Fault,
    /// Bytes of the body that still arrive; half of them when it does not say.
    pub(super) offset: Option<usize>,
}

/// The body of `POST /simulator/faults`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FaultOrder {
    /// Which.
    pub(super) fault: Fault,
    /// For how many of the next requests.
    #[serde(default = "once")]
    pub(super) count: usize,
    /// Bytes of the body that still arrive, for a fault that cuts.
    pub(super) offset: Option<usize>,
}

const fn once() -> usize {
    1
}

/// Faults in the order in which they will happen.
#[derive(Debug, Default)]
pub(super) struct Faults(VecDeque<Trouble>);

impl Faults {
    /// More of them would be a memory leak rather than a test.
    const WAITING_MAX: usize = 100_000;

    /// Whether there was room for them.
    pub(super) fn order(&mut self, order: FaultOrder) -> bool {
        if self.0.len() + order.count > Self::WAITING_MAX {
            return false;
        }
        let trouble = Trouble { fault: order.fault, offset: order.offset };
        self.0.extend(std::iter::repeat_n(trouble, order.count));
        true
    }

    pub(super) fn next(&mut self) -> Option<Trouble> {
        self.0.pop_front()
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}
