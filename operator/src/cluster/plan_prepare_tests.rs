//! What is done with the database before a release's pods start, and how it is undone.

use crds::annotations::{ABANDONED, MAINTENANCE, RETRY};
use crds::conditions::cluster::WRITES_ACCEPTED;
use crds::payment_cluster::{PreparationStatus, WhyAbandoned};
use kube::ResourceExt;
use runtime_contract::{JobReport, MigrationPlan, Outcome, Reason};
use serde_json::json;

use super::tests::{report, to};
use super::*;
use crate::cluster::fixtures::{self, World};
use crate::cluster::step::WaitingOn;
use crate::settings;

/// A platform at rest, with a place for backups, of which a release is wanted that changes the schema.
pub(super) fn wanted(offline: u32) -> World {
    let mut world = World::finished();
    world.observed.cluster.spec.backup =
        Some(serde_json::from_value(json!({ "volumeClaim": { "name": "backups" } })).unwrap());
    world.observed.cluster.spec.version = "0.2.0".into();
    world.planned = MigrationPlan { from: 3, to: 5, pending: 2, offline };
    world
}

fn preparation(world: &World) -> PreparationStatus {
    world.release().preparation.unwrap_or_default()
}

fn annotate(world: &mut World, name: &str, value: &str) {
    world.observed.cluster.annotations_mut().insert(name.into(), value.into());
}

/// Passes until a stage; all stages on the way.
pub(super) fn run_to(world: &mut World, stage: Stage) -> Vec<Stage> {
    let plans = world.run_until(|plan| plan.stage == stage);
    let mut seen: Vec<_> = plans.iter().map(|plan| plan.stage).collect();
    seen.dedup();
    seen
}

/// Ends whatever runs well, but for this command.
pub(super) fn run_to_running(world: &mut World, job: &str) {
    for _ in 0..40 {
        world.pass();
        if world.names(Kind::Job).contains(&job) {
            return;
        }
        world.pods_start();
        let succeeded = world.succeeded();
        world.jobs_end(&succeeded);
    }
    panic!("{job} never runs: {:?}", world.names(Kind::Job));
}

fn writes_accepted(world: &World) -> bool {
    world.condition(WRITES_ACCEPTED).status == "True"
}

/// Whether the newest settings document has writes refused.
fn is_closed(world: &World) -> bool {
    let documents = world.observed.live.iter().filter(|live| live.kind == Kind::ConfigMap);
    let newest =
        documents.filter_map(|live| Some((settings::document_of(live)?.revision, live))).max_by_key(|(n, _)| *n);
    newest.unwrap().1.body.to_string().contains("retryAfterS")
}

#[test]
fn an_online_migration_is_backed_up_and_rehearsed_first_and_writes_go_on() {
    let mut world = wanted(0);
    let mut seen = run_to(&mut world, Stage::Deploying);
    seen.retain(|stage| *stage != Stage::Validating);
    let expected = [Stage::PlanningMigrations, Stage::BackingUp, Stage::DryRunning, Stage::Migrating, Stage::Deploying];
    assert_eq!(seen, expected);
    let done = preparation(&world);
    assert_eq!(done.plan.unwrap().pending, 2);
    assert_eq!(done.backup.unwrap().id, "backup-1");
    assert!(done.dry_run.is_some() && done.maintenance.is_none());
    assert!(!is_closed(&world));
    run_to(&mut world, Stage::Finished);
    let told = world.release().history[0].clone();
    assert_eq!((told.migrations.unwrap().to, told.backup.unwrap().id.as_str()), (5, "backup-1"));
}

#[test]
fn nothing_pending_needs_no_backup_and_neither_does_an_empty_database() {
    let mut world = wanted(0);
    world.planned = MigrationPlan { from: 3, to: 3, pending: 0, offline: 0 };
    let seen = run_to(&mut world, Stage::Deploying);
    assert!(!seen.contains(&Stage::BackingUp), "{seen:?}");
    let mut world = World::new(fixtures::observed(|observed| {
        observed.cluster.spec.backup = wanted(0).observed.cluster.spec.backup
    }));
    let seen = run_to(&mut world, Stage::Finished);
    assert!(!seen.contains(&Stage::BackingUp), "{seen:?}");
}

