//! Statuses of every kind, made by the operator: plans are carried out in a small world until it is as wished for.

use crds::Stage;
use crds::annotations::{ABANDONED, PAUSED, REJECTED};
use kube::ResourceExt;
use runtime_contract::{Counts, Figures, ReleaseFigures, Slice, Times};
use serde::Serialize;
use serde_json::{Value, json};

use crate::cluster::fixtures::{self, World, all_well};
use crate::cluster::plan::Plan;
use crate::provider::judge;
use crate::provider::probe::Probe;
use crate::secrets::SecretState;

/// A resource, and what Argo CD and Flux are to think of it.
pub(super) struct Scene {
    pub(super) name: &'static str,
    pub(super) resource: Value,
    /// Argo CD's health.
    pub(super) health: &'static str,
    /// A part of what it says of it.
    pub(super) says: &'static str,
    /// Flux' status by the rules of kstatus.
    pub(super) kstatus: &'static str,
    /// The same by the expressions of the example.
    pub(super) by_expressions: &'static str,
}

/// The new release's payments take longer than is allowed, its predecessor's do not.
pub(super) fn slow(second: i64) -> Option<Figures> {
    let of = |release: &str, ms: u64| {
        let slice = |second| {
            let payment_us = Times::from([(ms * 1_000, 50)]);
            Slice { second, counts: Counts { succeeded: 50, failed: 0, payment_us, fraud_us: Times::new() } }
        };
        let slices = (second - 9..=second).map(slice).collect();
        ReleaseFigures { release: release.into(), slices, ..ReleaseFigures::default() }
    };
    Some(Figures { releases: vec![of("0.1.0", 20), of("0.2.0", 320)], ..all_well(second)? })
}

/// A platform at rest, of which release 0.2.0 is wanted as a canary.
pub(super) fn wanted(change: impl FnOnce(&mut Value)) -> World {
    let mut cluster = fixtures::cluster(|spec| {
        spec["version"] = json!("0.2.0");
        spec["gateway"] = json!({ "replicas": 9 });
        spec["rollout"] = json!({
            "strategy": "Canary", "retireAfter": "20s",
            "steps": [{ "weight": 10, "duration": "5s" }, { "weight": 75, "duration": "5s" }],
        });
        spec["sla"] = json!({ "window": "10s", "successRate": "97", "p95Latency": "200ms" });
        change(spec);
    });
    let mut world =
        World::new(fixtures::observed(|observed| observed.cluster.spec.gateway = cluster.spec.gateway.clone()));
    until(&mut world, |plan| plan.stage == Stage::Finished && plan.steps.is_empty());
    cluster.status = world.observed.cluster.status.take();
    cluster.metadata.generation = Some(2);
    world.observed.cluster = cluster;
    world
}

/// The same, with approval.
pub(super) fn awaiting() -> World {
    let mut world = wanted(|spec| spec["rollout"]["approval"] = json!("Required"));
    until_stage(&mut world, Stage::AwaitingApproval);
    world
}

/// Passes, with Jobs that succeed and pods that start, and a look at each.
pub(super) fn passes(world: &mut World, mut look: impl FnMut(&World, &Plan) -> bool) {
    for _ in 0..100 {
        let plan = world.pass();
        if look(world, &plan) {
            return;
        }
        world.pods_start();
        world.jobs_go();
    }
    panic!("not as wished for: {:?}", world.observed.cluster.status);
}

pub(super) fn until(world: &mut World, done: impl Fn(&Plan) -> bool) {
    passes(world, |_, plan| done(plan));
}

pub(super) fn until_stage(world: &mut World, stage: Stage) {
    until(world, |plan| plan.stage == stage);
}

pub(super) fn annotate(world: &mut World, name: &str, value: &str) {
    world.observed.cluster.annotations_mut().insert(name.into(), value.into());
}

/// As the API server shows it.
pub(super) fn shown<K: Serialize>(resource: &K) -> Value {
    let mut resource = serde_json::to_value(resource).unwrap();
    if resource["status"].is_null() {
        // The default of the definitions.
        resource["status"] = json!({ "observedGeneration": -1 });
    }
    resource["metadata"]["creationTimestamp"] = json!("2026-11-28T12:00:00Z");
    resource["metadata"]["resourceVersion"] = json!("7301");
    resource
}

fn at(stage: Stage, change: impl FnOnce(&mut World)) -> World {
    let mut world = wanted(|_| {});
    until_stage(&mut world, stage);
    change(&mut world);
    world
}

fn well_then(change: impl FnOnce(&mut World)) -> World {
    let mut world = World::finished();
    change(&mut world);
    world.pass();
    world
}

fn without_database(world: &mut World) {
    world.says("gateway", json!([{ "name": "database", "ok": false, "optional": false, "message": "refused" }]));
}

