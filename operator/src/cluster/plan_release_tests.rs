//! A new release on its way, with its figures: forward, held, and back.

use crds::annotations::{ABANDONED, APPROVED, REJECTED};
use crds::payment_cluster::WhyAbandoned;
use kube::ResourceExt;
use runtime_contract::{Counts, Figures, Outcome, Reason, ReleaseFigures, Slice, Times};
use serde_json::{Value, json};

use super::tests::{report, to};
use super::*;
use crate::cluster::fixtures::{self, World, all_well};

/// Figures of both releases, `slow_ms` of the new one.
pub(super) fn figures(second: i64, payments: u64, failed: u64, slow_ms: u64) -> Option<Figures> {
    let of = |release: &str, failed: u64, ms: u64| {
        let slice = |second| {
            let payment_us = Times::from([(ms * 1_000, payments)]);
            let counts = Counts { succeeded: payments - failed, failed, payment_us, fraud_us: Times::new() };
            Slice { second, counts }
        };
        let slices = (second - 9..=second).map(slice).collect();
        ReleaseFigures { release: release.into(), slices, ..ReleaseFigures::default() }
    };
    Some(Figures { releases: vec![of("0.1.0", 0, 20), of("0.2.0", failed, slow_ms)], ..all_well(second)? })
}

pub(super) fn slow(second: i64) -> Option<Figures> {
    figures(second, 50, 0, 320)
}

pub(super) fn failing(second: i64) -> Option<Figures> {
    figures(second, 50, 50, 20)
}

/// A platform at rest of which release 0.2.0 is wanted.
pub(super) fn wanted(change: impl FnOnce(&mut Value)) -> World {
    let mut cluster = fixtures::cluster(|spec| {
        spec["version"] = json!("0.2.0");
        change(spec);
    });
    let mut world =
        World::new(fixtures::observed(|observed| observed.cluster.spec.gateway = cluster.spec.gateway.clone()));
    world.run_until(|plan| plan.stage == Stage::Finished && plan.steps.is_empty());
    cluster.status = world.observed.cluster.status.take();
    world.observed.cluster = cluster;
    world
}

pub(super) fn canary(spec: &mut Value) {
    spec["gateway"] = json!({ "replicas": 9 });
    spec["rollout"] = json!({
        "strategy": "Canary",
        "healthCheck": "Disabled",
        "warmCache": "Disabled",
        "retireAfter": "20s",
        "steps": [{ "weight": 10, "duration": "5s" }, { "weight": 75, "duration": "5s" }],
    });
    spec["sla"] = json!({ "window": "10s", "successRate": "97", "p95Latency": "200ms" });
}

pub(super) fn annotate(world: &mut World, name: &str, value: &str) {
    world.observed.cluster.annotations_mut().insert(name.into(), value.into());
}

/// Passes until a stage; the traffic and the gateway's pods of both releases in each of them.
pub(super) fn run_to(world: &mut World, stage: Stage) -> Vec<(Stage, Option<Traffic>, [i32; 2])> {
    let mut seen = Vec::new();
    for _ in 0..80 {
        let plan = world.pass();
        let pods = ["0-1-0", "0-2-0"].map(|slug| {
            let name = format!("payments-gateway-{slug}");
            world.observed.find(Kind::Deployment, &name).and_then(super::super::plan_objects::replicas_of).unwrap_or(0)
        });
        seen.push((plan.stage, traffic(&world.observed), pods));
        if plan.stage == stage {
            return seen;
        }
        world.pods_start();
        world.jobs_end(&report(Outcome::Succeeded, Reason::Migrated));
    }
    panic!("not {stage:?}: {seen:#?}");
}

#[test]
fn a_canary_gets_its_share_step_by_step_and_then_all_of_it() {
    let mut world = wanted(canary);
    let seen = run_to(&mut world, Stage::Finished);
    let mut shares: Vec<_> = seen.iter().map(|(_, traffic, pods)| (traffic.clone().unwrap(), *pods)).collect();
    shares.dedup();
    let split = Traffic::Split;
    let expected = [
        (to("0.1.0"), [9, 0]),
        (to("0.1.0"), [9, 1]),
        (split.clone(), [9, 1]),
        (split.clone(), [9, 9]),
        (split, [3, 9]),
        (to("0.2.0"), [9, 9]),
    ];
    assert_eq!(shares, expected);
    let first = world.release().history[0].clone();
    assert_eq!((first.version.as_str(), first.from.as_deref()), ("0.2.0", Some("0.1.0")));
    assert_eq!(world.release().kept.unwrap().version, "0.1.0");
}

