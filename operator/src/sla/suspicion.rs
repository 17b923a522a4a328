//! The test behind every limit of the form "at most so many of a hundred": is it broken, beyond bad luck? ★ Pure.
//!
//! Each second brings some cases, of which some are bad. If the share `allowed` were just met, the number of bad ones would
//! scatter around its mean with a known deviation. The last seconds are summed up, the last five, ten, twenty and so on; a sum that
//! lies more than [`SURE`] deviations above its mean is a breach. Short sums catch what is grave within seconds, long ones catch
//! what is slight.
//!
//! A hiccup must convict nobody, however bad, so a second counts for so many deviations at most ([`Patience`]), and a breach takes
//! some seconds that have a part in it. And one good second among bad ones must acquit nobody: it counts for [`SECOND_MIN`] at least.
//!
//! Where there are few cases, chance does not scatter as a bell: two of three may well be bad luck that five deviations deny. So
//! the bad ones of all have to be as unlikely by Chernoff's bound too (<https://en.wikipedia.org/wiki/Chernoff_bound>).

use super::tally::Second;

/// Deviations that are no bad luck any more: at the very limit, one in three million sums exceeds this.
pub(super) const SURE: f64 = 5.0;
/// Fewest deviations that one second counts for.
const SECOND_MIN: f64 = -1.0;
/// A second whose share of bad cases is less than this part of that of all of them has no part in the trouble: after four seconds
/// of a hiccup, a bad case of the usual kind is no fifth.
const PART_MIN: f64 = 0.5;
/// The shortest sum, in seconds; each further one is twice as long.
pub(super) const SHORTEST: usize = 5;

/// How long bad seconds are borne.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patience {
    /// Five in a row are the least that is a breach: whatever the release stands on may have hiccups.
    Alone,
    /// Three out of five are: another release stands on the same, and does well.
    Beside,
    /// Nine out of ten are: the other release has a part in the trouble, so it is rather what both stand on.
    Shared,
    /// Hardly any: for the other release, which does not do well if it has but a part in a hiccup.
    Hardly,
}

impl Patience {
    /// Most deviations that one second counts for.
    const fn second_max(self) -> f64 {
        match self {
            Self::Alone => 2.5,
            Self::Shared => 2.0,
            Self::Beside => 5.0,
            // Not infinitely many: a second without cases counts for none.
            Self::Hardly => f64::MAX,
        }
    }

    /// Fewest deviations that one second counts for: good seconds are no answer to a part in a hiccup.
    const fn second_min(self) -> f64 {
        match self {
            Self::Alone | Self::Beside | Self::Shared => SECOND_MIN,
            Self::Hardly => 0.0,
        }
    }

    /// Deviations that are no bad luck any more.
    const fn sure(self) -> f64 {
        match self {
            Self::Alone | Self::Beside | Self::Shared => SURE,
            Self::Hardly => 2.0,
        }
    }

    /// Chernoff's exponent of what is no bad luck any more. Who has but a part in a hiccup has good seconds besides.
    const fn surprise_min(self) -> f64 {
        match self {
            Self::Alone | Self::Beside | Self::Shared => SURE * SURE / 2.0,
            Self::Hardly => 0.0,
        }
    }

    /// Fewer seconds with a part in the trouble convict nobody, however bad: those of a release that had no cases before them are
    /// all that there is to sum.
    pub(super) const fn seconds_min(self) -> usize {
        match self {
            Self::Alone => 5,
            Self::Shared => 9,
            Self::Beside => 3,
            Self::Hardly => 1,
        }
    }

    /// Fewer bad cases convict nobody, whatever their share.
    const fn bad_min(self) -> u64 {
        match self {
            Self::Alone | Self::Beside | Self::Shared => 5,
            Self::Hardly => 2,
        }
    }
}

/// The sum that tells most clearly that a limit is broken.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Finding {
    /// Over so many seconds.
    pub(super) seconds: usize,
    /// Cases in these.
    pub(super) cases: u64,
    /// Bad ones among these.
    pub(super) bad: u64,
}

