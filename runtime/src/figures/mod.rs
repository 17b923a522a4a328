//! Figures that a release is judged by: every process counts, and the metrics workload collects each second what all of them
//! have counted, by release.
//!
//! One look: [`collect`] asks all pods → [`pods`] takes what each said before from what it says now → [`history`] keeps the
//! difference as a slice of its release → [`summary`] makes figures of the slices of a window.

mod ask;
pub mod collect;
pub mod collection;
pub mod difference;
#[cfg(test)]
mod fixtures;
pub mod history;
pub mod pods;
mod recorder;
pub mod scale;
pub mod summary;

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use runtime_contract::figures::{WINDOW, WINDOW_S_MAX};
use runtime_contract::{Figures, PodFigures};

pub use self::collect::Collector;
pub use self::collection::Collection;
pub use self::recorder::Recorder;
pub use self::scale::Scale;

/// What was collected, in a process that collects.
#[derive(Default)]
pub struct Collected(OnceLock<Mutex<Collection>>);

impl Collected {
    /// From now on this process collects.
    fn begin(&self, scale: &Scale) {
        self.0.get_or_init(|| Mutex::new(Collection::new(scale.clone())));
    }

    fn look(&self, now: i64, answers: Vec<PodFigures>, silent: usize) {
        if let Some(mut collection) = self.get() {
            collection.look(now, answers, silent);
        }
    }

    /// The figures of so many seconds; none where nothing is collected.
    #[must_use]
    pub fn figures(&self, window_s: u32) -> Option<Figures> {
        self.get().map(|collection| collection.figures(window_s))
    }

    /// Whether this process collects.
    #[must_use]
    pub fn is_begun(&self) -> bool {
        self.0.get().is_some()
    }

    fn get(&self) -> Option<MutexGuard<'_, Collection>> {
        // After a panic in the middle of a look some of its counts are missing, and the rest stands.
        self.0.get().map(|collection| collection.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The window that a query asks for.
///
/// # Errors
/// A sentence for whoever asked.
pub fn window_s(query: &str) -> Result<u32, String> {
    let mut values =
        form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name == WINDOW).map(|(_, value)| value);
    let wrong = || format!("{WINDOW} must be a whole number of seconds from 1 to {WINDOW_S_MAX}, given once\n");
    let (Some(value), None) = (values.next(), values.next()) else { return Err(wrong()) };
    value.parse().ok().filter(|window_s| (1..=WINDOW_S_MAX).contains(window_s)).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_a_number_of_seconds_within_bounds() {
        assert_eq!(window_s("window_s=1"), Ok(1));
        assert_eq!(window_s("other=x&window_s=600"), Ok(600));
        for wrong in
            ["", "window=5", "window_s=", "window_s=0", "window_s=601", "window_s=-1", "window_s=1.5", "window_s=x"]
        {
            assert!(window_s(wrong).is_err_and(|sentence| sentence.contains("from 1 to 600")), "{wrong}");
        }
        assert!(window_s("window_s=5&window_s=6").is_err());
    }
}
