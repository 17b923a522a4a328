use crds::annotations::{ABANDONED, RETRY};
use crds::payment_cluster::WhyAbandoned;
use kube::ResourceExt;
use serde_json::{Value, json};

use super::*;
use crate::cluster::fixtures::{self, World};
use crate::cluster::step::Step;
use crate::owned::Kind;
use crate::secrets::SecretState;

fn with_replica(spec: &mut Value) {
    spec["database"]["readUrlSecretRef"] = json!({ "name": "replica", "key": "url" });
}

/// Another spec for the world's PaymentCluster. Its Secrets are there.
fn want(world: &mut World, version: &str, change: impl FnOnce(&mut Value)) {
    let before = world.observed.cluster.clone();
    world.observed.cluster = fixtures::cluster(|spec| {
        spec["version"] = json!(version);
        change(spec);
    });
    world.observed.cluster.status = before.status;
    world.observed.cluster.metadata.annotations = before.metadata.annotations;
    let named = replica::secrets(&world.observed.cluster.spec.database);
    world.observed.replica_secrets =
        named.into_iter().map(|(field, key)| (field, key, fixtures::present("1"))).collect();
}

/// A platform at rest, of which release 0.2.0 is wanted with a replica that is as it should be.
fn wanted() -> World {
    let mut world = World::finished();
    want(&mut world, "0.2.0", with_replica);
    world.reports = |component, succeeded| said(component, succeeded, Outcome::Succeeded, Reason::ReplicaReady, "all");
    world
}

/// What the check says; all else is done.
fn said(component: &str, succeeded: JobReport, outcome: Outcome, reason: Reason, message: &str) -> JobReport {
    if component == COMPONENT { JobReport::new(outcome, reason, message) } else { succeeded }
}

fn wrong(component: &str, succeeded: JobReport) -> JobReport {
    said(component, succeeded, Outcome::Failed, Reason::ReplicaWrong, "it is not in recovery")
}

fn at_rest(plan: &Plan) -> bool {
    plan.stage == Stage::Finished && plan.steps.is_empty()
}

fn stages(plans: &[Plan]) -> Vec<Stage> {
    let mut stages: Vec<_> = plans.iter().map(|plan| plan.stage).collect();
    stages.dedup();
    assert!(stages.windows(2).all(|pair| pair[1].may_follow(pair[0])), "{stages:?}");
    stages
}

fn jobs(world: &World) -> usize {
    world.names(Kind::Job).iter().filter(|name| name.contains("-replica-")).count()
}

fn starts(plan: &Plan, word: &str) -> bool {
    plan.steps.iter().any(|step| matches!(step, Step::Apply { object, .. } if object.name.contains(word)))
}

fn gateway(world: &World, release: &str) -> String {
    let name = format!("payments-gateway-{release}");
    world.observed.find(Kind::Deployment, &name).unwrap().body["spec"]["template"].to_string()
}

fn config(world: &World, release: &str) -> String {
    let name = format!("payments-config-{release}");
    world.observed.find(Kind::ConfigMap, &name).unwrap().body["data"]["purser.yaml"].to_string()
}

