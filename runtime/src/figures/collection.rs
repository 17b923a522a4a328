//! What the metrics workload knows of all pods. ★ Pure.

use runtime_contract::{Figures, PodFigures};

use super::difference::on_scale;
use super::history::History;
use super::pods::Pods;
use super::scale::Scale;

/// All of it, and how the latest look went.
pub struct Collection {
    scale: Scale,
    pods: Pods,
    history: History,
    answered: usize,
    silent: usize,
}

impl Collection {
    /// One that has heard nobody.
    #[must_use]
    pub fn new(scale: Scale) -> Self {
        Self { scale, pods: Pods::default(), history: History::default(), answered: 0, silent: 0 }
    }

    /// A look at all pods at this time, in Unix seconds: what those said that answered, and how many did not.
    pub fn look(&mut self, now: i64, mut answers: Vec<PodFigures>, silent: usize) {
        for answer in &mut answers {
            answer.counts = on_scale(&answer.counts, &self.scale);
        }
        let second = self.history.second_of(now);
        let news = self.pods.hear(second, answers);
        (self.answered, self.silent) = (news.len(), silent);
        self.history.keep(second, news);
    }

    /// The figures of so many seconds before the latest look.
    #[must_use]
    pub fn figures(&self, window_s: u32) -> Figures {
        let count = |pods| u32::try_from(pods).unwrap_or(u32::MAX);
        Figures {
            until: self.history.until().unwrap_or_default(),
            pods: count(self.answered),
            silent_pods: count(self.silent),
            releases: self.history.releases(window_s, &self.scale),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::fixtures::{answer, counts, process};

    #[test]
    fn slices_sum_up_to_what_was_counted_whatever_happened_in_between() {
        let start = 1_790_000_000;
        let mut collection = Collection::new(Scale::new().unwrap());
        let (old, new) = (process(start - 99, 1), process(start + 3, 2));
        let said = |process, n| answer("a", process, counts(n, 0, &[(10_000, n)]));
        collection.look(start, vec![said(old, 1_000)], 0);
        collection.look(start + 1, vec![said(old, 1_005)], 0);
        collection.look(start + 2, Vec::new(), 1);
        collection.look(start + 2, vec![said(old, 1_020)], 0);
        collection.look(start + 5, vec![said(old, 1_021), said(new, 7)], 0);
        collection.look(start + 6, vec![said(new, 9)], 1);
        let figures = collection.figures(600);
        assert_eq!((figures.until, figures.pods, figures.silent_pods), (start + 6, 1, 1));
        let [release] = figures.releases.as_slice() else { panic!("{figures:?}") };
        assert_eq!(release.summary.payments, 21 + 9);
        assert_eq!(release.slices.iter().map(|slice| slice.counts.succeeded).sum::<u64>(), 21 + 9);
        assert_eq!(release.slices.iter().map(|slice| slice.second - start).collect::<Vec<_>>(), [1, 3, 5, 6]);
    }
}
