//! The configuration of a release goes forward with its version, and back with it.

use crds::Stage;
use crds::annotations::ABANDONED;
use kube::ResourceExt;
use serde_json::{Value, json};

use super::*;
use crate::cluster::fixtures::{self, World};

#[test]
fn a_configuration_takes_the_place_of_another_and_leaves_the_rest() {
    let old = fixtures::validated(|_| {}).spec;
    let new = fixtures::validated(|spec| {
        change(spec);
        spec["image"] = json!({ "repository": "elsewhere/purser" });
        spec["environment"] = json!("Staging");
        spec["cache"]["urlSecretRef"]["name"] = json!("other-redis");
        spec["database"]["readUrlSecretRef"] = json!({ "name": "replica", "key": "url" });
        spec["database"]["readLagMax"] = json!("5s");
        spec["webhooks"] = json!({ "allowPrivateAddresses": true });
        spec["processor"] = json!({ "resources": { "requests": { "cpu": "2" } } });
        spec["metrics"] = json!({ "resources": { "requests": { "cpu": "2" } } });
    })
    .spec;
    let mut mixed = new.clone();
    Configuration::of(&old).put_into(&mut mixed);
    assert_eq!(Configuration::of(&mixed), Configuration::of(&old));
    assert_eq!((mixed.gateway.replicas, &mixed.gateway.rate_limit), (7, &new.gateway.rate_limit));
    Configuration::of(&new).put_into(&mut mixed);
    assert_eq!(mixed, new);
}

/// Another version with a configuration of its own, and more pods.
fn change(spec: &mut Value) {
    spec["version"] = json!("0.2.0");
    spec["fraud"] = json!({ "deadline": "80ms", "onDeadline": "Block" });
    spec["gateway"] = json!({
        "replicas": 7,
        "resources": { "requests": { "cpu": "750m" } },
        "tls": { "secretName": "payments-tls" },
        "rateLimit": { "requestsPerSecond": 500 },
    });
}

/// What the release that served first runs: the pods of each Deployment, and its configuration.
fn serving(world: &World) -> Vec<(String, Value)> {
    let of_first = world.observed.live.iter().filter(|live| live.release.as_deref() == Some("0.1.0"));
    let told = of_first.filter_map(|live| match live.kind {
        Kind::Deployment => Some((live.name.clone(), live.body["spec"]["template"].clone())),
        Kind::ConfigMap => Some((live.name.clone(), live.body["data"].clone())),
        _ => None,
    });
    let mut told: Vec<_> = told.filter(|(name, _)| !name.contains("-release-")).collect();
    told.sort_by(|one, other| one.0.cmp(&other.0));
    told
}

fn want(world: &mut World, more: impl FnOnce(&mut Value)) {
    let wanted = fixtures::cluster(|spec| {
        change(spec);
        more(spec);
    });
    world.observed.cluster.spec = wanted.spec;
}

fn pods(world: &World) -> Value {
    world.observed.find(Kind::Deployment, "payments-gateway-0-1-0").unwrap().body["spec"]["replicas"].clone()
}

#[test]
fn what_waits_for_leave_changes_nothing_of_what_serves_but_the_number_of_its_pods() {
    let mut world = World::finished();
    let before = serving(&world);
    want(&mut world, |spec| spec["rollout"]["approval"] = json!("Required"));
    for _ in 0..4 {
        assert!(world.pass().stage.is_before_start());
        world.jobs_go();
    }
    assert_eq!(world.observed.cluster.status.as_ref().unwrap().stage, Some(Stage::AwaitingApproval));
    assert_eq!(serving(&world), before);
    assert_eq!(pods(&world), 7);
}

#[test]
fn a_release_that_goes_back_takes_its_configuration_with_it() {
    let mut world = World::finished();
    let before = serving(&world);
    want(&mut world, |_| {});
    world.run_until(|plan| plan.stage == Stage::Monitoring);
    assert_eq!(serving(&world), before);
    world.observed.cluster.annotations_mut().insert(ABANDONED.into(), "0.2.0".into());
    world.run_until(|plan| plan.stage == Stage::RolledBack && plan.steps.is_empty());
    assert_eq!(serving(&world), before);
    assert_eq!(pods(&world), 7);
    // A person who wants the first version again, and says how, gets it so: beside what serves.
    world.observed.cluster.spec.version = "0.1.0".into();
    world.run_until(|plan| plan.stage == Stage::Finished && plan.steps.is_empty());
    assert_eq!(serving(&world), before);
    assert_eq!(world.release().current.as_deref(), Some("0.1.0-r2"));
}

#[test]
fn a_release_whose_configuration_is_lost_takes_that_of_the_spec() {
    let mut world = World::finished();
    world.live_mut(Kind::ConfigMap, "payments-config-0-1-0").body["data"]
        .as_object_mut()
        .unwrap()
        .remove(CONFIGURATION);
    want(&mut world, |spec| spec["rollout"]["approval"] = json!("Required"));
    world.run_until(|plan| plan.stage == Stage::AwaitingApproval && plan.steps.is_empty());
    let told = serving(&world);
    let (_, gateway) = told.iter().find(|(name, _)| name == "payments-gateway-0-1-0").unwrap();
    assert!(gateway.to_string().contains("750m"));
}
