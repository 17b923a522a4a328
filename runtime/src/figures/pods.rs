//! What each process said last, and so what is new in what it says now. ★ Pure.
//!
//! A process that is heard for the first time is either one that started while somebody was looking, and then all that it says
//! is new; or one that had counted for long before. Its id tells: it carries the time of the start. Where it started before the
//! first look, what it says is where counting begins.

use std::cmp::Reverse;
use std::collections::HashMap;

use runtime_contract::figures::WINDOW_S_MAX;
use runtime_contract::{Counts, PodFigures};
use uuid::Uuid;

use super::difference::{cells, difference, payments};

/// Cells that are kept of all processes: some ten thousand bytes for each of two hundred, in all some twenty million.
const CELLS_MAX: usize = 700_000;
/// Processes that are known at all. The one that was heard longest ago is forgotten first.
const PROCESSES_MAX: usize = 4096;

/// What every process said last.
#[derive(Default)]
pub struct Pods {
    known: HashMap<Uuid, Known>,
    first_look: Option<i64>,
    last_look: i64,
}

struct Known {
    /// None when it was let go of: then the next answer is where counting begins.
    counts: Option<Counts>,
    heard: i64,
}

/// What is new in an answer.
#[derive(Debug, PartialEq, Eq)]
pub struct News {
    /// The release of the process.
    pub release: String,
    /// What it counted since that second; none where counting begins.
    pub counted: Option<(i64, Counts)>,
}

impl Pods {
    /// Hears all that answered at this second, which is later than that of the look before.
    pub fn hear(&mut self, second: i64, answers: Vec<PodFigures>) -> Vec<News> {
        let is_first = self.first_look.is_none();
        let began = *self.first_look.get_or_insert(second);
        let mut news = Vec::new();
        for (process, answer) in one_each(answers) {
            let counted = match self.known.get(&process) {
                Some(Known { counts: Some(before), heard }) => {
                    difference(&answer.counts, before).map(|counts| (*heard, counts))
                }
                Some(Known { counts: None, .. }) => None,
                None if !is_first && started(process).is_some_and(|started| started >= began) => {
                    Some((self.last_look, answer.counts.clone()))
                }
                None => None,
            };
            self.known.insert(process, Known { counts: Some(answer.counts), heard: second });
            news.push(News { release: answer.release, counted });
        }
        self.last_look = second;
        self.forget(second);
        news
    }

    /// Lets go of what is old or too much. Who is known and has nothing left is not taken for a new process.
    fn forget(&mut self, second: i64) {
        let old = second - i64::from(WINDOW_S_MAX);
        self.known.values_mut().filter(|known| known.heard <= old).for_each(|known| known.counts = None);
        let mut room: usize = self.known.values().map(Known::cells).sum();
        if room > CELLS_MAX {
            let mut all: Vec<&mut Known> = self.known.values_mut().collect();
            all.sort_by_key(|known| (known.heard, Reverse(known.cells())));
            for known in all {
                if room <= CELLS_MAX {
                    break;
                }
                room -= known.cells();
                known.counts = None;
            }
        }
        if self.known.len() > PROCESSES_MAX {
            let mut all: Vec<(i64, Uuid)> = self.known.iter().map(|(process, known)| (known.heard, *process)).collect();
            all.sort_unstable();
            for (_, process) in all.iter().take(self.known.len() - PROCESSES_MAX) {
                self.known.remove(process);
            }
        }
    }
}

impl Known {
    fn cells(&self) -> usize {
        self.counts.as_ref().map_or(0, cells)
    }
}

/// Who has two addresses answers twice: the later answer, which has more, counts. Who has no proper id is left out.
fn one_each(answers: Vec<PodFigures>) -> HashMap<Uuid, PodFigures> {
    let size =
        |counts: &Counts| (payments(counts), counts.fraud_us.values().fold(0, |sum: u64, n| sum.saturating_add(*n)));
    let mut each: HashMap<Uuid, PodFigures> = HashMap::with_capacity(answers.len());
    for answer in answers {
        let Ok(process) = answer.process.parse() else { continue };
        if each.get(&process).is_none_or(|other| size(&other.counts) < size(&answer.counts)) {
            each.insert(process, answer);
        }
    }
    each
}

/// When a process started, by its own clock, in Unix seconds.
fn started(process: Uuid) -> Option<i64> {
    i64::try_from(process.get_timestamp()?.to_unix().0).ok()
}

#[cfg(test)]
#[path = "pods_tests.rs"]
mod tests;