impl Finding {
    /// Bad cases of all, in percent.
    pub(super) fn bad_percent(self) -> f64 {
        100.0 * self.share()
    }

    fn share(self) -> f64 {
        count(self.bad) / count(self.cases)
    }

    /// How many of its seconds have a part in the trouble.
    fn taking_part(self, seconds: &[Second]) -> usize {
        let least = PART_MIN * self.share();
        let takes_part = |second: &&Second| second.bad > 0 && count(second.bad) >= least * count(second.cases);
        latest(seconds, self.seconds).iter().filter(takes_part).count()
    }

    /// Chernoff's exponent: if the share `allowed` were just met, so many bad ones or more would come with a chance of `exp` of minus
    /// this at most. Of a bell it is half the square of the deviations.
    fn surprise(self, allowed: f64) -> f64 {
        let share = self.share();
        let of = |seen: f64, expected: f64| if seen > 0.0 { seen * (seen / expected).ln() } else { 0.0 };
        count(self.cases) * (of(share, allowed) + of(1.0 - share, 1.0 - allowed))
    }
}

/// The shortest of the sums by which the share `allowed` is broken; `None` when it may well be kept. `seconds` has the newest last.
pub(super) fn broken(seconds: &[Second], allowed: f64, patience: Patience) -> Option<Finding> {
    match patience {
        // Of what was longer ago, nobody knows how the other one did.
        Patience::Beside => sums(latest(seconds, SHORTEST), allowed, Patience::Beside)
            .or_else(|| sums(seconds, allowed, Patience::Alone)),
        Patience::Alone | Patience::Shared | Patience::Hardly => sums(seconds, allowed, patience),
    }
}

/// So many at the end, or all.
pub(super) fn latest<T>(all: &[T], number: usize) -> &[T] {
    &all[all.len().saturating_sub(number)..]
}

fn sums(seconds: &[Second], allowed: f64, patience: Patience) -> Option<Finding> {
    let scatter = allowed * (1.0 - allowed);
    let (mut excess, mut variance) = (0.0_f64, 0.0_f64);
    let (mut cases, mut bad) = (0_u64, 0_u64);
    let mut next = SHORTEST;
    for (index, second) in seconds.iter().rev().enumerate() {
        let of_second = count(second.cases) * scatter;
        let above = count(second.bad) - count(second.cases) * allowed;
        let deviation = of_second.sqrt();
        excess += above.clamp(patience.second_min() * deviation, patience.second_max() * deviation);
        variance += of_second;
        cases += second.cases;
        bad += second.bad;
        let is_end = index + 1 == next || index + 1 == seconds.len();
        if is_end && index + 1 >= SHORTEST.min(seconds.len()) {
            next *= 2;
            let found = Finding { seconds: index + 1, cases, bad };
            if excess > patience.sure() * variance.sqrt()
                && bad >= patience.bad_min()
                && found.taking_part(seconds) >= patience.seconds_min()
                && found.surprise(allowed) > patience.surprise_min()
            {
                return Some(found);
            }
        }
    }
    None
}

