use crds::annotations::ABANDONED;
use crds::conditions::cluster::ARCHIVED;
use kube::ResourceExt;
use runtime_contract::{Archived, Reason};
use serde_json::json;

use super::*;
use crate::cluster::fixtures::{self, World};
use crate::cluster::plan::Plan;

fn world(archive: bool) -> World {
    let cluster = fixtures::cluster(|spec| {
        spec["backup"] = json!({ "volumeClaim": { "name": "backups" } });
        if archive {
            spec["archive"] = json!({ "keepMonths": 13 });
        }
    });
    let mut world = World::new(fixtures::observed(|observed| observed.cluster = cluster));
    world.reports = |component, succeeded| match component {
        COMPONENT => JobReport {
            archived: Some(Archived { partitions: 4, rows: 1_000, stayed: 1 }),
            ..JobReport::new(Outcome::Succeeded, Reason::Archived, "4 partitions with 1000 rows were archived")
        },
        _ => succeeded,
    };
    world
}

/// With what the world's actors do between looks.
fn goes(world: &mut World, seconds: i64) -> Plan {
    world.now = world.now.checked_add(SignedDuration::from_secs(seconds)).unwrap();
    let plan = world.pass();
    world.pods_start();
    world.jobs_go();
    world.pass();
    plan
}

fn jobs(world: &World) -> Vec<&str> {
    world.names(Kind::Job).into_iter().filter(|name| name.contains("-archive-")).collect()
}

fn status(world: &World) -> ArchiveStatus {
    world.observed.cluster.status.clone().unwrap().archive.unwrap()
}

fn rest(world: &mut World) {
    world.run_until(|plan| plan.stage == Stage::Finished && plan.archive.status.is_some() && plan.steps.is_empty());
}

#[test]
fn it_is_done_once_a_release_serves_and_then_once_a_day() {
    let mut world = world(true);
    let plans = world.run_until(|plan| plan.stage == Stage::Finished);
    assert!(plans.iter().all(|plan| plan.stage == Stage::Finished || plan.archive.steps.is_empty()), "it waits");
    assert_eq!(world.condition(ARCHIVED).status, "Unknown");
    rest(&mut world);
    assert_eq!(jobs(&world), ["payments-archive-0-1-0-1"]);
    let told = status(&world);
    assert_eq!((told.partitions, told.rows, told.stayed, told.succeeded), (4, 1_000, 1, true));
    assert_eq!(world.condition(ARCHIVED).status, "True");

    assert!(goes(&mut world, 23 * 3_600).archive.steps.is_empty());
    let writes = world.writes;
    assert!(goes(&mut world, 10).archive.steps.is_empty());
    assert_eq!(world.writes, writes, "nothing is written at rest");
    assert!(!goes(&mut world, 3_600).archive.steps.is_empty());
    assert_eq!(jobs(&world), ["payments-archive-0-1-0-2"]);
}

#[test]
fn the_daily_run_comes_with_a_look_at_all_there_is_and_the_first_one_with_the_end_of_the_release() {
    let mut world = world(true);
    let plans = world.run_until(|plan| plan.stage == Stage::Finished);
    let last = plans.last().unwrap();
    assert!(!last.archive.steps.is_empty() && !last.is_at_rest(&world.observed), "it is begun at once");
    world.run_until(fixtures::is_over);
    rest(&mut world);
    // Its end moves the Job and its pod, which are watched; until it is a day old, nobody need look.
    assert!(world.plan().is_at_rest(&world.observed));
    world.now = world.now.checked_add(SignedDuration::from_hours(24)).unwrap();
    assert!(!world.plan().is_at_rest(&world.observed));
}

#[test]
fn the_next_release_archives_with_its_own_program_once_it_serves() {
    let mut world = world(true);
    rest(&mut world);
    world.observed.cluster.spec.version = "0.2.0".into();
    world.run_until(|plan| plan.stage != Stage::Finished);
    assert_eq!(jobs(&world), ["payments-archive-0-1-0-1"], "its log can still be read");
    world.run_until(|plan| plan.stage == Stage::Finished && plan.archive.status.as_ref().unwrap().release == "0.2.0");
    assert_eq!(jobs(&world), ["payments-archive-0-2-0-2"]);
}

#[test]
fn after_a_release_that_was_given_up_the_image_that_serves_archives() {
    let mut world = world(true);
    rest(&mut world);
    let (mut spec, annotations) = (world.observed.cluster.spec.clone(), world.observed.cluster.annotations_mut());
    annotations.insert(ABANDONED.into(), "0.2.0".into());
    spec.version = "0.2.0".into();
    spec.image.repository = "elsewhere/purser".into();
    world.observed.cluster.spec = spec;
    world.run_until(|plan| plan.stage == Stage::RolledBack && plan.steps.is_empty());
    goes(&mut world, 25 * 3_600);
    let job = world.live_mut(Kind::Job, "payments-archive-0-1-0-2");
    assert_eq!(job.body.pointer("/spec/template/spec/containers/0/image").unwrap(), "purser:0.1.0");
}

#[test]
fn a_failure_is_told_leaves_the_release_alone_and_is_tried_again_in_an_hour() {
    let mut world = world(true);
    world.reports = |component, succeeded| match component {
        COMPONENT => JobReport::new(Outcome::Failed, Reason::ArchiveCorrupt, "archive events_p20250901 is corrupt"),
        _ => succeeded,
    };
    rest(&mut world);
    let archived = world.condition(ARCHIVED);
    assert_eq!((archived.status.as_str(), archived.reason.as_str()), ("False", "ArchiveCorrupt"));
    assert!(archived.message.contains("events_p20250901"), "{}", archived.message);
    for (name, truth) in [("Ready", "True"), ("Stalled", "False"), ("Reconciling", "False")] {
        assert_eq!(world.condition(name).status, truth, "{name}");
    }
    assert!(goes(&mut world, 3_000).archive.steps.is_empty());
    assert!(!goes(&mut world, 1_000).archive.steps.is_empty());
}

#[test]
fn what_was_put_right_is_tried_at_once_and_a_job_that_runs_is_left_to_its_end() {
    let mut world = world(true);
    rest(&mut world);
    world.observed.cluster.spec.archive = Some(Archive { keep_months: 3 });
    world.pass();
    assert_eq!(jobs(&world), ["payments-archive-0-1-0-2"]);
    world.job_runs("payments-archive-0-1-0-2");
    world.observed.cluster.spec.archive = Some(Archive { keep_months: 4 });
    world.pass();
    assert_eq!(jobs(&world), ["payments-archive-0-1-0-2"]);
    assert_eq!(world.condition(ARCHIVED).status, "True", "as it went last");
}

#[test]
fn nothing_is_begun_while_it_is_paused_and_nothing_is_left_of_it_when_it_is_not_asked_for() {
    let mut world = world(true);
    rest(&mut world);
    let annotations = &mut world.observed.cluster.metadata.annotations;
    annotations.get_or_insert_default().insert(crds::annotations::PAUSED.into(), "true".into());
    assert!(goes(&mut world, 48 * 3_600).archive.steps.is_empty());
    world.observed.cluster.spec.archive = None;
    world.pass();
    assert_eq!(jobs(&world), [""; 0]);
    assert_eq!(world.observed.cluster.status.clone().unwrap().archive, None);

    let mut without = self::world(false);
    without.run_until(|plan| plan.stage == Stage::Finished && plan.steps.is_empty());
    assert!(goes(&mut without, 48 * 3_600).archive == ArchivePart::default());
}
