//! Whether a canary's trouble is its own: the release before it, which stands on the same, is the witness. ★ Pure.

use runtime_contract::{ReleaseFigures, Slice};

use super::compare::{self, Baseline};
use super::suspicion::{Patience, SHORTEST, SURE, broken, count, latest};
use super::tally::{self, Second};

/// A canary with few payments is watched for so many seconds from its first one, before it goes on.
const WATCHED: usize = 2 * SHORTEST;
/// Deviations by which a canary is worse in a second.
const WORSE: f64 = 2.0;

/// Cases and bad ones among them, by some limit.
pub(super) type Tally<'a> = dyn Fn(&[Slice]) -> Vec<Second> + 'a;
/// How long bad seconds are borne, by what counts as bad and the share of it that is allowed.
pub(super) type Patiently<'a> = dyn Fn(&Tally<'_>, f64) -> Patience + 'a;

/// The release before a canary.
pub(super) struct Witness<'a> {
    slices: &'a [Slice],
    pub(super) baseline: Option<Baseline>,
    is_well_known: bool,
}

impl<'a> Witness<'a> {
    pub(super) fn new(before: &'a ReleaseFigures) -> Self {
        let baseline = compare::baseline(before);
        let is_well_known = baseline.and_then(|found| found.of_many).is_some() && is_counted(&before.slices);
        Self { slices: &before.slices, baseline, is_well_known }
    }

    /// How long the canary's bad seconds are borne. That of a release before which is slow excuses no payments that fail: it
    /// has to have a part in the very trouble, be it ever so small. And it excuses no more than its part.
    pub(super) fn patience(&self, canary: &[Slice], tally: &Tally<'_>, allowed: f64) -> Patience {
        let now = tally(latest(self.slices, 2 * SHORTEST));
        match broken(&now, allowed, Patience::Hardly) {
            Some(_) if !is_worse(&self.beside(latest(canary, SHORTEST), tally)) => Patience::Shared,
            Some(_) | None if self.is_well_known => Patience::Beside,
            Some(_) | None => Patience::Alone,
        }
    }

    /// Seconds of a canary, each with the same one of the release before.
    fn beside(&self, canary: &[Slice], tally: &Tally<'_>) -> Vec<(Second, Second)> {
        let one = |slice: &Slice| tally(std::slice::from_ref(slice)).first().copied();
        let same = |second: i64| self.slices.iter().rev().find(|slice| slice.second == second);
        canary.iter().filter_map(|slice| Some((one(slice)?, one(same(slice.second)?)?))).collect()
    }

    /// Why a canary that nothing is to be said against is not acquitted yet. The next step may have all of the traffic, and then
    /// there is nothing any more to compare with: it is looked at for as long as a conviction takes.
    pub(super) fn too_early(&self, canary: &[Slice]) -> Option<String> {
        let first = canary.iter().position(has_payments)?;
        let with_payments = canary.iter().filter(|slice| has_payments(slice)).count();
        // Where there are hardly any payments, waiting longer tells no more. Seconds without figures tell nothing.
        let is_watched = with_payments >= SHORTEST || canary.len() - first >= WATCHED;
        let is_too_early = self.baseline.is_some() && !is_watched;
        is_too_early.then(|| format!("it has had payments in {with_payments} seconds; to compare it takes {SHORTEST}"))
    }
}

/// Whether a canary is worse than the release before in the very same seconds: were its cases in a second drawn from those of both,
/// so many bad ones among them would be no bad luck (the test of Cochran, Mantel and Haenszel,
/// <https://en.wikipedia.org/wiki/Cochran%E2%80%93Mantel%E2%80%93Haenszel_statistics>). What hits both alike tells nothing, however
/// bad it is.
fn is_worse(pairs: &[(Second, Second)]) -> bool {
    let (mut excess, mut variance, mut worse) = (0.0, 0.0, 0);
    for (canary, before) in pairs {
        if canary.cases == 0 || before.cases == 0 {
            continue;
        }
        let (own, others) = (count(canary.cases), count(before.cases));
        let (all, bad) = (own + others, count(canary.bad + before.bad));
        let above = count(canary.bad) - own * bad / all;
        let scatter = own * others * bad * (all - bad) / (all * all * (all - 1.0));
        excess += above;
        variance += scatter;
        worse += usize::from(above > WORSE * scatter.sqrt());
    }
    // As many of its own as convict beside a release that does well, whatever that one has a part in besides.
    worse >= Patience::Beside.seconds_min() && excess > SURE * f64::sqrt(variance)
}

/// Whether there are payments in each of the last seconds: of one that tells nothing of a second, or lost its count, nobody
/// knows how it does.
fn is_counted(slices: &[Slice]) -> bool {
    latest(slices, SHORTEST).iter().all(has_payments)
}

fn has_payments(slice: &Slice) -> bool {
    tally::payments(std::slice::from_ref(slice)) > 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(number: usize, canary: (u64, u64), before: (u64, u64)) -> Vec<(Second, Second)> {
        let second = |(cases, bad)| Second { cases, bad };
        vec![(second(canary), second(before)); number]
    }

    #[test]
    fn what_hits_both_alike_tells_nothing() {
        assert!(!is_worse(&[]));
        assert!(!is_worse(&seconds(5, (10, 10), (50, 50))), "all of both");
        assert!(!is_worse(&seconds(5, (10, 5), (50, 25))), "half of both");
        assert!(!is_worse(&seconds(5, (50, 50), (1, 1))), "and when there is hardly one to compare with");
        assert!(!is_worse(&seconds(5, (10, 10), (0, 0))), "or none");
    }

    #[test]
    fn three_seconds_in_which_it_is_worse_are_its_own_trouble() {
        for (worse, expected) in [(2, false), (3, true)] {
            let hiccup = seconds(5 - worse, (3, 3), (50, 50));
            assert_eq!(is_worse(&[seconds(worse, (3, 3), (50, 1)), hiccup].concat()), expected, "{worse}");
        }
        assert!(is_worse(&seconds(3, (3, 3), (50, 8))), "even where the release before has some trouble throughout");
        assert!(!is_worse(&seconds(5, (3, 1), (50, 8))));
    }
}