#[test]
fn without_a_place_for_backups_only_what_is_online_goes_on() {
    let mut world = wanted(0);
    world.observed.cluster.spec.backup = None;
    assert!(!run_to(&mut world, Stage::Deploying).contains(&Stage::BackingUp));
    let mut world = wanted(1);
    world.observed.cluster.spec.backup = None;
    let plans = world.run_until(|plan| plan.stalled.is_some());
    let plan = plans.last().unwrap();
    assert_eq!(
        (plan.stage, plan.stalled.clone().unwrap().0.as_str()),
        (Stage::PlanningMigrations, "BackupNotConfigured")
    );
    assert!(!world.names(Kind::Job).iter().any(|job| job.contains("migrate-0-2-0")), "nothing is begun");
}

#[test]
fn whatever_fails_before_the_migration_changes_nothing_and_is_tried_again_when_a_person_asks() {
    for (job, reason) in [
        ("payments-plan-0-2-0-1", Reason::MigrationUnsafe),
        ("payments-backup-0-2-0-1", Reason::InvalidConfiguration),
        ("payments-dryrun-0-2-0-1", Reason::DryRunFailed),
    ] {
        let mut world = wanted(0);
        run_to_running(&mut world, job);
        world.jobs_end(&report(Outcome::Failed, reason));
        for _ in 0..100 {
            let plan = world.pass();
            assert_eq!(plan.stalled.as_ref().unwrap().0, format!("{reason:?}"));
            assert_eq!(plan.steps, []);
            assert!(plan.stage.is_before_pods());
        }
        assert!(!world.names(Kind::Job).iter().any(|job| job.contains("migrate-0-2-0")));
        assert_eq!((traffic(&world.observed), writes_accepted(&world)), (Some(to("0.1.0")), true));
        annotate(&mut world, RETRY, "1");
        run_to(&mut world, Stage::Finished);
    }
}

#[test]
fn a_backup_whose_report_is_lost_each_time_is_made_anew_ever_less_often() {
    let mut world = wanted(0);
    run_to_running(&mut world, "payments-backup-0-2-0-1");
    let lost = JobReport::new(Outcome::Succeeded, Reason::Migrated, "its report is gone");
    let mut made = 0;
    for _ in 0..600 {
        made += world.pass().steps.iter().filter(|step| matches!(step, Step::Apply { is_new: true, .. })).count();
        world.jobs_end(&lost);
    }
    assert!((6..=9).contains(&made), "{made} more backups in ten minutes");
    let plan = world.pass();
    assert_eq!((plan.stage, plan.waiting_on), (Stage::BackingUp, Some(WaitingOn::Again("the backup"))));
    for _ in 0..600 {
        world.pass();
    }
    run_to(&mut world, Stage::Finished);
}

#[test]
fn writes_are_refused_before_the_restore_point_and_until_the_release_has_the_traffic() {
    let mut world = wanted(1);
    run_to(&mut world, Stage::EnteringMaintenance);
    assert!(!is_closed(&world), "it is written down before it is done");
    run_to_running(&mut world, "payments-drain-0-2-0-1");
    assert!(is_closed(&world) && !writes_accepted(&world));
    let image =
        world.live_mut(Kind::Job, "payments-drain-0-2-0-1").body["spec"]["template"]["spec"]["containers"][0]["image"]
            .clone();
    assert_eq!(image, "purser:0.1.0", "it knows the schema that there is");
    run_to_running(&mut world, "payments-point-0-2-0-1");
    assert!(!preparation(&world).maintenance.unwrap().is_migrating);
    run_to_running(&mut world, "payments-migrate-0-2-0-1");
    assert!(preparation(&world).maintenance.unwrap().is_migrating, "it is known before it is done");
    while world.pass().stage != Stage::Monitoring {
        assert!(is_closed(&world));
        world.pods_start();
        let succeeded = world.succeeded();
        world.jobs_end(&succeeded);
    }
    assert_eq!(traffic(&world.observed), Some(to("0.2.0")));
    run_to(&mut world, Stage::Finished);
    assert!(!is_closed(&world) && writes_accepted(&world));
    assert_eq!(world.release().kept, None, "the one before does not know the schema");
    annotate(&mut world, ABANDONED, "0.2.0");
    assert_eq!(world.pass().stage, Stage::Finished, "payments were accepted since: there is no way back");
}

#[test]
fn a_canary_moves_at_once_while_writes_are_refused() {
    let mut world = wanted(1);
    world.observed.cluster.spec.rollout.strategy = crds::payment_cluster::Strategy::Canary;
    let plans = world.run_until(|plan| plan.stage == Stage::Monitoring);
    assert!(plans.iter().all(|plan| plan.release.shift.as_ref().is_none_or(|shift| shift.weight == 100)));
}