fn without_cache(world: &mut World) {
    world.says("gateway", json!([{ "name": "cache", "ok": false, "optional": true, "message": "refused" }]));
}

fn first_on_its_way(change: impl FnOnce(&mut World)) -> World {
    let mut world = World::new(fixtures::observed(|_| {}));
    change(&mut world);
    world
}

/// Every scene of a PaymentCluster.
#[rustfmt::skip]
pub(super) fn of_clusters() -> Vec<Scene> {
    let worlds = [
        ("unseen", first_on_its_way(|_| {}), "Progressing", "has not looked", "InProgress", "InProgress"),
        ("installing", first_on_its_way(|world| until_stage(world, Stage::Deploying)),
            "Progressing", "release 0.1.0", "InProgress", "InProgress"),
        ("stalled", first_on_its_way(|world| {
            world.observed.database_secret = SecretState::Missing;
            world.pass();
        }), "Degraded", "no Secret \"payments-db\"", "Failed", "Failed"),
        ("healthy", well_then(|_| {}), "Healthy", "release 0.1.0 takes payments", "Current", "Current"),
        ("changed", { let mut world = well_then(|_| {}); world.observed.cluster.metadata.generation = Some(2); world },
            "Progressing", "has not looked at this spec", "InProgress", "InProgress"),
        ("without_cache", well_then(without_cache), "Healthy", "CacheReachable", "Current", "Current"),
        ("without_database", well_then(without_database), "Degraded", "refused", "InProgress", "InProgress"),
        ("awaiting_approval", awaiting(), "Suspended", "waits for approval", "InProgress", "Current"),
        ("rejected", { let mut world = awaiting(); annotate(&mut world, REJECTED, "0.2.0"); world.pass(); world },
            "Degraded", "refused to approve", "Failed", "Failed"),
        ("shifting", at(Stage::Shifting, |_| {}), "Progressing", "release 0.2.0", "InProgress", "InProgress"),
        ("paused", at(Stage::Monitoring, |world| { annotate(world, PAUSED, "true"); world.pass(); }),
            "Suspended", "purser resume", "InProgress", "InProgress"),
        ("monitoring", at(Stage::Monitoring, |_| {}), "Progressing", "is watched", "InProgress", "InProgress"),
        ("upgraded", at(Stage::Finished, |_| {}), "Healthy", "release 0.2.0 takes payments", "Current", "Current"),
        ("rolling_back", at(Stage::Monitoring, |world| { world.figures = slow; until_stage(world, Stage::RollingBack); }),
            "Degraded", "took longer than 200 ms", "Failed", "Failed"),
        ("rolled_back", at(Stage::Monitoring, |world| { world.figures = slow; until_stage(world, Stage::RolledBack); }),
            "Degraded", "took longer than 200 ms", "Failed", "Failed"),
        ("aborted", at(Stage::Shifting, |world| { annotate(world, ABANDONED, "0.2.0"); until_stage(world, Stage::RolledBack); }),
            "Degraded", "somebody gave it up", "Failed", "Failed"),
    ];
    let scene = |(name, world, health, says, kstatus, by_expressions): (_, World, _, _, _, _)| Scene {
        name, resource: shown(&world.observed.cluster), health, says, kstatus, by_expressions,
    };
    worlds.into_iter().map(scene).collect()
}

/// Every scene of a PaymentProvider.
pub(super) fn of_providers() -> Vec<Scene> {
    let refused = Probe::Silent { reason: "Refused", message: "https://api.stripe.com refuses the connection".into() };
    let there = fixtures::present("1");
    let cases = [
        ("unseen", true, None, "Progressing", "has not looked", "InProgress"),
        ("healthy", true, Some((&there, &Probe::Answered)), "Healthy", "it takes payments", "Current"),
        ("inactive", false, Some((&there, &Probe::Answered)), "Healthy", "active is false", "Current"),
        ("silent", true, Some((&there, &refused)), "Degraded", "refuses the connection", "InProgress"),
        (
            "stalled",
            true,
            Some((&SecretState::Missing, &Probe::Answered)),
            "Degraded",
            "no Secret \"stripe\"",
            "Failed",
        ),
    ];
    let scene = |(name, active, seen, health, says, kstatus): (_, _, Option<(&SecretState, &Probe)>, _, _, _)| {
        let mut provider = fixtures::provider("stripe", |provider| provider.spec.active = active);
        provider.status = seen.map(|(credentials, endpoint)| {
            judge::status(&provider, credentials, endpoint, Some("payments".into()), fixtures::time(1_000).0)
        });
        Scene { name, resource: shown(&provider), health, says, kstatus, by_expressions: kstatus }
    };
    cases.into_iter().map(scene).collect()
}
