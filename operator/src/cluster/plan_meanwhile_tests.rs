//! Plans while a release is on its way: another version is wanted, the status is lost, a provider is switched off.

use runtime_contract::{Outcome, Reason};

use super::tests::{report, to};
use super::*;
use crate::cluster::fixtures::{self, World};

#[test]
fn a_migration_that_runs_is_left_to_its_end_whatever_version_is_wanted_next() {
    for next in ["0.3.0", "0.1.0"] {
        let mut world = World::finished();
        world.observed.cluster.spec.version = "0.2.0".into();
        world.run_until(|plan| plan.stage == Stage::Migrating);
        let running = "payments-migrate-0-2-0-1";
        world.job_runs(running);
        world.observed.cluster.spec.version = next.into();
        for _ in 0..5 {
            world.pass();
            assert!(world.names(Kind::Job).contains(&running), "{next}: stopped half-way");
            assert!(!world.names(Kind::Job).contains(&"payments-migrate-0-3-0-1"), "two migrations at once");
        }
        if next == "0.3.0" {
            world.job_ends("payments-plan-0-3-0-1", &report(Outcome::Succeeded, Reason::MigrationsPlanned));
            world.pass();
            assert!(world.plan().schema_verdict.message.contains(running), "{:?}", world.plan().schema_verdict);
        }
        world.jobs_end(&report(Outcome::Succeeded, Reason::Migrated));
        world.run_until(|plan| plan.stage == Stage::Finished && plan.steps.is_empty());
        assert_eq!(
            world.observed.cluster.status.as_ref().unwrap().release.as_ref().unwrap().current.as_deref(),
            Some(next)
        );
        assert!(!world.names(Kind::Job).contains(&running));
    }
}

#[test]
fn a_status_that_is_lost_while_a_new_version_is_on_its_way_takes_nothing_from_the_release_that_serves() {
    let mut world = World::finished();
    world.observed.cluster.spec.version = "0.2.0".into();
    for lose_in_pass in 0..4 {
        let mut world = World { observed: world.observed.clone(), planned: world.planned.clone(), ..world };
        for pass in 0..10 {
            if pass == lose_in_pass {
                world.observed.cluster.status = None;
            }
            world.pass();
            assert_eq!(traffic(&world.observed), Some(to("0.1.0")), "lost in pass {lose_in_pass}");
            assert!(world.names(Kind::Deployment).contains(&"payments-gateway-0-1-0"));
        }
        assert_eq!(
            world.observed.cluster.status.as_ref().unwrap().release.as_ref().unwrap().current.as_deref(),
            Some("0.1.0")
        );
        world.run_until(|plan| plan.stage == Stage::Finished && plan.steps.is_empty());
        assert_eq!(traffic(&world.observed), Some(to("0.2.0")));
    }
}

#[test]
fn a_status_that_is_lost_before_the_migrations_are_done_does_not_skip_them() {
    let mut world = World::new(fixtures::observed(|_| {}));
    world.pass();
    world.pass();
    world.observed.cluster.status = None;
    for _ in 0..5 {
        world.pass();
        assert_eq!(world.names(Kind::Deployment), [""; 0]);
    }
}

#[test]
fn a_provider_can_be_switched_off_while_a_new_version_cannot_migrate() {
    let mut world = World::finished();
    world.observed.cluster.spec.version = "9.9.9".into();
    world.run_until(|plan| plan.stage == Stage::Migrating);
    world.jobs_end(&report(Outcome::Failed, Reason::MigrationFailed));
    world.observed.providers[0].provider.spec.active = false;
    world.pass();
    let job = world.observed.find(Kind::Job, "payments-settings-2-1").expect("the settings wait for the migration");
    let image = job.body.pointer("/spec/template/spec/containers/0/image").unwrap();
    assert_eq!(image, "purser:0.1.0", "only the image that serves is known to work");
    world.jobs_end(&report(Outcome::Succeeded, Reason::SettingsApplied));
    let plan = world.pass();
    assert_eq!((plan.stage, plan.settings.unwrap().revision), (Stage::Migrating, 2));
    assert_eq!(plan.stalled.unwrap().0, "MigrationFailed");
    world.pass();
    assert_eq!(
        world.names(Kind::Job),
        ["payments-migrate-9-9-9-1", "payments-plan-9-9-9-1", "payments-settings-2-1"],
        "Jobs do not pile up"
    );
}

#[test]
fn the_fraud_check_of_an_old_release_goes_after_the_last_processor_that_asks_it() {
    let mut world = World::finished();
    world.processor_runs("0.1.0");
    world.observed.cluster.spec.version = "0.2.0".into();
    world.run_until(|plan| plan.stage == Stage::Finished);
    world.retire();
    let fraud = "payments-fraud-0-1-0";
    assert!(!world.names(Kind::Deployment).contains(&"payments-processor-0-1-0"));
    assert!(world.names(Kind::Service).contains(&fraud) && world.names(Kind::Deployment).contains(&fraud));
    world.observed.pods.retain(|pod| pod.metadata.name.as_deref() != Some("processor-0.1.0"));
    world.pass();
    assert!(!world.names(Kind::Service).contains(&fraud) && !world.names(Kind::Deployment).contains(&fraud));
}
