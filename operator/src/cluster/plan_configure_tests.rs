use crds::annotations::{ABANDONED, RETRY};
use crds::payment_cluster::WhyAbandoned;
use crds::{SecretKey, Stage};
use kube::ResourceExt;
use runtime_contract::{MigrationPlan, Outcome, Reason};
use serde_json::{Value, json};

use super::*;
use crate::cluster::fixtures::{self, World};
use crate::cluster::plan::Plan;
use crate::migration;
use crate::secrets::SecretState;

fn analytics(spec: &mut Value) {
    spec["analytics"] = json!({
        "urlSecretRef": { "name": "analytics", "key": "url" },
        "sourceUrlSecretRef": { "name": "replication", "key": "url" },
    });
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
    let wanted = world.observed.cluster.spec.analytics.as_ref();
    world.observed.analytics_secrets = wanted
        .map(analytics::secrets)
        .unwrap_or_default()
        .into_iter()
        .map(|(field, key)| (field, key, fixtures::present("1")))
        .collect();
}

/// A platform at rest, with or without analytics, of which release 0.2.0 is wanted with it.
fn wanted(had_it: bool) -> World {
    let mut world = World::new(fixtures::observed(|_| {}));
    want(&mut world, "0.1.0", |spec| {
        if had_it {
            analytics(spec);
        }
    });
    world.run_until(at_rest);
    want(&mut world, "0.2.0", analytics);
    world
}

fn at_rest(plan: &Plan) -> bool {
    plan.stage == Stage::Finished && plan.steps.is_empty() && plan.analytics_verdict.is_true()
}

fn stages(plans: &[Plan]) -> Vec<Stage> {
    let mut stages: Vec<_> = plans.iter().map(|plan| plan.stage).collect();
    stages.dedup();
    assert!(stages.windows(2).all(|pair| pair[1].may_follow(pair[0])), "{stages:?}");
    stages
}

fn failing(component: &str, succeeded: JobReport) -> JobReport {
    match component {
        analytics::CONFIGURE => JobReport::new(Outcome::Failed, Reason::CdcFailed, "wal_level is replica"),
        _ => succeeded,
    }
}

fn known(world: &World) -> Option<AnalyticsStatus> {
    world.release().analytics
}

fn jobs(world: &World, word: &str) -> usize {
    world.names(Kind::Job).iter().filter(|name| name.contains(word)).count()
}

#[test]
fn a_release_has_its_columns_flow_before_its_pods_start() {
    for had_it in [false, true] {
        let mut world = wanted(had_it);
        let plans = world.run_until(at_rest);
        let seen = stages(&plans);
        let at = seen.iter().position(|stage| *stage == Stage::Configuring).unwrap();
        assert_eq!(seen[at - 1..=at + 1], [Stage::Migrating, Stage::Configuring, Stage::Deploying]);
        let before = plans.iter().take_while(|plan| plan.stage != Stage::Deploying);
        assert!(before.clone().count() > 0);
        for plan in before {
            let starts = |step: &Step| matches!(step, Step::Apply { object, .. } if object.kind == Kind::Deployment && object.name.ends_with("0-2-0"));
            assert!(!plan.steps.iter().any(starts));
        }
        let flow = known(&world).unwrap().flow.unwrap();
        assert_eq!((flow.version.as_str(), flow.tables), ("0.2.0", 10));
        assert_eq!(world.condition("AnalyticsReady").reason, "Flowing");
    }
}

#[test]
fn without_an_analytics_database_nothing_of_it_happens() {
    let mut world = World::finished();
    want(&mut world, "0.2.0", |_| {});
    let plans = world.run_until(at_rest);
    assert!(!stages(&plans).contains(&Stage::Configuring));
    assert_eq!((known(&world), jobs(&world, "-cdc-")), (None, 0));
    assert_eq!(world.condition("AnalyticsReady").reason, "NotWanted");
}

