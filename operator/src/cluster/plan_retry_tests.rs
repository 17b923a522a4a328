//! A release that was given up, and is tried again.

use std::sync::atomic::{AtomicI64, Ordering};

use crds::annotations::RETRY;

use super::release_tests::{annotate, canary, failing, figures, run_to, wanted};
use super::*;
use crate::cluster::fixtures::all_well;

#[test]
fn another_try_is_not_judged_by_the_figures_of_the_one_before() {
    /// The second since when the release does well.
    static WELL_SINCE: AtomicI64 = AtomicI64::new(i64::MAX);
    let mut world = wanted(canary);
    run_to(&mut world, Stage::Shifting);
    world.figures = |second| {
        let (mut before, mut after) = (figures(second, 50, 50, 20)?, figures(second, 50, 0, 20)?);
        let since = WELL_SINCE.load(Ordering::Relaxed);
        for (before, after) in before.releases.iter_mut().zip(&mut after.releases) {
            before.slices.retain(|slice| slice.second < since);
            after.slices.retain(|slice| slice.second >= since);
            before.slices.append(&mut after.slices);
        }
        Some(before)
    };
    run_to(&mut world, Stage::RolledBack);
    WELL_SINCE.store(world.now.as_second() + 1, Ordering::Relaxed);
    annotate(&mut world, RETRY, "1");
    let seen = run_to(&mut world, Stage::Finished);
    assert!(!seen.iter().any(|(stage, ..)| *stage == Stage::RollingBack), "{seen:?}");
}

#[test]
fn a_version_that_was_given_up_is_tried_again_when_a_person_asks_or_another_version_was_wanted() {
    let mut world = wanted(canary);
    run_to(&mut world, Stage::Shifting);
    world.figures = failing;
    run_to(&mut world, Stage::RolledBack);
    world.figures = all_well;
    annotate(&mut world, RETRY, "1");
    let seen = run_to(&mut world, Stage::Finished);
    assert_eq!(seen[0].0, Stage::Validating);
    assert_eq!(world.release().current.as_deref(), Some("0.2.0"));

    let mut world = wanted(canary);
    run_to(&mut world, Stage::Shifting);
    world.figures = failing;
    run_to(&mut world, Stage::RolledBack);
    world.figures = all_well;
    world.observed.cluster.spec.version = "0.1.0".into();
    run_to(&mut world, Stage::Finished);
    world.observed.cluster.spec.version = "0.2.0".into();
    run_to(&mut world, Stage::Finished);
}