#[test]
fn a_release_that_breaks_its_sla_at_any_step_goes_back_by_itself_and_is_not_tried_again() {
    for (stage, strategy) in [
        (Stage::Shifting, "Canary"),
        (Stage::Monitoring, "Canary"),
        (Stage::Monitoring, "BlueGreen"),
        (Stage::Finished, "BlueGreen"),
    ] {
        let mut world = wanted(|spec| {
            canary(spec);
            spec["rollout"]["strategy"] = json!(strategy);
        });
        run_to(&mut world, stage);
        world.figures = slow;
        run_to(&mut world, Stage::RollingBack);
        let conditions = world.observed.cluster.status.clone().unwrap().conditions;
        let told = conditions.iter().find(|told| told.type_ == "SLAMet").unwrap();
        assert!(told.message.starts_with("release 0.2.0 breaks"), "{stage:?}: {}", told.message);
        let seen = run_to(&mut world, Stage::RolledBack);
        assert!(seen.len() <= 6, "{stage:?} {seen:?}");
        assert_eq!(traffic(&world.observed), Some(to("0.1.0")), "{stage:?}");
        let release = world.release();
        assert_eq!(release.current.as_deref(), Some("0.1.0"));
        let abandoned = release.abandoned.unwrap();
        assert_eq!((abandoned.version.as_str(), abandoned.why), ("0.2.0", WhyAbandoned::SlaBreached));
        assert!(abandoned.message.contains("took longer than 200 ms"), "{}", abandoned.message);
        world.figures = all_well;
        for _ in 0..20 {
            let plan = world.pass();
            assert_eq!((plan.stage, plan.steps.len()), (Stage::RolledBack, 0), "{stage:?}");
        }
        assert!(world.names(Kind::Deployment).iter().all(|name| name.ends_with("0-1-0")), "{stage:?}");
        let truths = ["Ready", "Reconciling", "Stalled"].map(|name| world.condition(name).status);
        assert_eq!(truths, ["True", "False", "True"]);
    }
}

#[test]
fn live_settings_that_failed_after_a_way_back_are_tried_again_within_seconds() {
    let mut world = wanted(canary);
    run_to(&mut world, Stage::Shifting);
    world.figures = failing;
    run_to(&mut world, Stage::RolledBack);
    world.figures = all_well;
    world.observed.providers[0].provider.spec.active = false;
    world.pass();
    world.jobs_end(&report(Outcome::Retry, Reason::DatabaseUnreachable));
    let again = "payments-settings-2-2";
    for _ in 0..5 {
        let plan = world.pass();
        assert!(!plan.is_at_rest(&world.observed), "the next attempt has its time");
        assert_eq!(plan.stage, Stage::RolledBack);
    }
    assert!(world.names(Kind::Job).contains(&again), "{:?}", world.names(Kind::Job));
    world.jobs_end(&report(Outcome::Succeeded, Reason::SettingsApplied));
    for _ in 0..3 {
        world.pass();
    }
    assert!(world.plan().is_at_rest(&world.observed));
}

#[test]
fn a_gradual_way_back_takes_the_steps_of_the_way_there_and_an_emergency_takes_none() {
    let (split, back) = (Traffic::Split, to("0.1.0"));
    for (figures, expected) in [
        (slow as fn(i64) -> _, vec![(split.clone(), [9, 9]), (split, [9, 1]), (back.clone(), [9, 0])]),
        (failing as fn(i64) -> _, vec![(back, [9, 0])]),
    ] {
        let mut world = wanted(canary);
        run_to(&mut world, Stage::Monitoring);
        world.figures = figures;
        let seen = run_to(&mut world, Stage::RolledBack);
        let mut back: Vec<_> = seen.into_iter().filter(|(stage, ..)| *stage == Stage::RollingBack).collect();
        back.truncate(expected.len());
        let back: Vec<_> = back.into_iter().map(|(_, traffic, pods)| (traffic.unwrap(), pods)).collect();
        assert_eq!(back, expected);
    }
}

