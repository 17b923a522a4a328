//! Plans as plain values: what comes next in which world.

use runtime_contract::{JobReport, MigrationPlan, Outcome, Reason};
use serde_json::json;

use super::*;
use crate::cluster::fixtures::{self, World};
use crate::cluster::validate;
use crate::secrets::SecretState;

pub(super) fn report(outcome: Outcome, reason: Reason) -> JobReport {
    let report = JobReport::new(outcome, reason, "because");
    // A Job that did what it was to do, whichever it is.
    let plan = MigrationPlan { from: 0, to: 3, pending: 3, offline: 0 };
    let plan = (outcome == Outcome::Succeeded).then_some(plan);
    JobReport { migration_plan: plan, backup_id: Some("backup-1".into()), ..report }
}

pub(super) fn to(version: &str) -> Traffic {
    Traffic::To(version.to_owned())
}

fn stages(plans: &[Plan]) -> Vec<Stage> {
    let mut stages: Vec<_> = plans.iter().map(|plan| plan.stage).collect();
    stages.dedup();
    stages
}

#[test]
fn the_first_release_goes_through_its_stages_and_comes_to_rest() {
    let mut world = World::new(fixtures::observed(|_| {}));
    let plans = world.run_until(|plan| plan.stage == Stage::Finished && plan.steps.is_empty());
    let expected = [Stage::Validating, Stage::PlanningMigrations, Stage::Migrating, Stage::Deploying, Stage::Finished];
    assert_eq!(stages(&plans), expected);
    let status = world.observed.cluster.status.clone().unwrap();
    let release = status.release.unwrap();
    assert_eq!((release.current.as_deref(), release.schema_version), (Some("0.1.0"), Some(3)));
    assert_eq!(status.settings.unwrap().revision, 1);
    assert_eq!(status.replicas.unwrap().ready, "6/6");
    let writes = world.writes;
    for _ in 0..10 {
        world.pass();
    }
    assert_eq!(world.writes, writes, "a platform at rest is left alone");
}

#[test]
fn no_workload_starts_before_the_migrations_have_succeeded() {
    let mut world = World::new(fixtures::observed(|_| {}));
    world.run_until(|plan| plan.stage == Stage::Migrating);
    for _ in 0..5 {
        world.pass();
    }
    assert_eq!(world.names(Kind::Job), ["payments-migrate-0-1-0-1", "payments-plan-0-1-0-1"]);
    assert_eq!(world.names(Kind::Deployment), [""; 0]);
    assert_eq!(world.names(Kind::ServiceAccount), ["payments"], "the Job runs under it");
}

#[test]
fn live_settings_are_applied_while_the_workloads_start() {
    let mut world = World::new(fixtures::observed(|_| {}));
    world.run_until(|plan| plan.stage == Stage::Deploying);
    assert_eq!(world.names(Kind::Deployment).len(), 4);
    assert!(world.names(Kind::Job).contains(&"payments-settings-1-1"));
}

#[test]
fn a_failed_migration_stalls_and_changes_nothing_else() {
    let mut world = World::new(fixtures::observed(|_| {}));
    world.run_until(|plan| plan.stage == Stage::Migrating);
    world.jobs_end(&report(Outcome::Failed, Reason::MigrationFailed));
    for _ in 0..100 {
        let plan = world.pass();
        let (reason, message) = plan.stalled.unwrap();
        assert_eq!(reason, "MigrationFailed");
        assert!(message.starts_with("because; ") && message.contains("purser.dev/retry"), "{message}");
        assert_eq!((plan.stage, plan.waiting_on), (Stage::Migrating, Some(WaitingOn::MigrationCorrection)));
        assert_eq!(plan.steps, []);
    }
    world.observed.database_secret = fixtures::present("2");
    world.pass();
    assert_eq!(world.names(Kind::Job)[0], "payments-migrate-0-1-0-2", "a new Secret is a new chance");
}

#[test]
fn an_unreachable_database_is_tried_again_under_a_new_name_and_later_each_time() {
    let mut world = World::new(fixtures::observed(|_| {}));
    world.run_until(|plan| plan.stage == Stage::PlanningMigrations && plan.steps.is_empty());
    let mut started = Vec::new();
    for _ in 0..200 {
        let plan = world.pass();
        if plan.steps.iter().any(|step| matches!(step, Step::Apply { object, .. } if object.kind == Kind::Job)) {
            started.push(world.now.as_second());
        }
        world.jobs_end(&report(Outcome::Retry, Reason::DatabaseUnreachable));
    }
    let gaps: Vec<_> = started.windows(2).map(|pair| pair[1] - pair[0]).collect();
    // Each attempt takes a second, and the wait counts from its end.
    assert_eq!(gaps, [3, 5, 9, 17, 33, 61, 61]);
    assert_eq!(world.names(Kind::Job)[0], "payments-migrate-0-1-0-8", "the attempts before it are removed");
}

