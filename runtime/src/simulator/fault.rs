//! Faults that tests ask for: each takes the place of one ordinary answer.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// What goes wrong with a charge request.
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
}

impl Fault {
    /// Whether the charge is made all the same.
    pub(super) const fn charges(self) -> bool {
        match self {
            Self::ErrorAfterCharging
            | Self::TimeoutAfterCharging
            | Self::ResetAfterCharging
            | Self::TruncateAfterCharging
            | Self::GarbageAfterCharging => true,
            Self::ErrorBeforeCharging | Self::TimeoutBeforeCharging | Self::ResetBeforeCharging | Self::RateLimit => {
                false
            }
        }
    }
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
}

const fn once() -> usize {
    1
}

/// Faults in the order in which they will happen.
#[derive(Debug, Default)]
pub(super) struct Faults(VecDeque<Fault>);

impl Faults {
    /// More of them would be a memory leak rather than a test.
    const WAITING_MAX: usize = 100_000;

    /// Whether there was room for them.
    pub(super) fn order(&mut self, order: FaultOrder) -> bool {
        if self.0.len() + order.count > Self::WAITING_MAX {
            return false;
        }
        self.0.extend(std::iter::repeat_n(order.fault, order.count));
        true
    }

    pub(super) fn next(&mut self) -> Option<Fault> {
        self.0.pop_front()
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}
