//! A change of what pods start with is a release of its own, and goes the way of one.

use crds::Stage;
use crds::annotations::{ABANDONED, APPROVED, RETRY};
use crds::payment_cluster::{Approval, ReleaseResult, WhyAbandoned};
use kube::ResourceExt;
use runtime_contract::{Counts, Figures, ReleaseFigures, Slice, Times};
use serde_json::{Value, json};

use super::*;
use crate::cluster::fixtures::{self, World, all_well, is_over};
use crate::cluster::plan::Plan;
use crate::cluster::plan_objects::traffic;
use crate::owned::Kind;
use crate::workloads::Traffic;

fn to(release: &str) -> Option<Traffic> {
    Some(Traffic::To(release.into()))
}

fn deadline(world: &mut World, deadline: &str) {
    world.observed.cluster.spec.fraud.deadline = deadline.into();
}

/// What the pods of a release start with.
fn started_with(world: &World, release: &str) -> Vec<Value> {
    let of_release = world.observed.live.iter().filter(|live| live.release.as_deref() == Some(release));
    let told = of_release.filter_map(|live| match live.kind {
        Kind::Deployment => Some(live.body["spec"]["template"].clone()),
        Kind::ConfigMap if live.name.contains("-config-") => Some(live.body["data"].clone()),
        _ => None,
    });
    told.collect()
}

fn served_by(world: &World) -> (Option<String>, Option<Traffic>) {
    (world.release().current, traffic(&world.observed))
}

fn ends(world: &mut World, stage: Stage) -> Vec<Plan> {
    world.run_until(|plan| plan.stage == stage && plan.steps.is_empty())
}

/// Both releases have payments, and those of the second configuration take too long.
fn slow(second: i64) -> Option<Figures> {
    let of = |release: &str, ms: u64| {
        let payment_us = Times::from([(ms * 1_000, 50)]);
        let slice = |second| Slice {
            second,
            counts: Counts { succeeded: 50, failed: 0, payment_us: payment_us.clone(), fraud_us: Times::new() },
        };
        ReleaseFigures {
            release: release.into(),
            slices: (second - 9..=second).map(slice).collect(),
            ..ReleaseFigures::default()
        }
    };
    Some(Figures { releases: vec![of("0.1.0", 20), of("0.1.0-r2", 900)], ..all_well(second)? })
}

fn breached() -> World {
    let mut world = World::finished();
    world.observed.cluster.spec.sla.p95_latency = Some("200ms".into());
    deadline(&mut world, "80ms");
    world.figures = slow;
    ends(&mut world, Stage::RolledBack);
    world.figures = all_well;
    world
}

#[test]
fn a_setting_that_pods_start_with_goes_beside_what_serves_and_takes_over_watched() {
    let mut world = World::finished();
    let before = started_with(&world, "0.1.0");
    deadline(&mut world, "80ms");
    let mut stages = Vec::new();
    for _ in 0..40 {
        let plan = world.pass();
        assert_eq!(started_with(&world, "0.1.0"), before, "{:?}", plan.stage);
        let serves = if plan.stage.is_before_pods() || plan.stage == Stage::Deploying { "0.1.0" } else { "0.1.0-r2" };
        assert_eq!(traffic(&world.observed), to(serves), "{:?}", plan.stage);
        stages.push(plan.stage);
        if plan.stage == Stage::Finished {
            break;
        }
        world.pods_start();
        world.jobs_go();
    }
    stages.dedup();
    let expected = [Stage::Validating, Stage::Deploying, Stage::Shifting, Stage::Monitoring, Stage::Finished];
    assert_eq!(stages, expected, "its schema is there");
    assert_eq!(served_by(&world), (Some("0.1.0-r2".into()), to("0.1.0-r2")));
    let (release, new) = (world.release(), started_with(&world, "0.1.0-r2"));
    assert!(new.iter().any(|part| part.to_string().contains("purser:0.1.0\"")) && new != before);
    assert_eq!((release.kept.unwrap().version.as_str(), release.history[0].version.as_str()), ("0.1.0", "0.1.0-r2"));
    world.retire();
    assert!(world.names(Kind::Deployment).iter().all(|name| name.ends_with("-0-1-0-r2")));
    let writes = world.writes;
    assert!((0..10).all(|_| world.pass().steps.is_empty()) && world.writes == writes);
}