#[test]
fn a_provider_that_changes_reaches_the_pods_without_a_rollout() {
    let mut world = World::finished();
    world.observed.providers[0].provider.spec.priority = 7;
    let plans = world.run_until(|plan| plan.settings.as_ref().is_some_and(|settings| settings.revision == 2));
    for step in plans.iter().flat_map(|plan| &plan.steps) {
        assert!(!format!("{step:?}").contains("Deployment"), "{step:?}");
    }
    assert!(plans.iter().all(|plan| plan.stage == Stage::Finished));
    world.pass();
    assert_eq!(world.names(Kind::Job), ["payments-migrate-0-1-0-1", "payments-settings-2-1"]);
    assert!(!world.names(Kind::ConfigMap).contains(&"payments-settings-1"));
}

#[test]
fn settings_that_change_back_while_others_are_on_their_way_get_a_revision_of_their_own() {
    let mut world = World::finished();
    world.observed.providers[0].provider.spec.active = false;
    world.pass();
    world.observed.providers[0].provider.spec.active = true;
    let plans = world.run_until(|plan| plan.settings_verdict.is_true());
    assert_eq!(plans.last().unwrap().settings.as_ref().unwrap().revision, 3);
}

#[test]
fn a_lost_status_ends_in_the_same_place_above_what_the_database_knows() {
    let mut world = World::finished();
    world.observed.cluster.status = None;
    world.observed.live.retain(|live| !live.name.contains("settings"));
    world.pass();
    world.pass();
    world.pass();
    let superseded =
        JobReport { settings_revision: Some(41), ..report(Outcome::Succeeded, Reason::SettingsSuperseded) };
    world.jobs_end(&superseded);
    let plans = world.run_until(|plan| plan.stage == Stage::Finished && plan.settings_verdict.is_true());
    assert_eq!(plans.last().unwrap().settings.as_ref().unwrap().revision, 42);
}

#[test]
fn a_hand_made_change_is_put_right() {
    let mut world = World::finished();
    world.live_mut(Kind::Deployment, "payments-fraud-0-1-0").body["spec"]["replicas"] = json!(0);
    world.observed.live.retain(|live| live.kind != Kind::Service);
    let plan = world.pass();
    assert_eq!(plan.steps.len(), 4, "{:?}", plan.steps);
    assert_eq!(world.plan().steps, []);
}

#[test]
fn a_service_that_was_taken_away_is_no_new_release() {
    let mut world = World::finished();
    world.observed.live.retain(|live| live.kind != Kind::Service);
    let plan = world.pass();
    assert_eq!((plan.stage, plan.steps.len()), (Stage::Finished, 3));
}

#[test]
fn a_new_version_starts_beside_the_old_one_and_takes_over_when_all_of_it_is_ready() {
    let mut world = World::finished();
    world.observed.cluster.spec.version = "0.2.0".into();
    let selector = |world: &World| traffic(&world.observed).unwrap();
    let mut seen = Vec::new();
    loop {
        let plan = world.pass();
        seen.push(plan.stage);
        assert!(seen.len() < 30, "{seen:?}");
        if plan.stage == Stage::Finished {
            break;
        }
        match plan.stage {
            Stage::Migrating => assert_eq!(world.names(Kind::Deployment).len(), 4, "the new one waits for its schema"),
            Stage::Deploying => {
                assert_eq!(world.names(Kind::Deployment).len(), 8, "both stand side by side");
                assert_eq!(selector(&world), to("0.1.0"), "traffic waits for the new one to be ready");
            }
            Stage::Shifting | Stage::Monitoring => assert_eq!(selector(&world), to("0.2.0")),
            _ => {}
        }
        world.pods_start();
        world.jobs_end(&report(Outcome::Succeeded, Reason::Migrated));
    }
    seen.dedup();
    let expected = [
        Stage::Validating,
        Stage::PlanningMigrations,
        Stage::Migrating,
        Stage::Deploying,
        Stage::Shifting,
        Stage::Monitoring,
        Stage::Finished,
    ];
    assert_eq!(seen, expected);
    assert_eq!(world.names(Kind::Deployment).len(), 8, "the old one is kept, in case");
    world.retire();
    assert_eq!(world.names(Kind::Deployment).len(), 4, "the old one is gone");
    assert!(world.names(Kind::Deployment).iter().all(|name| name.ends_with("0-2-0")));
}

#[test]
fn a_new_version_that_does_not_start_leaves_the_old_one_alone() {
    let mut world = World::finished();
    world.observed.cluster.spec.version = "0.2.0".into();
    for _ in 0..20 {
        world.pass();
        world.jobs_end(&report(Outcome::Succeeded, Reason::Migrated));
    }
    assert_eq!(traffic(&world.observed), Some(to("0.1.0")));
    assert_eq!(world.names(Kind::Deployment).len(), 8);
    world.observed.cluster.spec.version = "0.1.0".into();
    let plans = world.run_until(|plan| plan.stage == Stage::Finished && plan.steps.is_empty());
    assert!(!stages(&plans).contains(&Stage::Migrating), "going back to what serves migrates nothing");
    assert_eq!(world.names(Kind::Deployment).len(), 4);
}

