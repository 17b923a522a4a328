//! A release that somebody holds, and lets go.

use crds::annotations::PAUSED;
use crds::payment_cluster::WhyAbandoned;
use kube::ResourceExt;
use runtime_contract::{Outcome, Reason};
use serde_json::{Value, json};

use super::prepare_tests;
use super::release_tests::{annotate, canary, failing, run_to, wanted};
use super::tests::report;
use super::*;
use crate::cluster::fixtures::{self, World};
use crate::replica;

#[test]
fn a_person_can_hold_a_release_at_every_stage_and_let_it_go() {
    for stage in [Stage::Validating, Stage::Migrating, Stage::Deploying, Stage::Shifting, Stage::Monitoring] {
        let mut world = wanted(canary);
        run_to(&mut world, stage);
        annotate(&mut world, PAUSED, "true");
        for _ in 0..40 {
            let plan = world.pass();
            assert!(plan.stage == stage, "{stage:?} went on to {:?}", plan.stage);
            world.pods_start();
            world.jobs_end(&report(Outcome::Succeeded, Reason::Migrated));
        }
        assert_eq!(world.plan().waiting_on, Some(WaitingOn::Paused), "{stage:?}");
        world.observed.cluster.annotations_mut().clear();
        run_to(&mut world, Stage::Finished);
    }
}

/// Holds a release for longer than its deadline, whether its pods start or not.
fn hold(world: &mut World, pods_start: bool) {
    annotate(world, PAUSED, "true");
    for _ in 0..60 {
        let plan = world.pass();
        assert!(!matches!(plan.stage, Stage::RollingBack | Stage::RolledBack), "{:?}", world.release().abandoned);
        if pods_start {
            world.pods_start();
        }
    }
    assert_eq!(world.plan().waiting_on, Some(WaitingOn::Paused));
    world.observed.cluster.annotations_mut().clear();
}

fn with_replica(spec: &mut Value) {
    spec["database"]["readUrlSecretRef"] = json!({ "name": "replica", "key": "url" });
}

#[test]
fn a_release_that_is_held_for_longer_than_its_deadline_has_all_of_its_time_once_it_is_let_go() {
    for stage in [Stage::Configuring, Stage::Deploying, Stage::WarmingCache, Stage::CheckingHealth] {
        let mut world = wanted(|spec| {
            spec["rollout"] = json!({ "progressDeadline": "30s" });
            if stage == Stage::Configuring {
                with_replica(spec);
            }
        });
        let named = replica::secrets(&world.observed.cluster.spec.database);
        world.observed.replica_secrets =
            named.into_iter().map(|(field, key)| (field, key, fixtures::present("1"))).collect();
        world.reports = |component, succeeded| match component {
            replica::COMPONENT => report(Outcome::Succeeded, Reason::ReplicaReady),
            _ => succeeded,
        };
        world.run_until(|plan| plan.stage == stage);
        hold(&mut world, true);
        world.run_until(|plan| plan.stage == Stage::Finished);
    }
    let mut unready = wanted(|spec| spec["rollout"] = json!({ "progressDeadline": "30s" }));
    run_to(&mut unready, Stage::Deploying);
    hold(&mut unready, false);
    let told: Vec<_> = (0..20).map(|_| unready.pass().stage).collect();
    assert_eq!(told, [Stage::Deploying; 20]);
    unready.run_until(|plan| plan.stage == Stage::Finished);
}

#[test]
fn holding_a_release_writes_once_and_its_deadline_holds_after() {
    let mut world = wanted(|spec| spec["rollout"] = json!({ "progressDeadline": "30s" }));
    run_to(&mut world, Stage::Deploying);
    annotate(&mut world, PAUSED, "true");
    world.pass();
    let told = world.observed.cluster.status.clone();
    for _ in 0..60 {
        world.pass();
        assert_eq!(world.observed.cluster.status, told);
    }
    world.observed.cluster.annotations_mut().clear();
    for _ in 0..40 {
        world.pass();
    }
    assert_eq!(world.plan().stage, Stage::RolledBack);
    assert_eq!(world.release().abandoned.unwrap().why, WhyAbandoned::NotReady);
}

#[test]
fn a_release_that_is_held_goes_back_all_the_same() {
    let mut world = wanted(canary);
    run_to(&mut world, Stage::Monitoring);
    annotate(&mut world, PAUSED, "true");
    world.figures = failing;
    run_to(&mut world, Stage::RolledBack);
}

#[test]
fn a_held_release_stays_where_it_is_before_and_while_writes_are_refused() {
    for job in ["payments-backup-0-2-0-1", "payments-drain-0-2-0-1"] {
        let mut world = prepare_tests::wanted(1);
        prepare_tests::run_to_running(&mut world, job);
        annotate(&mut world, PAUSED, "true");
        let stage = world.plan().stage;
        for _ in 0..20 {
            let succeeded = world.succeeded();
            world.jobs_end(&succeeded);
            assert_eq!(world.pass().stage, stage);
        }
        world.observed.cluster.annotations_mut().remove(PAUSED);
        prepare_tests::run_to(&mut world, Stage::Finished);
    }
}

#[test]
fn merchants_do_not_wait_for_whoever_holds_a_release_while_writes_are_refused() {
    for (job, why) in
        [("payments-drain-0-2-0-1", WhyAbandoned::NotDrained), ("payments-migrate-0-2-0-1", WhyAbandoned::NotReady)]
    {
        let mut world = prepare_tests::wanted(1);
        prepare_tests::run_to_running(&mut world, job);
        if why == WhyAbandoned::NotReady {
            let succeeded = world.succeeded();
            world.jobs_end(&succeeded);
            assert_eq!(world.pass().stage, Stage::Deploying);
        }
        for pass in 0..650 {
            // It is let go for a moment, which does not give it more time.
            annotate(&mut world, PAUSED, if pass == 99 { "false" } else { "true" });
            world.pass();
            if world.release().abandoned.is_some() {
                break;
            }
        }
        assert_eq!(world.release().abandoned.unwrap().why, why);
    }
}
