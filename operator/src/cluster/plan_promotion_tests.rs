use serde_json::{Value, json};

use super::*;
use crate::cluster::fixtures::{self, World};
use crate::cluster::step::Step;

/// A platform at rest of which 0.2.0 is wanted, promoted from `staging/payments`.
fn production(from: Value) -> World {
    let mut world = World::finished();
    let status = world.observed.cluster.status.take();
    world.observed.cluster = fixtures::cluster(|spec| {
        spec["version"] = json!("0.2.0");
        spec["rollout"]["promoteFrom"] = from;
        spec["rollout"]["approval"] = json!("Required");
    });
    world.observed.cluster.status = status;
    world
}

fn from_staging() -> World {
    production(json!({ "namespace": "staging", "name": "payments" }))
}

/// A staging PaymentCluster that has this to say of itself.
fn staging(version: &str, status: Value) -> PaymentCluster {
    let mut cluster = fixtures::cluster(|spec| {
        spec["version"] = json!(version);
        spec["environment"] = json!("Staging");
    });
    cluster.metadata.namespace = Some("staging".into());
    cluster.status = serde_json::from_value(status).unwrap();
    cluster
}

fn verified(version: &str) -> PaymentCluster {
    let proof = json!({ "version": version, "at": "2026-11-24T12:00:00Z" });
    staging(version, json!({ "stage": "Verified", "release": { "current": version, "verified": proof } }))
}

/// What the world says once it waits.
fn waits(world: &mut World) -> (String, Option<String>) {
    world.run_until(|plan| plan.stage == Stage::AwaitingStaging);
    let plan = world.pass();
    assert_eq!((plan.stage, plan.steps.len()), (Stage::AwaitingStaging, 0), "nothing is changed");
    (plan.waiting_on.unwrap().to_string(), plan.stalled.map(|(reason, _)| reason))
}

#[test]
fn a_release_waits_for_exactly_this_version_and_then_for_its_approval() {
    let mut world = from_staging();
    world.observed.upstream = Upstream::Seen(vec![verified("0.1.0")]);
    let (words, stalled) = waits(&mut world);
    assert_eq!(words, "release 0.2.0 waits for staging/payments: there 0.1.0 is wanted");
    assert_eq!(stalled, None, "it may come by itself");
    assert_eq!(world.condition("Ready").status, "True", "the release that serves is looked after");
    assert_eq!(world.condition("Approved").status, "Unknown");

    let on_its_way =
        json!({ "stage": "Testing", "waitingOn": "the load test runs", "release": { "current": "0.1.0" } });
    world.observed.upstream = Upstream::Seen(vec![staging("0.2.0", on_its_way)]);
    assert!(waits(&mut world).0.ends_with("there it is Testing: the load test runs"));

    world.observed.upstream = Upstream::Seen(vec![verified("0.2.0")]);
    let plan = world.pass();
    assert_eq!(plan.stage, Stage::AwaitingApproval, "only now somebody is asked");
    let proof = plan.release.promotion.unwrap();
    assert_eq!((proof.version.as_str(), proof.from.as_str()), ("0.2.0", "staging/payments"));
    assert_eq!(proof.verified_at, "2026-11-24T12:00:00Z");

    // What was proved stays so, whatever becomes of staging.
    world.observed.upstream = Upstream::Seen(vec![verified("0.3.0")]);
    assert_eq!(world.pass().stage, Stage::AwaitingApproval);
    world.observed.cluster.spec.rollout.approved_version = Some("0.2.0".into());
    world.run_until(|plan| plan.stage == Stage::Finished && plan.steps.is_empty());
    let release = world.release();
    assert_eq!((release.current.as_deref(), release.promotion.is_some()), (Some("0.2.0"), true));
}

#[test]
fn nothing_is_written_for_a_release_that_waits_for_staging() {
    let mut world = from_staging();
    world.observed.upstream = Upstream::Seen(vec![staging("0.2.0", json!(null))]);
    let plans = world.run_until(|plan| plan.stage == Stage::AwaitingStaging);
    assert!(plans.iter().flat_map(|plan| &plan.steps).all(|step| matches!(step, Step::Delete { .. })));
}