#[test]
fn a_release_looks_at_its_replica_before_its_pods_start() {
    let mut world = wanted();
    let plans = world.run_until(at_rest);
    let seen = stages(&plans);
    let at = seen.iter().position(|stage| *stage == Stage::Configuring).unwrap();
    assert_eq!(seen[at - 1..=at + 1], [Stage::Migrating, Stage::Configuring, Stage::Deploying]);
    let found = world.release().preparation.unwrap().replica.unwrap();
    assert_eq!((found.is_current, found.message.as_str()), (true, "all"));
    let condition = world.condition("ReplicaReady");
    assert_eq!((condition.status.as_str(), condition.reason.as_str()), ("True", "Checked"));
    assert!(gateway(&world, "0-2-0").contains("database-read-url"));
    assert!(config(&world, "0-2-0").contains(r#"readLagMaxMs\":2000"#), "{}", config(&world, "0-2-0"));
    // It is not looked at again, and only gateways read from it.
    let before = gateway(&world, "0-2-0");
    for _ in 0..3 {
        let plan = world.pass();
        assert!(!starts(&plan, "-replica-0-2-0") && gateway(&world, "0-2-0") == before);
    }
    let processor = world.observed.find(Kind::Deployment, "payments-processor-0-2-0").unwrap();
    assert!(!processor.body.to_string().contains("database-read-url"));
}

#[test]
fn without_a_replica_nothing_of_it_happens() {
    let mut world = World::finished();
    want(&mut world, "0.2.0", |_| {});
    let plans = world.run_until(at_rest);
    assert!(!stages(&plans).contains(&Stage::Configuring));
    assert_eq!((jobs(&world), world.release().preparation.unwrap().replica), (0, None));
    let conditions = &world.observed.cluster.status.as_ref().unwrap().conditions;
    assert!(conditions.iter().all(|condition| condition.type_ != "ReplicaReady"));
    assert!(!config(&world, "0-2-0").contains("readLag"));
}

#[test]
fn one_that_is_no_replica_gives_the_release_up() {
    let mut world = wanted();
    world.reports = wrong;
    let plans = world.run_until(|plan| plan.stage == Stage::RolledBack && plan.steps.is_empty());
    assert!(!stages(&plans).contains(&Stage::Deploying));
    let release = world.release();
    let abandoned = release.abandoned.unwrap();
    assert_eq!((abandoned.why, release.current.as_deref()), (WhyAbandoned::NotConfigured, Some("0.1.0")));
    assert!(
        abandoned.message.contains("the read replica failed: it is not in recovery; 0.1.0 serves"),
        "{}",
        abandoned.message
    );
    world.reports = |component, succeeded| said(component, succeeded, Outcome::Succeeded, Reason::ReplicaReady, "all");
    world.observed.cluster.annotations_mut().insert(RETRY.into(), "again".into());
    world.run_until(at_rest);
    assert_eq!(world.release().current.as_deref(), Some("0.2.0"));
}

#[test]
fn the_first_release_waits_for_whoever_puts_it_right() {
    let mut world = World::new(fixtures::observed(|_| {}));
    want(&mut world, "0.1.0", with_replica);
    world.reports = wrong;
    world.run_until(|plan| plan.stalled.is_some());
    for _ in 0..3 {
        let plan = world.pass();
        assert_eq!((plan.stage, plan.steps.len()), (Stage::Configuring, 0));
    }
    assert_eq!(world.condition("ReplicaReady").reason, "ReplicaWrong");
    assert!(world.condition("Stalled").message.contains("it is not in recovery"));
    world.reports = |component, succeeded| said(component, succeeded, Outcome::Succeeded, Reason::ReplicaReady, "all");
    world.observed.cluster.annotations_mut().insert(RETRY.into(), "again".into());
    world.run_until(at_rest);
}

#[test]
fn one_that_is_late_lets_the_release_go_on_and_is_told() {
    let mut world = wanted();
    world.reports = |component, succeeded| {
        said(component, succeeded, Outcome::Succeeded, Reason::ReplicaBehind, "9 bytes are left")
    };
    world.run_until(at_rest);
    assert_eq!(world.release().current.as_deref(), Some("0.2.0"));
    let condition = world.condition("ReplicaReady");
    assert_eq!((condition.status.as_str(), condition.message.as_str()), ("False", "9 bytes are left"));
    assert_eq!(world.condition("Ready").status, "True");
    // Once there are pods, it is they who know.
    let check =
        |ok: bool, message: &str| json!([{ "name": "replica", "ok": ok, "optional": true, "message": message }]);
    world.says("gateway", check(true, ""));
    let condition = world.condition("ReplicaReady");
    assert_eq!((condition.status.as_str(), condition.reason.as_str()), ("True", "Used"));
    world.says("gateway", check(false, "the replica does not answer"));
    let condition = world.condition("ReplicaReady");
    assert_eq!((condition.status.as_str(), condition.reason.as_str()), ("False", "NotUsed"));
    assert!(condition.message.contains("does not answer"));
    assert_eq!(world.condition("Ready").status, "True");
}

#[test]
fn a_check_that_does_not_come_to_its_end_gives_the_release_up_after_its_deadline() {
    let mut world = wanted();
    want(&mut world, "0.2.0", |spec| {
        with_replica(spec);
        spec["rollout"]["progressDeadline"] = json!("30s");
    });
    world.reports =
        |component, succeeded| said(component, succeeded, Outcome::Retry, Reason::DatabaseUnreachable, "no connection");
    world.run_until(|plan| plan.stage == Stage::Configuring);
    for _ in 0..45 {
        world.pass();
        world.jobs_go();
    }
    let abandoned = world.release().abandoned.unwrap();
    assert_eq!(abandoned.why, WhyAbandoned::NotConfigured);
    assert!(abandoned.message.contains("the read replica was not checked within 30s"), "{}", abandoned.message);
}

#[test]
fn a_missing_secret_is_told_before_anything_is_begun() {
    let mut world = wanted();
    world.observed.replica_secrets[0].2 = SecretState::Missing;
    world.run_until(|plan| plan.stalled.is_some());
    let plan = world.pass();
    assert_eq!(plan.stage, Stage::PlanningMigrations);
    assert!(plan.stalled.unwrap().1.ends_with("which spec.database.readUrlSecretRef names"));
    assert_eq!(world.condition("ReplicaReady").reason, "SecretMissing");
    world.observed.replica_secrets[0].2 = fixtures::present("1");
    world.run_until(at_rest);
    // Who serves without it goes on.
    world.observed.replica_secrets[0].2 = SecretState::Missing;
    let plan = world.pass();
    assert!(plan.stalled.is_none());
    assert_eq!(world.condition("Ready").status, "True");
}

#[test]
fn another_configuration_waits_for_its_secret_as_another_version_does() {
    let mut world = World::finished();
    want(&mut world, "0.1.0", with_replica);
    world.reports = |component, succeeded| said(component, succeeded, Outcome::Succeeded, Reason::ReplicaReady, "all");
    world.observed.replica_secrets[0].2 = SecretState::Missing;
    for _ in 0..5 {
        world.pass();
        world.jobs_go();
    }
    let plan = world.pass();
    assert_eq!((plan.stage, jobs(&world)), (Stage::PlanningMigrations, 0));
    assert!(plan.stalled.unwrap().1.ends_with("which spec.database.readUrlSecretRef names"));
    world.observed.replica_secrets[0].2 = fixtures::present("1");
    let plans = world.run_until(at_rest);
    stages(&plans);
    assert_eq!(world.release().current.as_deref(), Some("0.1.0-r2"));
}

#[test]
fn a_rotated_secret_reaches_the_pods_without_a_release_and_another_limit_is_one() {
    let mut world = wanted();
    world.run_until(at_rest);
    let before = gateway(&world, "0-2-0");
    let jobs_before = jobs(&world);
    world.observed.replica_secrets[0].2 = fixtures::present("2");
    world.run_until(at_rest);
    let rotated = gateway(&world, "0-2-0");
    assert_ne!(rotated, before);
    want(&mut world, "0.2.0", |spec| {
        with_replica(spec);
        spec["database"]["readLagMax"] = json!("5s");
    });
    world.observed.replica_secrets[0].2 = fixtures::present("2");
    assert!(jobs(&world) <= jobs_before);
    world.run_until(|plan| at_rest(plan) && plan.release.current.as_deref() == Some("0.2.0-r2"));
    assert_eq!(gateway(&world, "0-2-0"), rotated);
    assert!(config(&world, "0-2-0-r2").contains(r#"readLagMaxMs\":5000"#));
}

#[test]
fn the_release_that_serves_does_not_roll_for_a_replica_that_another_is_to_have() {
    let mut world = World::finished();
    let before = (gateway(&world, "0-1-0"), config(&world, "0-1-0"));
    want(&mut world, "0.2.0", |spec| {
        with_replica(spec);
        spec["rollout"]["approval"] = json!("Required");
    });
    world.run_until(|plan| plan.stage == Stage::AwaitingApproval);
    for _ in 0..3 {
        world.pass();
        world.jobs_go();
    }
    assert_eq!((gateway(&world, "0-1-0"), config(&world, "0-1-0")), before);
}

#[test]
fn after_a_way_back_the_condition_tells_of_the_release_that_serves() {
    let mut world = wanted();
    world.run_until(|plan| plan.stage == Stage::Monitoring);
    assert!(world.release().preparation.unwrap().replica.unwrap().is_current);
    let told = world.condition("ReplicaReady");
    assert_eq!((told.status.as_str(), told.reason.as_str()), ("Unknown", "NotAsked"), "it does not serve yet");
    world.observed.cluster.annotations_mut().insert(ABANDONED.into(), "0.2.0".into());
    world.run_until(|plan| plan.stage == Stage::RolledBack && plan.steps.is_empty());
    let told = world.condition("ReplicaReady");
    assert_eq!((told.status.as_str(), told.reason.as_str()), ("False", "NotUsed"));
    assert!(told.message.contains("release 0.1.0 serves, which reads from no replica"), "{}", told.message);
    // A pod that is on its way out.
    world.says("gateway", json!([{ "name": "replica", "ok": true, "optional": true, "message": "" }]));
    world.observed.health.values_mut().for_each(|health| health.release = "0.2.0".into());
    assert_eq!(world.condition("ReplicaReady").reason, "NotUsed");
}

#[test]
fn what_serves_reads_from_its_replica_though_another_release_is_to_have_none() {
    let mut world = wanted();
    world.run_until(at_rest);
    want(&mut world, "0.3.0", |spec| spec["rollout"]["approval"] = json!("Required"));
    world.run_until(|plan| plan.stage == Stage::AwaitingApproval);
    assert_eq!(world.condition("ReplicaReady").reason, "NotAsked");
    world.says("gateway", json!([{ "name": "replica", "ok": true, "optional": true, "message": "" }]));
    assert_eq!(world.condition("ReplicaReady").reason, "Used");
    world.secrets = Some(|name| if name == "replica" { SecretState::Missing } else { fixtures::present("1") });
    world.pass();
    let told = world.condition("ReplicaReady");
    assert_eq!((told.status.as_str(), told.reason.as_str()), ("False", "SecretMissing"));
    assert!(told.message.ends_with("with which release 0.2.0 was started"), "{}", told.message);
}

#[test]
fn analytics_comes_after_the_replica_and_both_before_the_pods() {
    let mut world = wanted();
    want(&mut world, "0.2.0", |spec| {
        with_replica(spec);
        spec["analytics"] = json!({
            "urlSecretRef": { "name": "analytics", "key": "url" },
            "sourceUrlSecretRef": { "name": "replication", "key": "url" },
        });
    });
    let plans = world.run_until(|plan| at_rest(plan) && plan.analytics_verdict.is_true());
    stages(&plans);
    let first = |word: &str| plans.iter().position(|plan| starts(plan, word)).unwrap();
    let order = [first("-replica-0-2-0"), first("-cdc-0-2-0"), first("payments-gateway-0-2-0")];
    assert!(order.is_sorted(), "{order:?}");
}

#[test]
fn an_operator_that_dies_after_any_write_is_followed_by_one_that_goes_on_there() {
    for writes in (0..40).step_by(2) {
        let mut world = wanted();
        world.writes = 0;
        world.crash_after(writes);
        world.run_until(at_rest);
        assert!(world.release().preparation.unwrap().replica.unwrap().is_current, "after {writes} writes");
        assert_eq!(world.release().current.as_deref(), Some("0.2.0"));
    }
}