#[test]
fn every_stage_follows_the_one_before_it_legally() {
    let mut world = World::new(fixtures::observed(|_| {}));
    let mut stages = vec![Stage::Validating];
    let changes: [fn(&mut World); 5] = [
        |_| {},
        |world| world.observed.cluster.spec.version = "0.2.0".into(),
        |world| world.observed.cluster.spec.fraud.deadline = "40ms".into(),
        |world| world.observed.cache_secret = SecretState::Missing,
        |world| world.observed.cache_secret = fixtures::present("9"),
    ];
    for change in changes {
        change(&mut world);
        for _ in 0..25 {
            stages.push(world.pass().stage);
            world.jobs_end(&report(Outcome::Succeeded, Reason::Migrated));
            world.pods_start();
        }
    }
    for pair in stages.windows(2) {
        assert!(pair[1].may_follow(pair[0]), "{pair:?} in {stages:?}");
    }
    assert_eq!(stages.last(), Some(&Stage::Finished));
}

#[test]
fn a_missing_secret_stops_everything_where_it_is() {
    let mut world = World::finished();
    world.observed.database_secret = SecretState::Missing;
    world.observed.cluster.spec.fraud.replicas = 5;
    let plan = world.pass();
    assert_eq!(plan.steps, []);
    assert_eq!(plan.stage, Stage::Finished);
    assert_eq!(plan.stalled.unwrap().0, "SecretMissing");
}

#[test]
fn an_autoscaled_gateway_starts_with_its_fewest_pods_and_is_then_let_go() {
    let mut world = World::new(fixtures::observed(|observed| {
        observed.cluster = fixtures::cluster(|spec| {
            spec["gateway"] = json!({ "autoscaling": { "minReplicas": 3, "maxReplicas": 9 } })
        });
    }));
    world.run_until(|plan| plan.stage == Stage::Finished && plan.steps.is_empty());
    let gateway = "payments-gateway-0-1-0";
    assert_eq!(world.live_mut(Kind::Deployment, gateway).body["spec"]["replicas"], 3);
    world.live_mut(Kind::Deployment, gateway).body["spec"]["replicas"] = json!(7);
    assert_eq!(world.plan().steps, [], "the autoscaler's number is its own");

    world.observed.cluster.spec.version = "0.2.0".into();
    world.run_until(|plan| plan.stage == Stage::Shifting);
    let next = "payments-gateway-0-2-0";
    assert_eq!(world.live_mut(Kind::Deployment, next).body["spec"]["replicas"], 7, "the traffic does not halve itself");
}

#[test]
fn the_number_of_pods_is_handed_over_when_autoscaling_is_switched_on() {
    let mut world = World::finished();
    let gateway = "payments-gateway-0-1-0";
    world.live_mut(Kind::Deployment, gateway).body["metadata"]["managedFields"] = json!([{
        "manager": "purser-operator", "operation": "Apply", "fieldsV1": { "f:spec": { "f:replicas": {} } },
    }]);
    world.observed.cluster.spec.gateway.autoscaling =
        serde_json::from_value(json!({ "minReplicas": 1, "maxReplicas": 9 })).unwrap();
    let steps = world.plan().steps;
    let scale = steps.iter().position(|step| *step == Step::Scale { deployment: gateway.into(), replicas: 2 });
    let apply = steps.iter().position(
        |step| matches!(step, Step::Apply { object, .. } if object.name == gateway && object.kind == Kind::Deployment),
    );
    assert!(scale.unwrap() < apply.unwrap(), "{steps:?}");
}

#[test]
fn an_operator_that_dies_after_any_step_comes_to_the_same_end() {
    let whole = World::finished();
    for crash_after in 0..whole.writes {
        let mut world = World::new(fixtures::observed(|_| {}));
        world.crash_after(crash_after);
        world.run_until(|plan| plan.stage == Stage::Finished && plan.steps.is_empty());
        for kind in Kind::ALL {
            assert_eq!(world.names(kind), whole.names(kind), "killed after {crash_after} writes");
        }
        let (release, without) = (world.release(), whole.release());
        assert_eq!((release.current, release.schema_version), (without.current, without.schema_version));
        assert_eq!(release.history.len(), 1);
    }
}

#[test]
fn every_step_may_be_carried_out_twice() {
    let mut world = World::new(fixtures::observed(|_| {}));
    for _ in 0..12 {
        let plan = world.plan();
        world.carry_out_all(&plan);
        world.pass();
        world.pods_start();
        world.jobs_end(&report(Outcome::Succeeded, Reason::Migrated));
    }
    let whole = World::finished();
    for kind in Kind::ALL {
        assert_eq!(world.names(kind), whole.names(kind));
    }
    assert!(validate::validate(&world.observed).is_ok());
}
