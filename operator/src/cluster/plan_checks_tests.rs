use crds::annotations::{ABANDONED, PAUSED, RETRY};
use runtime_contract::Reason;
use serde_json::{Value, json};

use super::*;
use crate::cluster::fixtures::{self, World};
use crate::cluster::plan::Plan;

/// A platform at rest of which release 0.2.0 is wanted, with all checks.
fn wanted(change: impl FnOnce(&mut Value)) -> World {
    let mut world = World::finished();
    want(&mut world, "0.2.0", change);
    world
}

fn want(world: &mut World, version: &str, change: impl FnOnce(&mut Value)) {
    let status = world.observed.cluster.status.take();
    world.observed.cluster = fixtures::cluster(|spec| {
        spec["version"] = json!(version);
        spec["rollout"] = json!({ "retireAfter": "20s" });
        change(spec);
    });
    world.observed.cluster.status = status;
}

fn staging(spec: &mut Value) {
    spec["environment"] = json!("Staging");
    spec["rollout"] = json!({ "retireAfter": "20s", "warmCache": "Disabled", "healthCheck": "Disabled" });
}

fn failed_at(component: &str, succeeded: JobReport, at: &str, reason: Reason) -> JobReport {
    if component == at { JobReport::new(Outcome::Failed, reason, "it is not right") } else { succeeded }
}

/// The stages of the plans, each once.
fn stages(plans: &[Plan]) -> Vec<Stage> {
    let mut stages: Vec<_> = plans.iter().map(|plan| plan.stage).collect();
    stages.dedup();
    stages
}

fn ended(plan: &Plan) -> bool {
    plan.stage.is_end() && plan.steps.is_empty()
}

#[test]
fn a_release_is_warmed_and_checked_before_it_gets_any_traffic() {
    let mut world = wanted(|_| {});
    let plans = world.run_until(ended);
    let all = [
        Stage::Validating,
        Stage::PlanningMigrations,
        Stage::Migrating,
        Stage::Deploying,
        Stage::WarmingCache,
        Stage::CheckingHealth,
        Stage::Shifting,
        Stage::Monitoring,
        Stage::Finished,
    ];
    assert_eq!(stages(&plans), all);
    assert!(stages(&plans).windows(2).all(|pair| pair[1].may_follow(pair[0])));
    let release = world.release();
    assert_eq!((release.current.as_deref(), release.verified), (Some("0.2.0"), None), "production verifies nothing");
}

#[test]
fn the_first_release_is_not_checked_nobody_else_could_serve_meanwhile() {
    let cluster = fixtures::cluster(|spec| spec["rollout"] = json!({}));
    let mut world = World::new(fixtures::observed(|observed| observed.cluster = cluster));
    let plans = world.run_until(ended);
    assert!(!stages(&plans).contains(&Stage::CheckingHealth));
    assert_eq!(plans.last().unwrap().stage, Stage::Finished);
}

#[test]
fn a_release_that_fails_its_health_check_never_gets_traffic_and_its_pods_go() {
    let mut world = wanted(|_| {});
    world.reports = |component, succeeded| failed_at(component, succeeded, "health-check", Reason::SmokeFailed);
    let plans = world.run_until(ended);
    assert!(!stages(&plans).contains(&Stage::Shifting), "{:?}", stages(&plans));
    assert!(stages(&plans).windows(2).all(|pair| pair[1].may_follow(pair[0])), "{:?}", stages(&plans));
    let release = world.release();
    let abandoned = release.abandoned.unwrap();
    assert_eq!((release.current.as_deref(), abandoned.why), (Some("0.1.0"), WhyAbandoned::HealthCheckFailed));
    assert!(
        abandoned.message.contains("the health check failed: it is not right; 0.1.0 serves"),
        "{}",
        abandoned.message
    );
    assert!(world.names(Kind::Deployment).iter().all(|name| name.ends_with("0-1-0")));
    assert_eq!(world.condition("Ready").status, "True");
    assert_eq!(world.condition("Stalled").reason, "HealthCheckFailed");

    // Once the cause is gone, a person has it tried again, with a new Job.
    world.reports = |_, succeeded| succeeded;
    let annotations = world.observed.cluster.metadata.annotations.get_or_insert_default();
    annotations.insert(RETRY.into(), "again".into());
    world.run_until(|plan| plan.stage == Stage::Finished && plan.steps.is_empty());
    assert_eq!(world.release().current.as_deref(), Some("0.2.0"));
}

#[test]
fn a_cache_that_stays_cold_holds_nothing_up() {
    for outcome in [Outcome::Failed, Outcome::Retry] {
        let mut world = wanted(|_| {});
        world.reports = match outcome {
            Outcome::Failed => {
                |component, succeeded| failed_at(component, succeeded, "warm-cache", Reason::InvalidConfiguration)
            }
            _ => |component, succeeded| match component {
                "warm-cache" => JobReport::new(Outcome::Retry, Reason::DatabaseUnreachable, "away"),
                _ => succeeded,
            },
        };
        let plans = world.run_until(ended);
        assert_eq!(plans.last().unwrap().stage, Stage::Finished);
    }
}

