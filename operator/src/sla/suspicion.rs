//! The test behind every limit of the form "at most so many of a hundred": is it broken, beyond bad luck? ★ Pure.
//!
//! Each second brings some cases, of which some are bad. If the share `allowed` were just met, the number of bad ones would
//! scatter around its mean with a known deviation. The last seconds are summed up, the last five, ten, twenty and so on; a sum that
//! lies more than [`SURE`] deviations above its mean is a breach. Short sums catch what is grave within seconds, long ones catch
//! what is slight.
//!
//! A hiccup must convict nobody, however bad, so a second counts for so many deviations at most ([`Patience`]). And one good second
//! among bad ones must acquit nobody: it counts for [`SECOND_MIN`] at least.

use super::tally::Second;

/// Deviations that are no bad luck any more: at the very limit, one in three million sums exceeds this.
const SURE: f64 = 5.0;
/// Fewest deviations that one second counts for.
const SECOND_MIN: f64 = -1.0;
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

    /// Deviations that are no bad luck any more.
    const fn sure(self) -> f64 {
        match self {
            Self::Alone | Self::Beside | Self::Shared => SURE,
            Self::Hardly => 2.0,
        }
    }

    /// Fewer bad seconds convict nobody, however bad: those of a release that had no cases before them are all that there is to sum.
    const fn seconds_min(self) -> usize {
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
        100.0 * count(self.bad) / count(self.cases)
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
    let (mut cases, mut bad, mut bad_seconds) = (0_u64, 0_u64, 0_usize);
    let mut next = SHORTEST;
    for (index, second) in seconds.iter().rev().enumerate() {
        let of_second = count(second.cases) * scatter;
        let above = count(second.bad) - count(second.cases) * allowed;
        let deviation = of_second.sqrt();
        excess += above.clamp(SECOND_MIN * deviation, patience.second_max() * deviation);
        variance += of_second;
        cases += second.cases;
        bad += second.bad;
        bad_seconds += usize::from(above > 0.0);
        let is_end = index + 1 == next || index + 1 == seconds.len();
        if is_end && index + 1 >= SHORTEST.min(seconds.len()) {
            next *= 2;
            let is_hiccup = bad_seconds < patience.seconds_min() || bad < patience.bad_min();
            if !is_hiccup && excess > patience.sure() * variance.sqrt() {
                return Some(Finding { seconds: index + 1, cases, bad });
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
    fn a_few_payments_convict_nobody() {
        assert_eq!(broken(&seconds(&[(1, 1), (1, 1), (1, 1), (1, 1)]), 0.01), None);
        assert_eq!(broken(&seconds(&[(2, 2), (0, 0), (1, 1), (1, 1), (1, 0)]), 0.01), None);
        assert!(broken(&steady(5, 1, 1), 0.01).is_some(), "five of five where one of a hundred is allowed");
    }
}