#[test]
fn a_breach_takes_a_configuration_back_and_it_is_not_tried_again() {
    let mut world = breached();
    assert_eq!(served_by(&world), (Some("0.1.0".into()), to("0.1.0")));
    let abandoned = world.release().abandoned.unwrap();
    assert_eq!((abandoned.version.as_str(), abandoned.why), ("0.1.0-r2", WhyAbandoned::SlaBreached));
    for _ in 0..20 {
        let plan = world.pass();
        assert_eq!((plan.stage, plan.steps.len()), (Stage::RolledBack, 0));
    }
    assert!(started_with(&world, "0.1.0").iter().any(|part| part.to_string().contains("\\\"deadlineMs\\\":50")));
    // What needs no pods is no other release.
    world.observed.cluster.spec.cache.ttl.user = "7m".into();
    world.observed.cluster.spec.processor.replicas = 3;
    ends(&mut world, Stage::RolledBack);
    assert_eq!(world.release().target.as_deref(), Some("0.1.0-r2"));
    world.observed.cluster.annotations_mut().insert(RETRY.into(), "1".into());
    ends(&mut world, Stage::Finished);
    assert_eq!(world.release().current.as_deref(), Some("0.1.0-r2"));
}

#[test]
fn another_configuration_than_the_one_that_was_given_up_is_another_release() {
    let mut world = breached();
    deadline(&mut world, "60ms");
    ends(&mut world, Stage::Finished);
    assert_eq!(world.release().current.as_deref(), Some("0.1.0-r3"));
}

#[test]
fn a_spec_that_is_put_back_names_what_serves_and_ends_what_is_on_its_way() {
    for stage in [Stage::Validating, Stage::Deploying, Stage::Shifting, Stage::Monitoring] {
        let mut world = World::finished();
        let before = started_with(&world, "0.1.0");
        deadline(&mut world, "80ms");
        world.run_until(|plan| plan.stage == stage);
        deadline(&mut world, "50ms");
        ends(&mut world, Stage::Finished);
        assert_eq!(served_by(&world), (Some("0.1.0".into()), to("0.1.0")), "{stage:?}");
        assert_eq!(started_with(&world, "0.1.0"), before, "{stage:?}");
        assert!(started_with(&world, "0.1.0-r2").is_empty(), "{stage:?}");
        deadline(&mut world, "80ms");
        ends(&mut world, Stage::Finished);
        assert_eq!(world.release().current.as_deref(), Some("0.1.0-r2"), "an equal configuration is the same release");
    }
}

#[test]
fn of_two_changes_in_quick_succession_the_second_supersedes_the_first() {
    let mut world = World::finished();
    deadline(&mut world, "80ms");
    world.run_until(|plan| plan.stage == Stage::Shifting);
    deadline(&mut world, "60ms");
    ends(&mut world, Stage::Finished);
    let release = world.release();
    let told: Vec<_> = release.history.iter().map(|record| (record.version.as_str(), record.result)).collect();
    let expected = [
        ("0.1.0-r3", ReleaseResult::Succeeded),
        ("0.1.0-r2", ReleaseResult::Superseded),
        ("0.1.0", ReleaseResult::Succeeded),
    ];
    assert_eq!(told, expected);
}

#[test]
fn a_version_and_a_setting_together_are_one_release() {
    let mut world = World::finished();
    world.observed.cluster.spec.version = "0.2.0".into();
    deadline(&mut world, "80ms");
    ends(&mut world, Stage::Finished);
    assert_eq!(world.release().current.as_deref(), Some("0.2.0"));
    world.retire();
    assert_eq!(world.release().history.len(), 2);
}

#[test]
fn what_needs_no_new_pods_is_no_release() {
    let mut world = World::finished();
    let spec = &mut world.observed.cluster.spec;
    spec.fraud.replicas = 3;
    spec.gateway.replicas = 4;
    spec.gateway.rate_limit.burst = 77;
    spec.cache.ttl.user = "7m".into();
    spec.sla.p95_latency = Some("1s".into());
    spec.rollout.retire_after = "1m".into();
    ends(&mut world, Stage::Finished);
    world.observed.cache_secret = fixtures::present("2");
    world.observed.providers.push(fixtures::seen_provider("paypal"));
    world.run_until(is_over);
    let release = world.release();
    assert_eq!((release.target.as_deref(), release.history.len()), (Some("0.1.0"), 1));
}

#[test]
fn the_first_release_follows_the_spec_until_it_serves() {
    for stage in [Stage::PlanningMigrations, Stage::Migrating, Stage::Deploying] {
        let mut world = World::new(fixtures::observed(|_| {}));
        world.run_until(|plan| plan.stage == stage);
        deadline(&mut world, "80ms");
        ends(&mut world, Stage::Finished);
        let release = world.release();
        assert_eq!((release.current.as_deref(), release.history.len()), (Some("0.1.0"), 1), "{stage:?}");
        assert!(started_with(&world, "0.1.0").iter().any(|part| part.to_string().contains("80")));
    }
}

