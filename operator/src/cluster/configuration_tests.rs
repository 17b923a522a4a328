//! The configuration of a release goes forward with its version, and back with it.

use crds::annotations::ABANDONED;
use crds::payment_cluster::Strategy;
use crds::{PaymentClusterSpec, Stage};
use kube::ResourceExt;
use serde_json::{Value, json};

use super::*;
use crate::cluster::fixtures::{self, World, is_over};
use crate::cluster::plan_objects::{replicas_of, traffic};
use crate::cluster::step::WaitingOn;
use crate::workloads::Traffic;

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

const GATEWAY: &str = "payments-gateway-0-1-0-r2";

fn certificate(spec: &mut PaymentClusterSpec, name: Option<&str>) {
    spec.gateway.tls = name.map(|name| serde_json::from_value(json!({ "secretName": name })).unwrap());
}

/// A platform at rest of which a canary with another certificate, or none, is wanted.
fn reached_otherwise(before: Option<&str>, after: Option<&str>) -> World {
    let mut world = World::new(fixtures::observed(|observed| {
        let spec = &mut observed.cluster.spec;
        certificate(spec, before);
        spec.gateway.replicas = 9;
        spec.rollout.strategy = Strategy::Canary;
    }));
    world.run_until(is_over);
    certificate(&mut world.observed.cluster.spec, after);
    world
}

/// Where the traffic went in each pass until a stage, with what was waited for.
fn ways(world: &mut World, stage: Stage) -> Vec<(Option<Traffic>, Option<WaitingOn>)> {
    let mut ways = Vec::new();
    for _ in 0..40 {
        let plan = world.pass();
        ways.push((traffic(&world.observed), plan.waiting_on));
        if plan.stage == stage {
            return ways;
        }
        world.pods_start();
        world.jobs_go();
    }
    panic!("not {stage:?}: {ways:#?}");
}

fn port(world: &World) -> Value {
    let service = world.observed.find(Kind::Service, "payments-gateway").unwrap();
    service.body["spec"]["ports"][0]["port"].clone()
}

#[test]
fn a_canary_that_turns_tls_on_or_off_gets_all_of_the_traffic_at_once_and_gives_all_of_it_back_at_once() {
    for (before, after, ports) in [(None, Some("tls"), [80, 443]), (Some("tls"), None, [443, 80])] {
        let mut world = reached_otherwise(before, after);
        assert_eq!(port(&world), ports[0]);
        let there = ways(&mut world, Stage::Monitoring);
        assert!(there.iter().all(|(traffic, _)| *traffic != Some(Traffic::Split)), "{there:#?}");
        assert!(there.iter().any(|(_, waiting_on)| *waiting_on == Some(WaitingOn::TrafficAtOnce)), "{there:#?}");
        assert_eq!((traffic(&world.observed), port(&world)), (Some(Traffic::To("0.1.0-r2".into())), ports[1].into()));
        assert_eq!(replicas_of(world.observed.find(Kind::Deployment, GATEWAY).unwrap()), Some(9));
        world.observed.cluster.annotations_mut().insert(ABANDONED.into(), "0.1.0-r2".into());
        let back = ways(&mut world, Stage::RolledBack);
        assert!(back.iter().all(|(traffic, _)| *traffic == Some(Traffic::To("0.1.0".into()))), "{back:#?}");
        assert_eq!((port(&world), pods(&world)), (ports[0].into(), json!(9)));
    }
}

#[test]
fn a_canary_with_another_certificate_goes_step_by_step() {
    let mut world = reached_otherwise(Some("tls"), Some("other"));
    let there = ways(&mut world, Stage::Shifting);
    assert_eq!(there.last().unwrap().0, Some(Traffic::Split));
}

#[test]
fn traffic_that_could_not_be_moved_at_once_is_not_split_when_a_pod_is_lost_meanwhile() {
    let mut world = reached_otherwise(None, Some("tls"));
    while world.plan().stage != Stage::Shifting {
        world.pass();
        world.pods_start();
        world.jobs_go();
    }
    let service = world.observed.find(Kind::Service, "payments-gateway").unwrap().clone();
    world.pass();
    *world.live_mut(Kind::Service, "payments-gateway") = service;
    world.live_mut(Kind::Deployment, GATEWAY).body["status"]["availableReplicas"] = 8.into();
    let plan = world.pass();
    assert_eq!((plan.stage, traffic(&world.observed)), (Stage::Shifting, Some(Traffic::To("0.1.0".into()))));
    world.pods_start();
    world.pass();
    assert_eq!(traffic(&world.observed), Some(Traffic::To("0.1.0-r2".into())));
}