#[test]
fn a_release_that_nobody_can_judge_waits_unless_the_spec_lets_it_go_on() {
    for strategy in ["Canary", "BlueGreen"] {
        let mut world = wanted(|spec| {
            canary(spec);
            spec["rollout"]["strategy"] = json!(strategy);
        });
        world.figures = |_| None;
        for _ in 0..60 {
            world.pass();
            world.pods_start();
            world.jobs_end(&report(Outcome::Succeeded, Reason::Migrated));
        }
        let plan = world.pass();
        let stage = if strategy == "Canary" { Stage::Shifting } else { Stage::Monitoring };
        assert_eq!((plan.stage, plan.waiting_on, plan.steps.len()), (stage, Some(WaitingOn::Judgement), 0));
        assert_eq!(world.condition("SLAMet").status, "Unknown");
        world.observed.cluster.spec.sla.on_inconclusive = crds::payment_cluster::OnInconclusive::Proceed;
        run_to(&mut world, Stage::Finished);
    }
}

#[test]
fn pods_that_never_become_ready_get_no_traffic_and_are_taken_away() {
    let mut world = wanted(|spec| spec["rollout"] = json!({ "progressDeadline": "30s" }));
    for _ in 0..60 {
        world.pass();
        world.jobs_end(&report(Outcome::Succeeded, Reason::Migrated));
        assert_eq!(traffic(&world.observed), Some(to("0.1.0")));
    }
    assert_eq!(world.plan().stage, Stage::RolledBack);
    assert_eq!(world.release().abandoned.unwrap().why, WhyAbandoned::NotReady);
    assert_eq!(world.names(Kind::Deployment).len(), 4);
}

#[test]
fn a_person_can_reject_abort_and_take_back() {
    let mut rejected = wanted(|spec| spec["rollout"] = json!({ "approval": "Required" }));
    run_to(&mut rejected, Stage::AwaitingApproval);
    annotate(&mut rejected, REJECTED, "0.2.0");
    let seen = run_to(&mut rejected, Stage::RolledBack);
    assert_eq!((seen.len(), rejected.release().abandoned.unwrap().why), (1, WhyAbandoned::Rejected));

    for stage in [Stage::Migrating, Stage::Deploying, Stage::Shifting, Stage::Monitoring, Stage::Finished] {
        let mut world = wanted(canary);
        run_to(&mut world, stage);
        annotate(&mut world, ABANDONED, "0.2.0");
        run_to(&mut world, Stage::RolledBack);
        assert_eq!(world.release().abandoned.unwrap().why, WhyAbandoned::Aborted, "{stage:?}");
        assert_eq!(traffic(&world.observed), Some(to("0.1.0")), "{stage:?}");
    }
}

#[test]
fn what_is_kept_is_there_for_its_time_and_comes_back_within_it() {
    let mut world = wanted(canary);
    run_to(&mut world, Stage::Finished);
    for _ in 0..15 {
        world.pass();
        assert_eq!(world.release().kept.unwrap().version, "0.1.0");
    }
    world.figures = failing;
    run_to(&mut world, Stage::RolledBack);
    assert_eq!(traffic(&world.observed), Some(to("0.1.0")));
}

#[test]
fn what_is_not_kept_any_longer_cannot_come_back() {
    let mut world = wanted(canary);
    run_to(&mut world, Stage::Finished);
    world.retire();
    annotate(&mut world, ABANDONED, "0.2.0");
    world.figures = failing;
    let plan = world.pass();
    assert_eq!((plan.stage, world.release().current.as_deref()), (Stage::Finished, Some("0.2.0")));
}

