//! Another release is wanted while a canary has most of the traffic, or it is given up: the pods of the one that serves come back
//! before it.

use crds::PaymentClusterSpec;
use crds::annotations::ABANDONED;
use crds::payment_cluster::Approval;

use super::release_tests::{annotate, canary, failing, slow, wanted};
use super::tests::to;
use super::*;
use crate::cluster::fixtures::World;
use crate::cluster::plan_objects::{gateways, replicas_of};

/// The gateway of the release that serves.
const SERVING: &str = "payments-gateway-0-1-0";
/// Gateway pods that take all of the traffic.
const WHOLE: i64 = 9;

fn pods(world: &World) -> Option<i32> {
    replicas_of(world.observed.find(Kind::Deployment, SERVING).unwrap())
}

/// Gateway pods that are ready behind the Service.
fn ready(world: &World) -> i64 {
    let to = traffic(&world.observed).unwrap();
    let is_selected = |name: &Option<String>| to == Traffic::Split || name.clone().map(Traffic::To) == Some(to.clone());
    let selected = gateways(&world.observed).filter(|gateway| is_selected(&gateway.release));
    selected.filter_map(|gateway| gateway.body["status"]["readyReplicas"].as_i64()).sum()
}

/// A canary that has three quarters of the traffic, and has left three pods to the release that serves.
fn mostly_canary() -> World {
    let mut world = wanted(canary);
    for _ in 0..60 {
        world.pass();
        world.pods_start();
        world.jobs_go();
        if pods(&world) == Some(3) {
            return world;
        }
    }
    panic!("the canary did not get that far: {:#?}", world.release());
}

/// A pass after which all pods start but those of the gateway that serves.
fn slow_pass(world: &mut World) -> Plan {
    let plan = world.pass();
    let status = world.live_mut(Kind::Deployment, SERVING).body["status"].clone();
    world.pods_start();
    world.live_mut(Kind::Deployment, SERVING).body["status"] = status;
    world.jobs_go();
    plan
}

fn gateway_releases(world: &World) -> Vec<String> {
    gateways(&world.observed).filter_map(|gateway| gateway.release.clone()).collect()
}

/// What makes another release wanted.
type Want = fn(&mut PaymentClusterSpec);

#[test]
fn at_no_pass_has_the_service_fewer_ready_pods_than_its_traffic_takes() {
    let ways: [(Want, &str); 4] = [
        (|spec| spec.version = "0.3.0".into(), "0.3.0"),
        (|spec| spec.fraud.deadline = "80ms".into(), "0.2.0-r2"),
        (|spec| spec.version = "0.1.0".into(), "0.1.0"),
        (
            |spec| {
                spec.version = "0.3.0".into();
                spec.rollout.approval = Approval::Required;
            },
            "0.1.0",
        ),
    ];
    for (number, (want, ends_with)) in ways.into_iter().enumerate() {
        let mut world = mostly_canary();
        let of_canary = world.names(Kind::Deployment).iter().filter(|name| name.ends_with("-0-2-0")).count();
        want(&mut world.observed.cluster.spec);
        for pass in 0..15 {
            let plan = slow_pass(&mut world);
            assert!(ready(&world) >= WHOLE, "way {number}, pass {pass}: {} pods", ready(&world));
            assert_eq!(traffic(&world.observed), Some(Traffic::Split), "way {number}, pass {pass}");
            assert_eq!(gateway_releases(&world), ["0.1.0", "0.2.0"], "way {number}, pass {pass}");
            assert!(plan.stage.is_before_start(), "way {number}, pass {pass}: {:?}", plan.stage);
            let waits_for_pods = plan.waiting_on == Some(WaitingOn::Handover);
            assert!(pass == 0 || plan.stage == Stage::AwaitingApproval || waits_for_pods, "way {number}, pass {pass}");
            assert_eq!(pods(&world), Some(if pass == 0 { 3 } else { 9 }), "way {number}, pass {pass}");
        }
        let still = world.names(Kind::Deployment).iter().filter(|name| name.ends_with("-0-2-0")).count();
        assert_eq!(still, of_canary, "a canary without its fraud check breaks payments");
        world.pods_start();
        world.pass();
        assert_eq!(traffic(&world.observed), Some(to("0.1.0")), "way {number}");
        assert!(!gateway_releases(&world).contains(&"0.2.0".to_owned()), "way {number}");
        for pass in 0..60 {
            assert!(ready(&world) >= WHOLE, "way {number}, pass {pass} after: {} pods", ready(&world));
            world.pods_start();
            world.jobs_go();
            world.pass();
        }
        assert_eq!(world.release().current.as_deref(), Some(ends_with), "way {number}");
    }
}

