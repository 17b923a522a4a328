//! Whether a canary's trouble is its own: the release before it, which stands on the same, is the witness. ★ Pure.

use runtime_contract::{ReleaseFigures, Slice};

use super::compare::{self, Baseline};
use super::suspicion::{Patience, SHORTEST, broken, latest};
use super::tally::{self, Second};

/// A canary with few payments is watched for so many seconds from its first one, before it goes on.
const WATCHED: usize = 2 * SHORTEST;

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
    /// has to have a part in the very trouble, be it ever so small.
    pub(super) fn patience(&self, tally: &Tally<'_>, allowed: f64) -> Patience {
        let now = tally(latest(self.slices, 2 * SHORTEST));
        match broken(&now, allowed, Patience::Hardly) {
            Some(_) => Patience::Shared,
            None if self.is_well_known => Patience::Beside,
            None => Patience::Alone,
        }
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

/// Whether there are payments in each of the last seconds: of one that tells nothing of a second, or lost its count, nobody
/// knows how it does.
fn is_counted(slices: &[Slice]) -> bool {
    latest(slices, SHORTEST).iter().all(has_payments)
}

fn has_payments(slice: &Slice) -> bool {
    tally::payments(std::slice::from_ref(slice)) > 0
}
