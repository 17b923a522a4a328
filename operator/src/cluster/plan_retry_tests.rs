//! A release that was given up, and is tried again.

use std::sync::atomic::{AtomicI64, Ordering};

use crds::annotations::RETRY;
use runtime_contract::RuntimeConfig;
use serde_json::Value;

use super::release_tests::{annotate, canary, failing, figures, run_to, wanted};
use super::*;
use crate::cluster::fixtures::{World, all_well};

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

/// When the try began that the pods of a release belong to, as they are told.
fn since_ms(world: &World, release: &str) -> Option<i64> {
    let config_map = world.observed.find(Kind::ConfigMap, &format!("payments-config-{release}"))?;
    let document: RuntimeConfig = serde_json::from_str(config_map.body["data"]["purser.yaml"].as_str()?).unwrap();
    document.since_ms
}

#[test]
fn the_pods_of_another_try_know_of_its_beginning_and_those_that_serve_keep_theirs() {
    let mut world = wanted(canary);
    let serving = since_ms(&world, "0-1-0");
    assert!(serving.is_some());
    run_to(&mut world, Stage::Shifting);
    let first = since_ms(&world, "0-2-0");
    let begun = world.release().started_at.and_then(|text| plan_history::parse(&text)).unwrap();
    assert_eq!(first, Some(begun.as_millisecond()));
    world.figures = failing;
    run_to(&mut world, Stage::RolledBack);
    assert_eq!((since_ms(&world, "0-1-0"), since_ms(&world, "0-2-0")), (serving, None));

    world.figures = all_well;
    annotate(&mut world, RETRY, "1");
    run_to(&mut world, Stage::Shifting);
    let second = since_ms(&world, "0-2-0");
    assert!(second > first, "{second:?} {first:?}");
    run_to(&mut world, Stage::Finished);
    assert_eq!((since_ms(&world, "0-1-0"), since_ms(&world, "0-2-0")), (serving, second));
}

#[test]
fn a_release_that_serves_keeps_what_its_pods_were_started_with_even_if_that_was_no_time() {
    let mut world = wanted(canary);
    run_to(&mut world, Stage::Finished);
    for release in ["0-1-0", "0-2-0"] {
        let config_map = world.live_mut(Kind::ConfigMap, &format!("payments-config-{release}"));
        let document = &mut config_map.body["data"]["purser.yaml"];
        let mut told: Value = serde_json::from_str(document.as_str().unwrap()).unwrap();
        told.as_object_mut().unwrap().remove("sinceMs").unwrap();
        *document = told.to_string().into();
    }
    world.observed.cluster.spec.version = "0.3.0".into();
    run_to(&mut world, Stage::Shifting);
    assert_eq!(since_ms(&world, "0-2-0"), None);
    assert!(since_ms(&world, "0-3-0").is_some());
}

#[test]
fn a_release_that_was_kept_comes_back_with_the_pods_that_it_has() {
    let mut world = wanted(canary);
    let before = since_ms(&world, "0-1-0");
    run_to(&mut world, Stage::Finished);
    assert!(world.release().kept.is_some());
    world.observed.cluster.spec.version = "0.1.0".into();
    run_to(&mut world, Stage::Finished);
    assert_eq!(world.release().current.as_deref(), Some("0.1.0"));
    assert_eq!(since_ms(&world, "0-1-0"), before);
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