#[test]
fn an_annotation_approves_and_tells_who() {
    let mut world = wanted(|spec| spec["rollout"] = json!({ "approval": "Required", "retireAfter": "20s" }));
    run_to(&mut world, Stage::AwaitingApproval);
    annotate(&mut world, APPROVED, "0.2.0");
    let managed = json!([{
        "manager": "kubectl-purser:alice", "operation": "Update", "time": "2026-11-24T10:00:00Z",
        "fieldsV1": { "f:metadata": { "f:annotations": { "f:purser.dev/approved-version": {} } } },
    }]);
    world.observed.cluster.metadata.managed_fields = serde_json::from_value(managed).unwrap();
    run_to(&mut world, Stage::Migrating);
    let approval = world.release().approval.unwrap();
    let told = (approval.by.as_deref(), approval.at.as_str());
    assert_eq!(told, (Some("kubectl-purser:alice"), "2026-11-24T10:00:00Z"));
}

#[test]
fn a_third_version_that_is_wanted_meanwhile_supersedes_the_second() {
    let mut world = wanted(canary);
    run_to(&mut world, Stage::Shifting);
    world.observed.cluster.spec.version = "0.3.0".into();
    for _ in 0..60 {
        world.pass();
        assert_ne!(traffic(&world.observed), None);
        world.pods_start();
        world.jobs_end(&report(Outcome::Succeeded, Reason::Migrated));
    }
    let history = world.release().history;
    let told: Vec<_> = history.iter().map(|record| (record.version.as_str(), record.result)).collect();
    let expected = [
        ("0.3.0", ReleaseResult::Succeeded),
        ("0.2.0", ReleaseResult::Superseded),
        ("0.1.0", ReleaseResult::Succeeded),
    ];
    assert_eq!(told, expected);
}

#[test]
fn every_change_of_stage_is_in_the_table() {
    let ways: [fn(&mut World); 4] = [
        |_| {},
        |world| world.figures = failing,
        |world| annotate(world, ABANDONED, "0.2.0"),
        |world| world.observed.cluster.spec.version = "0.3.0".into(),
    ];
    for way in ways {
        for at in (0..30).step_by(3) {
            let mut world = wanted(canary);
            let mut before = Stage::Finished;
            for pass in 0..75 {
                if pass == at {
                    way(&mut world);
                }
                let stage = world.pass().stage;
                assert!(stage.may_follow(before), "{before:?} -> {stage:?}");
                before = stage;
                world.pods_start();
                world.jobs_end(&report(Outcome::Succeeded, Reason::Migrated));
            }
            assert!(before.is_end(), "{before:?}");
        }
    }
}

#[test]
fn an_operator_that_dies_after_any_write_of_a_release_or_a_way_back_comes_to_the_same_end() {
    for is_bad in [false, true] {
        let go = |world: &mut World| {
            let end = if is_bad { Stage::RolledBack } else { Stage::Finished };
            for _ in 0..100 {
                if is_bad && world.plan().stage == Stage::Monitoring {
                    world.figures = slow;
                }
                let plan = world.pass();
                if plan.stage == end && plan.steps.is_empty() {
                    return;
                }
                world.pods_start();
                world.jobs_end(&report(Outcome::Succeeded, Reason::Migrated));
            }
            panic!("no end");
        };
        let mut whole = wanted(canary);
        let before = whole.writes;
        go(&mut whole);
        for crash_after in before..whole.writes {
            let mut world = wanted(canary);
            let mut plans = 0;
            // As far as that write, and no word of it in the status.
            while world.writes < crash_after && plans < 100 {
                if is_bad && world.plan().stage == Stage::Monitoring {
                    world.figures = slow;
                }
                world.observed.figures = (world.figures)(world.now.as_second());
                let left = crash_after - world.writes;
                let plan = world.plan();
                if plan.steps.len() > left {
                    let begun = Plan { steps: plan.steps[..left].to_vec(), ..plan };
                    world.carry_out_all(&begun);
                    break;
                }
                world.pass();
                plans += 1;
                world.pods_start();
                world.jobs_end(&report(Outcome::Succeeded, Reason::Migrated));
            }
            go(&mut world);
            for kind in Kind::ALL {
                assert_eq!(world.names(kind), whole.names(kind), "killed after {crash_after} writes");
            }
            assert_eq!(traffic(&world.observed), traffic(&whole.observed));
            let (release, without) = (world.release(), whole.release());
            assert_eq!((release.current, release.history.len()), (without.current, without.history.len()));
        }
    }
}