#[test]
fn a_status_that_knows_of_no_configurations_is_no_reason_for_a_release() {
    let ways: [fn(&mut World); 3] = [
        |world| {
            let status = world.observed.cluster.status.as_mut().unwrap();
            status.release.as_mut().unwrap().configurations.clear();
        },
        |world| world.observed.cluster.status = None,
        |world| {
            let status = world.observed.cluster.status.as_mut().unwrap();
            status.release.as_mut().unwrap().configurations.clear();
            world.live_mut(Kind::ConfigMap, "payments-config-0-1-0").body["data"] = json!({});
        },
    ];
    for forget in ways {
        let mut world = World::finished();
        forget(&mut world);
        world.run_until(is_over);
        let release = world.release();
        assert_eq!((release.current.as_deref(), release.configurations.len()), (Some("0.1.0"), 1));
        deadline(&mut world, "80ms");
        ends(&mut world, Stage::Finished);
        assert_eq!(world.release().current.as_deref(), Some("0.1.0-r2"));
    }
}

#[test]
fn a_release_that_was_given_up_before_configurations_had_names_stays_given_up() {
    let mut world = World::finished();
    world.observed.cluster.spec.version = "0.2.0".into();
    world.run_until(|plan| plan.stage == Stage::Shifting);
    world.observed.cluster.annotations_mut().insert(ABANDONED.into(), "0.2.0".into());
    ends(&mut world, Stage::RolledBack);
    world.observed.cluster.status.as_mut().unwrap().release.as_mut().unwrap().configurations.clear();
    for _ in 0..5 {
        assert_eq!(world.pass().stage, Stage::RolledBack);
    }
}

#[test]
fn an_equal_spec_has_an_equal_digest_whatever_the_operator() {
    // Another one here would release every platform anew with the next operator.
    let digest = digest(&Configuration::of(&fixtures::cluster(|_| {}).spec));
    assert_eq!(digest, "790e36825046ad31");
}

#[test]
fn git_approves_what_stands_beside_the_version_and_a_person_one_release() {
    let waiting = || {
        let mut world = World::finished();
        world.observed.cluster.spec.rollout.approval = Approval::Required;
        deadline(&mut world, "80ms");
        world.run_until(|plan| plan.stage == Stage::AwaitingApproval);
        assert!(world.condition("Approved").message.contains("release 0.1.0-r2 waits"));
        world
    };
    for (annotation, in_git, is_approved) in [
        (Some("0.1.0"), None, false),
        (Some("0.1.0-r2"), None, true),
        (None, Some("0.1.0"), true),
        (None, Some("0.1.0-r2"), true),
        (None, Some("0.1.0-r3"), false),
    ] {
        let mut world = waiting();
        if let Some(word) = annotation {
            world.observed.cluster.annotations_mut().insert(APPROVED.into(), word.into());
        }
        world.observed.cluster.spec.rollout.approved_version = in_git.map(str::to_owned);
        let waits = world.pass().stage == Stage::AwaitingApproval;
        assert_eq!(!waits, is_approved, "{annotation:?} {in_git:?}");
    }
}

#[test]
fn the_gateway_is_reached_without_tls_until_pods_that_speak_it_have_the_traffic() {
    let mut world = World::finished();
    world.observed.cluster.spec.gateway.tls = serde_json::from_value(json!({ "secretName": "payments-tls" })).unwrap();
    for _ in 0..40 {
        let plan = world.pass();
        let service = world.observed.find(Kind::Service, "payments-gateway").unwrap();
        let port = if traffic(&world.observed) == to("0.1.0") { 80 } else { 443 };
        assert_eq!(service.body["spec"]["ports"][0]["port"], port, "{:?}", plan.stage);
        world.pods_start();
        world.jobs_go();
    }
    assert_eq!(served_by(&world), (Some("0.1.0-r2".into()), to("0.1.0-r2")));
}

#[test]
fn an_operator_that_dies_after_any_write_of_a_configuration_comes_to_the_same_end() {
    let wanted = || {
        let mut world = World::finished();
        deadline(&mut world, "80ms");
        world
    };
    let mut whole = wanted();
    let before = whole.writes;
    ends(&mut whole, Stage::Finished);
    for crash_after in before..whole.writes {
        let mut world = wanted();
        world.crash_after(crash_after);
        ends(&mut world, Stage::Finished);
        for kind in Kind::ALL {
            assert_eq!(world.names(kind), whole.names(kind), "killed after {crash_after} writes");
        }
        assert_eq!(served_by(&world), served_by(&whole));
        assert_eq!(world.release().configurations, whole.release().configurations);
    }
}