#[test]
fn one_that_cannot_be_made_to_flow_gives_the_release_up() {
    let mut world = wanted(false);
    world.reports = failing;
    let plans = world.run_until(|plan| plan.stage == Stage::RolledBack && plan.steps.is_empty());
    assert!(!stages(&plans).contains(&Stage::Deploying));
    let release = world.release();
    let abandoned = release.abandoned.unwrap();
    assert_eq!((abandoned.why, release.current.as_deref()), (WhyAbandoned::NotConfigured, Some("0.1.0")));
    assert!(
        abandoned.message.contains("analytics failed: wal_level is replica; 0.1.0 serves"),
        "{}",
        abandoned.message
    );
    assert_eq!(world.condition("Ready").status, "True");
    assert_eq!(world.condition("Stalled").reason, "NotConfigured");

    world.reports = |_, succeeded| succeeded;
    world.observed.cluster.annotations_mut().insert(RETRY.into(), "again".into());
    world.run_until(at_rest);
    assert_eq!(world.release().current.as_deref(), Some("0.2.0"));
}

#[test]
fn one_that_does_not_come_to_its_end_gives_the_release_up_after_its_deadline() {
    let mut world = wanted(true);
    want(&mut world, "0.2.0", |spec| {
        analytics(spec);
        spec["rollout"]["progressDeadline"] = json!("30s");
    });
    world.reports = |component, succeeded| match component {
        analytics::CONFIGURE => JobReport::new(Outcome::Retry, Reason::CdcFailed, "no connection"),
        _ => succeeded,
    };
    world.run_until(|plan| plan.stage == Stage::Configuring);
    for _ in 0..45 {
        world.pass();
        world.jobs_go();
    }
    let abandoned = world.release().abandoned.unwrap();
    assert_eq!(abandoned.why, WhyAbandoned::NotConfigured);
    assert!(abandoned.message.contains("did not flow within 30s") && abandoned.message.contains("no connection"));
}

#[test]
fn the_first_release_waits_for_whoever_puts_it_right() {
    let mut world = World::new(fixtures::observed(|_| {}));
    want(&mut world, "0.1.0", analytics);
    world.reports = failing;
    world.run_until(|plan| plan.stalled.is_some());
    for _ in 0..5 {
        let plan = world.pass();
        assert_eq!((plan.stage, plan.steps.len()), (Stage::Configuring, 0));
    }
    let condition = world.condition("Stalled");
    assert!(condition.message.contains("wal_level is replica") && condition.message.contains("kubectl purser retry"));
    assert_eq!(world.condition("AnalyticsReady").reason, "CdcFailed");
    world.reports = |_, succeeded| succeeded;
    world.observed.cluster.annotations_mut().insert(RETRY.into(), "again".into());
    world.run_until(at_rest);
}

#[test]
fn a_missing_secret_is_told_before_anything_is_begun() {
    let mut world = wanted(false);
    world.observed.analytics_secrets[1].2 = SecretState::Missing;
    world.run_until(|plan| plan.stalled.is_some());
    let plan = world.pass();
    assert_eq!(plan.stage, Stage::PlanningMigrations);
    let (reason, message) = plan.stalled.unwrap();
    assert_eq!(reason, "SecretMissing");
    assert!(
        message.contains("no Secret \"replication\"")
            && message.ends_with("which spec.analytics.sourceUrlSecretRef names")
    );
    assert_eq!(world.condition("Ready").status, "True", "who serves goes on");
    world.observed.analytics_secrets[1].2 = fixtures::present("1");
    world.run_until(at_rest);
}

#[test]
fn what_changes_without_a_release_is_set_up_beside_the_one_that_serves() {
    let mut world = World::finished();
    want(&mut world, "0.1.0", analytics);
    let plans = world.run_until(at_rest);
    assert_eq!(stages(&plans), [Stage::Finished]);
    assert_eq!(known(&world).unwrap().flow.unwrap().version, "0.1.0");
    // A password that was rotated is taken up.
    let before = known(&world).unwrap().flow.unwrap();
    world.observed.analytics_secrets[1].2 = fixtures::present("2");
    let plan = world.pass();
    assert!(!plan.analytics_verdict.is_true() && jobs(&world, "-cdc-0-1-0-2") == 1, "{:?}", world.names(Kind::Job));
    assert_eq!(world.condition("Reconciling").reason, "Configuring");
    world.jobs_go();
    world.run_until(at_rest);
    assert_ne!(known(&world).unwrap().flow.unwrap().inputs, before.inputs);
    for _ in 0..3 {
        assert!(world.pass().steps.is_empty());
    }
}