#[test]
fn a_release_that_is_superseded_with_all_of_the_traffic_keeps_it_as_long() {
    let mut world = mostly_canary();
    while slow_pass(&mut world).stage != Stage::Monitoring {}
    assert_eq!((traffic(&world.observed), pods(&world)), (Some(to("0.2.0")), Some(9)));
    world.observed.cluster.spec.version = "0.3.0".into();
    for _ in 0..5 {
        slow_pass(&mut world);
        assert_eq!((traffic(&world.observed), ready(&world)), (Some(to("0.2.0")), WHOLE));
    }
    world.pods_start();
    world.pass();
    assert_eq!((traffic(&world.observed), ready(&world)), (Some(to("0.1.0")), WHOLE));
}

#[test]
fn pods_that_do_not_come_back_hold_up_no_release_for_ever() {
    let mut world = mostly_canary();
    let spec = &mut world.observed.cluster.spec;
    spec.version = "0.3.0".into();
    spec.rollout.progress_deadline = "30s".into();
    for pass in 0..33 {
        slow_pass(&mut world);
        let expected = if pass < 30 { Traffic::Split } else { to("0.1.0") };
        assert_eq!((traffic(&world.observed), pods(&world).unwrap() < 9), (Some(expected), pass == 0), "pass {pass}");
    }
    assert!(!world.names(Kind::Deployment).contains(&"payments-gateway-0-2-0"));
}

#[test]
fn a_superseded_release_whose_payments_fail_loses_its_traffic_at_once() {
    let mut world = mostly_canary();
    world.observed.cluster.spec.version = "0.3.0".into();
    world.figures = failing;
    slow_pass(&mut world);
    slow_pass(&mut world);
    assert_eq!((traffic(&world.observed), pods(&world)), (Some(to("0.1.0")), Some(9)));
}

#[test]
fn a_release_that_is_aborted_before_the_traffic_is_back_changes_nothing_of_that() {
    let mut world = mostly_canary();
    world.observed.cluster.spec.version = "0.3.0".into();
    slow_pass(&mut world);
    annotate(&mut world, ABANDONED, "0.3.0");
    for _ in 0..5 {
        slow_pass(&mut world);
        assert_eq!((traffic(&world.observed), pods(&world)), (Some(Traffic::Split), Some(9)));
    }
    world.pods_start();
    world.run_until(|plan| plan.stage == Stage::RolledBack && plan.steps.is_empty());
    assert_eq!((traffic(&world.observed), ready(&world)), (Some(to("0.1.0")), WHOLE));
}

/// A canary with three quarters of the traffic, in the pass in which it is given up for being slow.
fn given_up(steps: serde_json::Value) -> World {
    let mut world = mostly_canary();
    world.observed.cluster.spec.rollout.steps = serde_json::from_value(steps).unwrap();
    world.figures = slow;
    while slow_pass(&mut world).stage != Stage::RollingBack {}
    world
}

#[test]
fn a_slow_canary_that_is_given_up_keeps_what_the_release_before_has_no_pods_for() {
    for steps in [
        serde_json::json!([{"weight": 10, "duration": "10s"}, {"weight": 75, "duration": "10s"}]),
        serde_json::json!([{"weight": 75, "duration": "10s"}, {"weight": 75, "duration": "10s"}]),
    ] {
        let mut world = given_up(steps.clone());
        for pass in 0..8 {
            assert_eq!(
                (traffic(&world.observed), pods(&world)),
                (Some(Traffic::Split), Some(9)),
                "{steps}, pass {pass}"
            );
            assert!(ready(&world) >= WHOLE, "{steps}, pass {pass}: {} pods", ready(&world));
            slow_pass(&mut world);
        }
        world.pods_start();
        world.run_until(|plan| plan.stage == Stage::RolledBack);
        assert_eq!((traffic(&world.observed), ready(&world)), (Some(to("0.1.0")), WHOLE), "{steps}");
        // Without them it goes back all the same, only later.
        let mut world = given_up(steps.clone());
        for _ in 0..13 {
            slow_pass(&mut world);
        }
        assert_eq!(traffic(&world.observed), Some(to("0.1.0")), "{steps}");
    }
}

#[test]
fn the_release_that_serves_has_its_pods_in_every_stage_before_traffic_moves() {
    for stage in [Stage::Migrating, Stage::Deploying] {
        let mut world = wanted(canary);
        world.run_until(|plan| plan.stage == stage);
        world.live_mut(Kind::Deployment, SERVING).body["spec"]["replicas"] = 3.into();
        let plan = world.pass();
        assert_eq!((plan.stage, pods(&world)), (stage, Some(9)));
    }
}