/// Counts are far below what a float holds exactly.
#[expect(clippy::cast_precision_loss, reason = "counts of payments within minutes are far below 2^53")]
pub(super) const fn count(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(of: &[(u64, u64)]) -> Vec<Second> {
        of.iter().map(|&(cases, bad)| Second { cases, bad }).collect()
    }

    fn broken(seconds: &[Second], allowed: f64) -> Option<Finding> {
        super::broken(seconds, allowed, Patience::Alone)
    }

    fn steady(length: usize, cases: u64, bad: u64) -> Vec<Second> {
        vec![Second { cases, bad }; length]
    }

    #[test]
    fn what_is_just_kept_is_kept() {
        assert_eq!(broken(&steady(60, 100, 5), 0.05), None);
        assert_eq!(broken(&[], 0.05), None);
        assert_eq!(broken(&steady(60, 0, 0), 0.05), None);
    }

    #[test]
    fn a_grave_breach_is_seen_after_five_seconds_and_by_how_another_release_does_after_three_or_nine() {
        for bad in 0..=10 {
            let mut all = steady(60, 50, 0);
            all.extend(steady(bad, 50, 50));
            assert_eq!(broken(&all, 0.05).is_some(), bad >= 5, "{bad}");
            assert_eq!(super::broken(&all, 0.05, Patience::Beside).is_some(), bad >= 3, "{bad}");
            assert_eq!(super::broken(&all, 0.05, Patience::Shared).is_some(), bad >= 9, "{bad}");
            // No different for one that has just got its first payments.
            let all = [steady(3, 0, 0), steady(bad, 50, 50)].concat();
            assert_eq!(broken(&all, 0.05).is_some(), bad >= 5, "{bad}");
            assert_eq!(super::broken(&all, 0.05, Patience::Beside).is_some(), bad >= 3, "{bad}");
            assert_eq!(super::broken(&all, 0.05, Patience::Shared).is_some(), bad >= 9, "{bad}");
        }
    }

    #[test]
    fn a_release_that_has_a_part_in_a_hiccup_does_not_do_well() {
        let hardly = |seconds: &[Second]| super::broken(seconds, 0.01, Patience::Hardly).is_some();
        let mut all = steady(60, 3, 0);
        assert!(!hardly(&all) && !hardly(&steady(60, 0, 0)));
        all.push(Second { cases: 3, bad: 2 });
        assert!(hardly(&all), "one second of it");
        let busy = [steady(9, 400, 0), steady(1, 400, 40), steady(4, 400, 0)].concat();
        assert!(hardly(&busy), "one second of it some seconds ago");
        assert!(!hardly(&steady(60, 100, 1)), "what is just kept is kept");
        let quarter = |of: &[(u64, u64)]| super::broken(&seconds(of), 0.25, Patience::Hardly).is_some();
        assert!(quarter(&[(9, 0), (5, 0), (7, 7), (6, 6), (10, 1)]), "two seconds of it among good ones");
        assert!(quarter(&[(9, 1), (16, 2), (10, 1), (7, 7), (5, 5)]), "and when they are the last");
    }

    #[test]
    fn a_slight_breach_is_seen_within_a_minute() {
        let found = broken(&steady(60, 50, 4), 0.05);
        assert!(found.is_some_and(|found| found.seconds > 20), "{found:?}");
    }

    #[test]
    fn a_hiccup_convicts_nobody() {
        let mut all = steady(30, 500, 5);
        all.extend(steady(4, 500, 500));
        assert_eq!(broken(&all, 0.05), None);
        all.extend(steady(26, 500, 5));
        assert_eq!(broken(&all, 0.05), None);
    }

    #[test]
    fn a_bad_case_of_the_usual_kind_is_no_further_second_of_a_hiccup() {
        let hiccup = [steady(30, 25, 0), steady(4, 25, 25)].concat();
        assert_eq!(broken(&[hiccup.clone(), steady(1, 25, 1)].concat(), 0.01), None);
        assert!(broken(&[hiccup, steady(1, 25, 20)].concat(), 0.01).is_some());
    }

    #[test]
    fn what_bad_luck_brings_now_and_then_convicts_nobody_where_cases_are_few() {
        let few = |bad: [u64; 5]| seconds(&bad.map(|bad| (5, bad)));
        assert_eq!(broken(&few([1, 1, 2, 1, 1]), 0.03), None, "six of twenty-five, more than five deviations");
        assert!(broken(&few([2, 2, 2, 2, 2]), 0.03).is_some());
        assert!(broken(&steady(5, 1, 1), 0.05).is_some(), "five of five");
    }

    #[test]
    fn a_few_payments_convict_nobody() {
        assert_eq!(broken(&seconds(&[(1, 1), (1, 1), (1, 1), (1, 1)]), 0.01), None);
        assert_eq!(broken(&seconds(&[(2, 2), (0, 0), (1, 1), (1, 1), (1, 0)]), 0.01), None);
        assert!(broken(&steady(5, 1, 1), 0.01).is_some(), "five of five where one of a hundred is allowed");
    }
}