#[test]
fn one_that_is_no_longer_wanted_is_taken_away_by_where_it_was() {
    let mut world = World::new(fixtures::observed(|_| {}));
    want(&mut world, "0.1.0", analytics);
    world.run_until(at_rest);
    want(&mut world, "0.1.0", |_| {});
    world.pass();
    let job = world.live_mut(Kind::Job, "payments-cdc-off-0-1-0-1").body.to_string();
    assert!(job.contains(r#""cdc","remove""#) && job.contains(r#""name":"analytics""#), "{job}");
    let failed = JobReport::new(Outcome::Retry, Reason::CdcFailed, "no connection");
    world.jobs_end(&failed);
    world.pass();
    assert!(known(&world).is_some(), "it is remembered until it is gone");
    world.run_until(|plan| at_rest(plan) && plan.release.analytics.is_none());
    assert_eq!((known(&world), world.condition("AnalyticsReady").reason.as_str()), (None, "NotWanted"));
    // And begun again later, which is not done by what was done before.
    want(&mut world, "0.1.0", analytics);
    world.run_until(at_rest);
    want(&mut world, "0.1.0", |_| {});
    world.pass();
    assert!(known(&world).is_some());
    world.jobs_go();
    world.run_until(|plan| plan.release.analytics.is_none());
}

#[test]
fn another_analytics_database_comes_after_the_end_of_the_one_before() {
    let mut world = World::new(fixtures::observed(|_| {}));
    want(&mut world, "0.1.0", analytics);
    world.run_until(at_rest);
    want(&mut world, "0.1.0", |spec| {
        analytics(spec);
        spec["analytics"]["urlSecretRef"]["name"] = json!("elsewhere");
    });
    world.pass();
    assert!(world.live_mut(Kind::Job, "payments-cdc-off-0-1-0-1").body.to_string().contains(r#""name":"analytics""#));
    world.jobs_go();
    world.run_until(at_rest);
    let elsewhere = SecretKey { name: "elsewhere".into(), key: "url".into() };
    assert_eq!(known(&world).unwrap().url_secret_ref, elsewhere);
}

#[test]
fn what_is_removed_together_with_another_version_is_still_taken_away() {
    let mut world = World::new(fixtures::observed(|_| {}));
    want(&mut world, "0.1.0", analytics);
    world.run_until(at_rest);
    want(&mut world, "0.2.0", |_| {});
    let plans = world.run_until(|plan| at_rest(plan) && plan.release.analytics.is_none());
    assert!(!stages(&plans).contains(&Stage::Configuring));
    assert_eq!(world.release().current.as_deref(), Some("0.2.0"));
}

#[test]
fn a_release_before_leaves_what_the_newer_one_has_published() {
    let mut world = wanted(true);
    world.run_until(|plan| plan.stage == Stage::Deploying);
    world.observed.cluster.annotations_mut().insert(ABANDONED.into(), "0.2.0".into());
    world.run_until(|plan| plan.stage == Stage::RolledBack && plan.steps.is_empty());
    for _ in 0..5 {
        let plan = world.pass();
        assert!(plan.steps.is_empty() && plan.analytics_verdict.is_true());
    }
    let known = known(&world).unwrap();
    assert_eq!((known.flow.unwrap().version.as_str(), known.restored_at), ("0.2.0", None));
}

/// The way of a release whose migrations are offline.
fn offline() -> World {
    offline_with(analytics)
}

fn offline_with(change: impl FnOnce(&mut Value)) -> World {
    let mut world = wanted(true);
    want(&mut world, "0.2.0", |spec| {
        change(spec);
        spec["backup"] = json!({ "volumeClaim": { "name": "backups" } });
    });
    world.planned = MigrationPlan { from: 3, to: 4, pending: 1, offline: 1 };
    world
}

#[test]
fn a_database_that_goes_back_is_let_go_first_and_replicated_anew_after() {
    let mut world = offline();
    world.reports = failing;
    let plans = world.run_until(|plan| plan.stage == Stage::Restoring);
    assert!(stages(&plans).contains(&Stage::Configuring));
    world.pass();
    let restore = world.live_mut(Kind::Job, "payments-restore-0-2-0-1").body.to_string();
    assert!(restore.contains("analytics-url") && !restore.contains("analytics-source-url"), "{restore}");
    assert_eq!(world.release().abandoned.unwrap().why, WhyAbandoned::NotConfigured);
    assert_eq!(jobs(&world, "-cdc-0-1-0"), 0, "not before the database is back");
    world.reports = |_, succeeded| succeeded;
    world.jobs_go();
    let cluster = fixtures_of(&world);
    let is_anew = |known: &AnalyticsStatus| {
        known.restored_at.is_some() && known.flow.as_ref().unwrap().inputs == analytics::setup(&cluster, known)
    };
    world.run_until(|plan| plan.stage == Stage::RolledBack && is_anew(plan.release.analytics.as_ref().unwrap()));
    assert_eq!(jobs(&world, "-cdc-0-1-0"), 1);
}

#[test]
fn what_flows_lets_go_of_a_database_that_goes_back_even_when_nobody_wants_it_any_more() {
    let mut world = offline_with(|_| {});
    world.reports = |component, succeeded| match component {
        migration::COMPONENT => JobReport::new(Outcome::Failed, Reason::MigrationFailed, "it does not go"),
        _ => succeeded,
    };
    world.run_until(|plan| plan.stage == Stage::Restoring);
    world.pass();
    let restore = world.live_mut(Kind::Job, "payments-restore-0-2-0-1").body.to_string();
    assert!(restore.contains(r#""path":"analytics-url"}],"name":"analytics""#), "{restore}");
    world.reports = |_, succeeded| succeeded;
    world.run_until(|plan| plan.stage == Stage::RolledBack && plan.release.analytics.is_none());
}

fn fixtures_of(world: &World) -> Validated {
    crate::cluster::validate::validate(&world.observed).unwrap()
}

#[test]
fn an_operator_that_dies_after_any_write_is_followed_by_one_that_goes_on_there() {
    for writes in (0..60).step_by(2) {
        let mut world = wanted(false);
        world.writes = 0;
        world.crash_after(writes);
        world.run_until(at_rest);
        assert_eq!(jobs(&world, "-cdc-0-2-0-"), 1, "after {writes} writes");
        assert_eq!(known(&world).unwrap().flow.unwrap().version, "0.2.0");
    }
}

#[test]
fn an_operator_that_dies_while_it_takes_away_is_followed_by_one_that_goes_on_there() {
    for writes in 0..12 {
        let mut world = World::new(fixtures::observed(|_| {}));
        want(&mut world, "0.1.0", analytics);
        world.run_until(at_rest);
        want(&mut world, "0.1.0", |_| {});
        world.writes = 0;
        world.crash_after(writes);
        world.run_until(|plan| at_rest(plan) && plan.release.analytics.is_none());
    }
}

#[test]
fn a_slot_that_is_left_is_told_and_tried_again_by_itself() {
    let mut world = World::new(fixtures::observed(|_| {}));
    want(&mut world, "0.1.0", analytics);
    world.run_until(at_rest);
    want(&mut world, "0.1.0", |_| {});
    world.pass();
    world.jobs_end(&JobReport::new(Outcome::Failed, Reason::CdcSlotLeft, "the replication slot is left"));
    let plan = world.pass();
    assert!(plan.stalled.unwrap().1.contains("the replication slot is left"));
    assert!(!world.plan().is_at_rest(&world.observed), "it waits for its time");
    assert_eq!(world.condition("AnalyticsReady").reason, "CdcSlotLeft");
    for _ in 0..62 {
        world.pass();
    }
    world.run_until(|plan| plan.release.analytics.is_none());
}

#[test]
fn whoever_has_it_tried_again_has_it_set_up_anew() {
    let mut world = World::new(fixtures::observed(|_| {}));
    want(&mut world, "0.1.0", analytics);
    world.run_until(at_rest);
    world.observed.cluster.annotations_mut().insert(RETRY.into(), "again".into());
    let plan = world.pass();
    assert_eq!((plan.stage, jobs(&world, "-cdc-0-1-0-2")), (Stage::Finished, 1));
    world.jobs_go();
    world.run_until(at_rest);
}
