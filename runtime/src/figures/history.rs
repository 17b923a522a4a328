//! Second by second, what each release counted, for as long as the longest window. ★ Pure.

use std::collections::{BTreeMap, VecDeque};

use runtime_contract::figures::WINDOW_S_MAX;
use runtime_contract::{Counts, ReleaseFigures, Slice};

use super::difference::{add, cells};
use super::pods::News;
use super::scale::Scale;
use super::summary::summary;

/// Releases that are kept; of more, those that were heard longest ago go. There are two while one follows on another.
const RELEASES_MAX: usize = 16;
/// Cells that are kept of all releases: some twenty-five million bytes. A busy second of a release has some hundreds.
const CELLS_MAX: usize = 1_000_000;

/// What is kept of every release.
#[derive(Default)]
pub struct History {
    releases: BTreeMap<String, Track>,
    /// The second of the newest look.
    newest: i64,
    cells: usize,
}

#[derive(Default)]
struct Track {
    heard: i64,
    slices: VecDeque<Kept>,
}

/// A slice, and the second that it begins after.
struct Kept {
    since: i64,
    second: i64,
    counts: Counts,
}

impl History {
    /// The second of a look at this time. A clock that stepped back, or a timer that was early, makes no second twice: the next
    /// one follows on the last, until the clock has caught up.
    #[must_use]
    pub fn second_of(&self, now: i64) -> i64 {
        now.max(self.newest + 1)
    }

    /// Keeps what a look at this second brought.
    pub fn keep(&mut self, second: i64, news: Vec<News>) {
        self.newest = second;
        let mut looks: BTreeMap<String, Option<Kept>> = BTreeMap::new();
        for News { release, counted } in news {
            let look = looks.entry(release).or_default();
            let Some((since, counts)) = counted else { continue };
            let kept = look.get_or_insert_with(|| Kept { since, second, counts: Counts::default() });
            kept.since = kept.since.min(since);
            add(&mut kept.counts, &counts);
        }
        for (release, kept) in looks {
            let track = self.releases.entry(release).or_default();
            track.heard = second;
            if let Some(mut kept) = kept {
                // What is before is in the slice before, of the pods that answered then.
                kept.since = kept.since.max(track.slices.back().map_or(i64::MIN, |last| last.second));
                self.cells += cells(&kept.counts);
                track.slices.push_back(kept);
            }
        }
        self.forget();
    }

    /// Every release that had a pod within so many seconds before the newest look.
    #[must_use]
    pub fn releases(&self, window_s: u32, scale: &Scale) -> Vec<ReleaseFigures> {
        let after = self.newest - i64::from(window_s);
        let within = self.releases.iter().filter(|(_, track)| track.heard > after);
        within.map(|(release, track)| track.figures(release, after, scale)).collect()
    }

    /// The second of the newest slice, if there is any.
    #[must_use]
    pub fn until(&self) -> Option<i64> {
        self.releases.values().filter_map(|track| track.slices.back()).map(|kept| kept.second).max()
    }

    fn forget(&mut self) {
        let old = self.newest - i64::from(WINDOW_S_MAX);
        for track in self.releases.values_mut() {
            while track.slices.front().is_some_and(|kept| kept.second <= old) {
                self.cells -= track.drop_oldest();
            }
        }
        self.releases.retain(|_, track| track.heard > old);
        while self.releases.len() > RELEASES_MAX {
            let least = self.releases.iter().min_by_key(|(_, track)| (track.heard, track.slices.len()));
            let Some(release) = least.map(|(release, _)| release.clone()) else { break };
            let gone = self.releases.remove(&release);
            self.cells -= gone.map_or(0, |track| track.cells());
        }
        while self.cells > CELLS_MAX {
            // Whoever fills the room makes room.
            let Some(track) = self.releases.values_mut().max_by_key(|track| track.cells()) else { break };
            self.cells -= track.drop_oldest();
        }
    }
}

impl Track {
    fn cells(&self) -> usize {
        self.slices.iter().map(|kept| cells(&kept.counts)).sum()
    }

    /// How much room that made.
    fn drop_oldest(&mut self) -> usize {
        self.slices.pop_front().map_or(0, |kept| cells(&kept.counts))
    }

    fn figures(&self, release: &str, after: i64, scale: &Scale) -> ReleaseFigures {
        let within: Vec<&Kept> = self.slices.iter().filter(|kept| kept.second > after).collect();
        let mut sum = Counts::default();
        within.iter().for_each(|kept| add(&mut sum, &kept.counts));
        let observed_s = within.iter().map(|kept| kept.second.abs_diff(kept.since)).sum();
        ReleaseFigures {
            release: release.to_owned(),
            summary: summary(&sum, observed_s, scale),
            slices: within.iter().map(|kept| Slice { second: kept.second, counts: kept.counts.clone() }).collect(),
        }
    }
}

#[cfg(test)]
#[path = "history_tests.rs"]
mod tests;