#[test]
fn what_was_verified_once_but_does_not_serve_there_any_more_is_no_proof() {
    let proof = json!({ "version": "0.2.0", "at": "2026-11-24T12:00:00Z" });
    let abandoned = json!({ "version": "0.2.0", "why": "SlaBreached", "message": "release 0.2.0 was given up (SlaBreached)", "at": "2026-11-24T13:00:00Z" });
    let cases = [
        json!({ "stage": "RolledBack", "release": { "current": "0.1.0", "verified": proof, "abandoned": abandoned } }),
        json!({ "stage": "Deploying", "release": { "current": "0.2.0", "verified": proof } }),
        json!({ "stage": "Finished", "release": { "current": "0.2.0" } }),
    ];
    for (status, words) in
        cases.into_iter().zip(["was given up (SlaBreached)", "there it is Deploying", "there it is Finished"])
    {
        let mut world = from_staging();
        world.observed.upstream = Upstream::Seen(vec![staging("0.2.0", status)]);
        let (said, stalled) = waits(&mut world);
        assert!(said.ends_with(words), "{said}");
        assert_eq!(stalled, None);
    }
}

#[test]
fn a_version_is_verified_whatever_its_configuration_there() {
    let proof = json!({ "version": "0.2.0-r3", "at": "2026-11-24T12:00:00Z" });
    let status = json!({ "stage": "Verified", "release": { "current": "0.2.0-r3", "verified": proof } });
    let mut world = from_staging();
    world.observed.upstream = Upstream::Seen(vec![staging("0.2.0", status)]);
    world.run_until(|plan| plan.stage == Stage::AwaitingApproval);
}

#[test]
fn another_configuration_that_was_taken_back_there_leaves_the_proof_of_the_one_that_serves() {
    let proof = json!({ "version": "0.2.0", "at": "2026-11-24T12:00:00Z" });
    let abandoned =
        json!({ "version": "0.2.0-r2", "why": "NotVerified", "message": "no", "at": "2026-11-24T13:00:00Z" });
    let release = json!({ "current": "0.2.0", "verified": proof, "abandoned": abandoned });
    let mut world = from_staging();
    world.observed.upstream =
        Upstream::Seen(vec![staging("0.2.0", json!({ "stage": "RolledBack", "release": release }))]);
    world.run_until(|plan| plan.stage == Stage::AwaitingApproval);
}

#[test]
fn what_can_never_come_by_itself_is_a_stall_with_a_reason() {
    let mut production_there = verified("0.2.0");
    production_there.spec.environment = Environment::Production;
    let mut ring = verified("0.2.0");
    ring.spec.rollout.promote_from =
        Some(crds::payment_cluster::PromoteFrom { namespace: Some("shop".into()), name: "payments".into() });
    let cases = [
        (Upstream::Seen(vec![]), "StagingMissing", "no such PaymentCluster"),
        (Upstream::Forbidden, "StagingForbidden", "restricted to other namespaces"),
        (Upstream::Unreadable("no version".into()), "StagingUnreadable", "no version"),
        (Upstream::Seen(vec![production_there]), "NotStaging", "not Staging"),
        (Upstream::Seen(vec![ring]), "PromotionRing", "in turn waits for shop/payments"),
    ];
    for (upstream, reason, words) in cases {
        let mut world = from_staging();
        world.observed.upstream = upstream;
        let (said, stalled) = waits(&mut world);
        assert_eq!(stalled.as_deref(), Some(reason));
        assert!(said.contains(words), "{said}");
        assert_eq!(world.condition("Stalled").reason, reason);
        assert_eq!(world.condition("Ready").status, "True");
        // Once it is right, it goes on by itself.
        world.observed.upstream = Upstream::Seen(vec![verified("0.2.0")]);
        assert_eq!(world.pass().stage, Stage::AwaitingApproval);
    }
    let mut world = production(json!({ "namespace": "shop", "name": "payments" }));
    world.observed.upstream = Upstream::Seen(vec![]);
    assert_eq!(waits(&mut world).1.as_deref(), Some("PromotedFromItself"));
}

#[test]
fn another_staging_or_another_version_needs_a_proof_of_its_own() {
    let mut world = from_staging();
    world.observed.upstream = Upstream::Seen(vec![verified("0.2.0")]);
    world.run_until(|plan| plan.stage == Stage::AwaitingApproval);
    let from = world.observed.cluster.spec.rollout.promote_from.as_mut().unwrap();
    from.name = "rehearsal".into();
    world.observed.upstream = Upstream::Seen(vec![]);
    assert_eq!(world.pass().stage, Stage::AwaitingStaging);
    world.observed.cluster.spec.version = "0.1.0".into();
    world.pass();
    assert_ne!(world.pass().stage, Stage::AwaitingStaging, "what serves needs no proof");
}