#[test]
fn a_check_that_does_not_end_gives_the_release_up_after_its_deadline() {
    let mut world = wanted(|spec| spec["rollout"]["progressDeadline"] = json!("30s"));
    world.run_until(|plan| plan.stage == Stage::CheckingHealth);
    let mut plans = Vec::new();
    for _ in 0..40 {
        plans.push(world.pass());
    }
    assert!(plans.iter().any(|plan| plan.stage == Stage::RolledBack));
    let abandoned = world.release().abandoned.unwrap();
    assert_eq!(abandoned.why, WhyAbandoned::NotReady);
    assert!(abandoned.message.contains("health check was not over within 30s"), "{}", abandoned.message);
}

#[test]
fn nothing_is_checked_while_somebody_holds_the_release_and_it_can_be_given_up() {
    let mut world = wanted(|_| {});
    world.run_until(|plan| plan.stage == Stage::WarmingCache);
    let annotate = |world: &mut World, key: &str, value: &str| {
        let annotations = world.observed.cluster.metadata.annotations.get_or_insert_default();
        annotations.insert(key.into(), value.into());
    };
    annotate(&mut world, PAUSED, "true");
    for _ in 0..5 {
        world.jobs_go();
        let plan = world.pass();
        assert_eq!((plan.stage, plan.waiting_on), (Stage::Deploying, Some(WaitingOn::Paused)));
    }
    annotate(&mut world, ABANDONED, "0.2.0");
    world.run_until(|plan| plan.stage == Stage::RolledBack && plan.steps.is_empty());
    assert_eq!(world.release().abandoned.unwrap().why, WhyAbandoned::Aborted);
}

#[test]
fn a_staging_release_is_tested_with_all_of_the_traffic_and_then_verified() {
    let cluster = fixtures::cluster(staging);
    let mut world = World::new(fixtures::observed(|observed| observed.cluster = cluster));
    let plans = world.run_until(ended);
    let first = [
        Stage::Validating,
        Stage::PlanningMigrations,
        Stage::Migrating,
        Stage::Deploying,
        Stage::Testing,
        Stage::Verified,
    ];
    assert_eq!(stages(&plans), first);
    assert!(stages(&plans).windows(2).all(|pair| pair[1].may_follow(pair[0])));
    assert_eq!(world.condition("Reconciling").reason, "Verified");

    want(&mut world, "0.2.0", staging);
    let plans = world.run_until(ended);
    let then = [
        Stage::PlanningMigrations,
        Stage::Migrating,
        Stage::Deploying,
        Stage::Shifting,
        Stage::Testing,
        Stage::Verified,
    ];
    assert_eq!(stages(&plans)[1..], then);
    let jobs: Vec<_> = world.names(Kind::Job).into_iter().map(str::to_owned).collect();
    assert!(
        jobs.iter().any(|name| name.contains("smoke-0-2-0")) && jobs.iter().any(|name| name.contains("load-0-2-0"))
    );
    let release = world.release();
    assert_eq!(release.verified.unwrap().version, "0.2.0");
    let results: Vec<_> = release.history.iter().map(|record| record.result).collect();
    assert_eq!(results, [crds::payment_cluster::ReleaseResult::Verified; 2]);
    world.retire();
    let plan = world.pass();
    assert_eq!((plan.stage, plan.steps.len()), (Stage::Verified, 0), "and stays so");
}

#[test]
fn a_staging_release_that_misses_a_figure_goes_back_where_there_is_one_before_it() {
    let cluster = fixtures::cluster(staging);
    let mut world = World::new(fixtures::observed(|observed| observed.cluster = cluster));
    world.run_until(ended);
    want(&mut world, "0.2.0", staging);
    world.reports = |component, succeeded| failed_at(component, succeeded, "load-test", Reason::LoadFailed);
    let plans = world.run_until(|plan| plan.stage == Stage::RolledBack && plan.steps.is_empty());
    assert!(stages(&plans).windows(2).all(|pair| pair[1].may_follow(pair[0])), "{:?}", stages(&plans));
    let release = world.release();
    let abandoned = release.abandoned.unwrap();
    assert_eq!((abandoned.why, release.current.as_deref()), (WhyAbandoned::NotVerified, Some("0.1.0")));
    assert!(abandoned.message.contains("the load test failed: it is not right"), "{}", abandoned.message);
    assert_eq!(release.verified.unwrap().version, "0.1.0");
}

#[test]
fn the_only_staging_release_stays_and_says_that_it_is_not_verified() {
    let cluster = fixtures::cluster(staging);
    let mut world = World::new(fixtures::observed(|observed| observed.cluster = cluster));
    world.reports = |component, succeeded| failed_at(component, succeeded, "smoke-test", Reason::SmokeFailed);
    world.run_until(|plan| plan.stalled.is_some());
    for _ in 0..5 {
        let plan = world.pass();
        assert_eq!((plan.stage, plan.steps.len()), (Stage::Testing, 0));
    }
    assert_eq!(world.condition("Stalled").reason, "NotVerified");
    assert_eq!((world.release().current, world.release().verified), (None, None));
    assert_eq!(world.names(Kind::Deployment).len(), 4, "it stays, for people to look at");
}

#[test]
fn an_operator_that_dies_after_any_write_is_followed_by_one_that_goes_on_there() {
    for writes in (0..60).step_by(2) {
        let mut world = wanted(|_| {});
        world.writes = 0;
        world.crash_after(writes);
        world.run_until(|plan| plan.stage == Stage::Finished && plan.steps.is_empty());
        let of = |word: &str| world.names(Kind::Job).iter().filter(|name| name.contains(word)).count();
        assert_eq!((of("-health-"), of("-warm-")), (1, 1), "after {writes} writes");
    }
}
