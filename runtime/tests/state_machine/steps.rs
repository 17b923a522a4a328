//! What may happen, and how often.

use proptest::prelude::*;
use proptest::sample::{Index, select};

/// What happens next.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Payments are accepted.
    Accept { count: usize, manual: bool, declined: bool },
    /// A merchant asks something of one payment; `fitting`: of one that looks as if it could be done.
    Ask { which: Index, fitting: bool, asked: Vec<Asked> },
    /// What is due is claimed and brought forward, while the provider misbehaves so many times.
    Work { fault: Option<Fault>, count: usize },
    /// The same, and the process dies after so many milliseconds, with all that it has in memory.
    Die { fault: Option<Fault>, after_ms: u64 },
    /// A worker stands still for longer than its lease, another one takes over, and the first one goes on.
    StandStill { fault: Option<Fault> },
    /// Delays and leases of all run out.
    TimePasses,
    /// Messages of the provider make a payment and its operations due at once.
    Nudge { which: Index },
    /// The time of what is held is over: by our calendar, at the provider, or both.
    HoldEnds { which: Index, here: bool, there: bool },
    /// What is held for too long is given up.
    Sweep,
}

/// What a merchant asks of a payment. Without an amount: all there is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Asked {
    Capture { cents: Option<i64>, is_final: bool },
    Refund { cents: Option<i64> },
    Cancel,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    ErrorBefore,
    ErrorAfter,
    ResetBefore,
    ResetAfter,
    TruncateAfter,
    GarbageAfter,
    TimeoutBefore,
    TimeoutAfter,
}

impl Fault {
    const ALL: [Self; 8] = [
        Self::ErrorBefore,
        Self::ErrorAfter,
        Self::ResetBefore,
        Self::ResetAfter,
        Self::TruncateAfter,
        Self::GarbageAfter,
        Self::TimeoutBefore,
        Self::TimeoutAfter,
    ];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::ErrorBefore => "error_before_charging",
            Self::ErrorAfter => "error_after_charging",
            Self::ResetBefore => "reset_before_charging",
            Self::ResetAfter => "reset_after_charging",
            Self::TruncateAfter => "truncate_after_charging",
            Self::GarbageAfter => "garbage_after_charging",
            Self::TimeoutBefore => "timeout_before_charging",
            Self::TimeoutAfter => "timeout_after_charging",
        }
    }
}

/// A whole story. It begins with something that can be captured and refunded, or else there would be little of that.
pub(crate) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let begin = [
        Step::Accept { count: 3, manual: true, declined: false },
        Step::Accept { count: 1, manual: false, declined: false },
        Step::Work { fault: None, count: 0 },
    ];
    prop::collection::vec(step(), 4..32).prop_map(move |steps| begin.iter().cloned().chain(steps).collect())
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => (1..4_usize, prop::bool::weighted(0.6), prop::bool::weighted(0.2))
            .prop_map(|(count, manual, declined)| Step::Accept { count, manual, declined }),
        8 => (any::<Index>(), prop::bool::weighted(0.85), prop::collection::vec(asked(), 1..4))
            .prop_map(|(which, fitting, asked)| Step::Ask { which, fitting, asked }),
        6 => (fault(), 1..4_usize).prop_map(|(fault, count)| Step::Work { fault, count }),
        4 => (fault(), 0..25_u64).prop_map(|(fault, after_ms)| Step::Die { fault, after_ms }),
        1 => fault().prop_map(|fault| Step::StandStill { fault }),
        3 => Just(Step::TimePasses),
        1 => any::<Index>().prop_map(|which| Step::Nudge { which }),
        1 => (any::<Index>(), select(vec![(true, false), (false, true), (true, true)]))
            .prop_map(|(which, (here, there))| Step::HoldEnds { which, here, there }),
        1 => Just(Step::Sweep),
    ]
}

fn asked() -> impl Strategy<Value = Asked> {
    prop_oneof![
        5 => (cents(), prop::bool::weighted(0.2)).prop_map(|(cents, is_final)| Asked::Capture { cents, is_final }),
        5 => cents().prop_map(|cents| Asked::Refund { cents }),
        1 => Just(Asked::Cancel),
    ]
}

/// Of a payment of 10.50: often a part of it, sometimes more than there is.
fn cents() -> impl Strategy<Value = Option<i64>> {
    prop_oneof![1 => Just(None), 4 => (1..500_i64).prop_map(Some), 1 => (1..1_200_i64).prop_map(Some)]
}

fn fault() -> impl Strategy<Value = Option<Fault>> {
    prop::option::of(select(&Fault::ALL[..]))
}