#[test]
fn a_migration_that_fails_while_writes_are_refused_goes_back_to_the_restore_point() {
    let mut world = wanted(2);
    run_to_running(&mut world, "payments-migrate-0-2-0-1");
    world.jobs_end(&report(Outcome::Failed, Reason::MigrationFailed));
    let plan = world.pass();
    assert_eq!(plan.release.abandoned.as_ref().unwrap().why, WhyAbandoned::MigrationFailed);
    run_to_running(&mut world, "payments-restore-0-2-0-1");
    assert!(is_closed(&world), "writes stay refused until the database is back");
    let arguments = world.live_mut(Kind::Job, "payments-restore-0-2-0-1").body.to_string();
    assert!(arguments.contains(r#""restore","backup-1","--into-current""#), "{arguments}");
    let seen = run_to(&mut world, Stage::RolledBack);
    assert!(seen.contains(&Stage::Restoring), "{seen:?}");
    world.run_until(|plan| plan.settings_verdict.is_true() && plan.steps.is_empty());
    let release = world.release();
    assert_eq!((release.schema_version, release.migrated), (Some(3), None));
    assert!(release.preparation.unwrap().maintenance.unwrap().restored_at.is_some());
    assert!(!is_closed(&world) && writes_accepted(&world));
    assert_eq!(traffic(&world.observed), Some(to("0.1.0")));
}

#[test]
fn pods_that_do_not_start_on_the_new_schema_bring_the_old_one_back() {
    let mut world = wanted(1);
    run_to_running(&mut world, "payments-migrate-0-2-0-1");
    let mut seen = Vec::new();
    for _ in 0..700 {
        seen.push(world.pass().stage);
        let succeeded = world.succeeded();
        world.jobs_end(&succeeded);
    }
    seen.dedup();
    let expected = [Stage::Migrating, Stage::Deploying, Stage::RollingBack, Stage::Restoring, Stage::RolledBack];
    assert_eq!(seen, expected);
    assert!(!is_closed(&world));
}

#[test]
fn a_restore_that_is_refused_keeps_writes_refused_and_is_tried_again_alone() {
    let mut world = wanted(1);
    run_to_running(&mut world, "payments-migrate-0-2-0-1");
    world.jobs_end(&report(Outcome::Failed, Reason::MigrationFailed));
    run_to_running(&mut world, "payments-restore-0-2-0-1");
    world.jobs_end(&report(Outcome::Failed, Reason::RestoreRefused));
    for _ in 0..100 {
        let plan = world.pass();
        assert_eq!((plan.stage, plan.stalled.as_ref().unwrap().0.as_str()), (Stage::Restoring, "RestoreRefused"));
    }
    assert!(is_closed(&world));
    annotate(&mut world, RETRY, "now");
    run_to(&mut world, Stage::RolledBack);
    for _ in 0..20 {
        assert_eq!(world.pass().stage, Stage::RolledBack, "the restore was to be tried again, not the release");
        let succeeded = world.succeeded();
        world.jobs_end(&succeeded);
    }
}

#[test]
fn another_try_takes_nothing_of_the_first_for_its_own() {
    let mut world = wanted(1);
    run_to_running(&mut world, "payments-migrate-0-2-0-1");
    let of_first: Vec<_> = world.observed.live.iter().filter(|live| live.kind == Kind::Job).cloned().collect();
    world.jobs_end(&report(Outcome::Failed, Reason::MigrationFailed));
    run_to(&mut world, Stage::RolledBack);
    annotate(&mut world, RETRY, "again");
    for command in ["plan", "backup", "dryrun", "drain", "point"] {
        let old = of_first.iter().find(|live| live.name == format!("payments-{command}-0-2-0-1")).unwrap();
        let anew = format!("payments-{command}-0-2-0-2");
        for pass in 0.. {
            // It was deleted, and a finalizer keeps it.
            if world.observed.find(Kind::Job, &old.name).is_none() {
                world.observed.live.push(old.clone());
            }
            world.pass();
            if world.names(Kind::Job).contains(&anew.as_str()) {
                break;
            }
            assert!(pass < 20, "{anew} never runs: {:?}", world.names(Kind::Job));
            let succeeded = world.succeeded();
            world.jobs_end(&succeeded);
        }
    }
}

#[test]
fn work_that_does_not_end_does_not_keep_merchants_waiting_for_ever() {
    let mut world = wanted(1);
    run_to_running(&mut world, "payments-drain-0-2-0-1");
    let mut seen = Vec::new();
    for _ in 0..700 {
        world.jobs_end(&report(Outcome::Retry, Reason::NotDrained));
        seen.push(world.pass().stage);
    }
    seen.dedup();
    assert_eq!(
        seen,
        [Stage::EnteringMaintenance, Stage::RollingBack, Stage::RolledBack],
        "nothing was touched: no restore"
    );
    assert_eq!(world.release().abandoned.unwrap().why, WhyAbandoned::NotDrained);
    let succeeded = world.succeeded();
    world.jobs_end(&succeeded);
    world.pass();
    assert!(!is_closed(&world));
}

#[test]
fn another_version_that_is_wanted_meanwhile_waits_for_the_way_back() {
    for version in ["0.3.0", "0.1.0"] {
        for job in ["payments-drain-0-2-0-1", "payments-point-0-2-0-1", "payments-migrate-0-2-0-1"] {
            let mut world = wanted(1);
            run_to_running(&mut world, job);
            world.observed.cluster.spec.version = version.into();
            let plans = world.run_until(|plan| plan.stage == Stage::Validating);
            let restored = plans.iter().any(|plan| plan.stage == Stage::Restoring);
            assert_eq!(restored, job.contains("migrate"), "{job}");
            world.planned = MigrationPlan { from: 3, to: 3, pending: 0, offline: 0 };
            run_to(&mut world, Stage::Finished);
            assert_eq!(world.release().current.as_deref(), Some(version));
            assert!(!is_closed(&world) && writes_accepted(&world));
        }
    }
}

#[test]
fn a_person_can_have_writes_refused_and_nobody_is_judged_by_it() {
    let mut world = World::finished();
    annotate(&mut world, MAINTENANCE, "true");
    let plans = world.run_until(|plan| plan.settings.as_ref().is_some_and(|settings| settings.revision == 2));
    assert!(plans.iter().all(|plan| plan.stage == Stage::Finished));
    assert!(is_closed(&world) && !writes_accepted(&world));
    assert_eq!(world.condition("Ready").status, "True");
    assert!(matches!(world.plan().judgement, Judgement::Inconclusive(_)));
    world.observed.cluster.annotations_mut().remove(MAINTENANCE);
    world.run_until(|plan| plan.settings.as_ref().is_some_and(|settings| settings.revision == 3));
    assert!(!is_closed(&world) && writes_accepted(&world));
    assert!(matches!(world.plan().judgement, Judgement::Inconclusive(_)), "the window still has it");
    for _ in 0..15 {
        world.pass();
    }
    assert_eq!(world.plan().judgement, Judgement::Healthy);
}

#[test]
fn an_operator_that_dies_after_any_write_of_an_offline_release_or_its_restore_comes_to_the_same_end() {
    for is_bad in [false, true] {
        let go = |world: &mut World, crash_after: usize| {
            let end = if is_bad { Stage::RolledBack } else { Stage::Finished };
            for _ in 0..200 {
                let plan = world.plan();
                let left = crash_after.saturating_sub(world.writes);
                if crash_after > 0 && plan.steps.len() > left && left < usize::MAX {
                    let begun = Plan { steps: plan.steps[..left].to_vec(), ..plan };
                    world.carry_out_all(&begun);
                    return;
                }
                let plan = world.pass();
                if plan.stage == end && plan.steps.is_empty() && plan.settings_verdict.is_true() {
                    return;
                }
                world.pods_start();
                if is_bad
                    && world.names(Kind::Job).contains(&"payments-migrate-0-2-0-1")
                    && plan.stage == Stage::Migrating
                {
                    world.jobs_end(&report(Outcome::Failed, Reason::MigrationFailed));
                }
                let succeeded: JobReport = world.succeeded();
                world.jobs_end(&succeeded);
            }
            panic!("no end");
        };
        let mut whole = wanted(1);
        let before = whole.writes;
        go(&mut whole, 0);
        for crash_after in before + 1..whole.writes {
            let mut world = wanted(1);
            go(&mut world, crash_after);
            go(&mut world, 0);
            for kind in Kind::ALL {
                assert_eq!(world.names(kind), whole.names(kind), "killed after {crash_after} writes");
            }
            let (found, expected) = (world.release(), whole.release());
            assert_eq!((found.current, found.schema_version), (expected.current, expected.schema_version));
            assert_eq!(
                (is_closed(&world), writes_accepted(&world)),
                (false, true),
                "killed after {crash_after} writes"
            );
        }
    }
}
