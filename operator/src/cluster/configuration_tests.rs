//! The configuration of a release goes forward with its version, and back with it.

use crds::annotations::{ABANDONED, PAUSED};
use crds::payment_cluster::Strategy;
use crds::{PaymentClusterSpec, Stage};
use kube::ResourceExt;
use runtime_contract::{JobReport, Outcome, Reason};
use serde_json::{Value, json};

use super::*;
use crate::cluster::fixtures::{self, World, is_over};
use crate::cluster::plan_objects::{replicas_of, traffic};
use crate::cluster::step::WaitingOn;
use crate::replica;
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

/// A platform at rest that reads from a replica, in a world where each Secret has a version of its own.
fn with_replica() -> World {
    let mut world = World::new(fixtures::observed(|observed| {
        observed.cluster = fixtures::cluster(|spec| spec["database"]["readUrlSecretRef"] = secret("replica"));
    }));
    world.secrets = Some(fixtures::present);
    world.reports = |component, succeeded| match component {
        replica::COMPONENT => JobReport::new(Outcome::Succeeded, Reason::ReplicaReady, ""),
        _ => succeeded,
    };
    world.run_until(is_over);
    world
}

fn secret(name: &str) -> Value {
    json!({ "name": name, "key": "url" })
}

/// Other Secrets for the next release: of the cache, of the replica, of both; and none of a replica.
const OTHER_SECRETS: [fn(&mut Value); 4] = [
    |spec| {
        spec["cache"]["urlSecretRef"] = secret("other-redis");
        spec["database"]["readUrlSecretRef"] = secret("replica");
    },
    |spec| spec["database"]["readUrlSecretRef"] = secret("other-replica"),
    |spec| {
        spec["cache"]["urlSecretRef"] = secret("other-redis");
        spec["database"]["readUrlSecretRef"] = secret("other-replica");
    },
    |_| {},
];

/// The Deployments of the release that served first whose pods are not what they were.
fn changed(world: &World, before: &[(String, Value)]) -> Vec<String> {
    let pairs = serving(world).into_iter().zip(before);
    pairs.filter(|(now, before)| now != *before).map(|(now, _)| now.0).collect()
}

fn pods(world: &World) -> Value {
    world.observed.find(Kind::Deployment, "payments-gateway-0-1-0").unwrap().body["spec"]["replicas"].clone()
}

#[test]
fn what_waits_for_leave_changes_nothing_of_what_serves_but_the_number_of_its_pods() {
    for secrets in OTHER_SECRETS {
        let mut world = with_replica();
        let first = world.observed.cluster.spec.clone();
        let before = serving(&world);
        want(&mut world, |spec| {
            secrets(spec);
            spec["rollout"]["approval"] = json!("Required");
        });
        for _ in 0..4 {
            assert!(world.pass().stage.is_before_start());
            assert_eq!(serving(&world), before);
            world.jobs_go();
        }
        assert_eq!(world.observed.cluster.status.as_ref().unwrap().stage, Some(Stage::AwaitingApproval));
        assert_eq!(pods(&world), 7);
        world.observed.cluster.spec = first;
        for _ in 0..4 {
            world.pass();
            assert_eq!(serving(&world), before, "the spec was put back");
        }
    }
}

/// Ways to wait, and to be given up, for a release with other Secrets than the one that serves.
const HOLDS: [fn(&mut World); 3] = [
    |world| {
        want(world, |spec| {
            OTHER_SECRETS[2](spec);
            spec["rollout"]["approval"] = json!("Required");
        });
        world.run_until(|plan| plan.stage == Stage::AwaitingApproval);
    },
    |world| {
        world.observed.cluster.annotations_mut().insert(PAUSED.into(), "true".into());
        want(world, OTHER_SECRETS[2]);
        world.run_until(|plan| plan.waiting_on.is_some());
    },
    |world| {
        want(world, OTHER_SECRETS[2]);
        world.run_until(|plan| plan.stage == Stage::Monitoring);
        world.observed.cluster.annotations_mut().insert(ABANDONED.into(), "0.2.0".into());
        world.run_until(|plan| plan.stage == Stage::RolledBack && plan.steps.is_empty());
    },
];

#[test]
fn a_rotated_secret_reaches_who_serves_whatever_other_one_the_spec_names_by_then() {
    for hold in HOLDS {
        let mut world = with_replica();
        let before = serving(&world);
        hold(&mut world);
        world.pass();
        assert_eq!(serving(&world), before);
        world.secrets = Some(|name| fixtures::present(if name.starts_with("other-") { "rotated" } else { name }));
        world.pass();
        assert_eq!(serving(&world), before, "they are those of the other release");
        world.secrets = Some(|name| fixtures::present(if name == "replica" { "rotated" } else { name }));
        world.pass();
        assert_eq!(changed(&world, &before), ["payments-gateway-0-1-0"], "only gateways read from the replica");
        world.secrets = Some(|name| fixtures::present(if name == "payments-redis" { "rotated" } else { name }));
        world.pass();
        assert_eq!(changed(&world, &before).len(), 4);
        let rotated = serving(&world);
        world.pass();
        assert_eq!(serving(&world), rotated);
    }
}

#[test]
fn who_serves_is_left_alone_while_the_secret_that_its_pods_need_is_gone() {
    for hold in HOLDS {
        let mut world = with_replica();
        let before = serving(&world);
        hold(&mut world);
        world.secrets = Some(|name| match name {
            "payments-redis" => SecretState::Missing,
            name => fixtures::present(name),
        });
        for _ in 0..3 {
            world.pass();
            assert_eq!(serving(&world), before, "no pod would start");
        }
        let told = world.condition("SecretsAvailable");
        assert_eq!((told.status.as_str(), told.reason.as_str()), ("False", "SecretMissing"));
        assert!(told.message.contains("\"payments-redis\""), "{}", told.message);
        world.secrets = Some(|name| fixtures::present(if name == "payments-redis" { "made anew" } else { name }));
        world.pass();
        assert_eq!(changed(&world, &before).len(), 4);
    }
}

#[test]
fn a_release_that_goes_back_takes_its_configuration_with_it() {
    let mut world = with_replica();
    let before = serving(&world);
    want(&mut world, OTHER_SECRETS[2]);
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
fn a_release_that_takes_its_place_back_does_not_roll_for_the_secrets_of_the_other_one() {
    for secrets in OTHER_SECRETS {
        let mut world = with_replica();
        let before = serving(&world);
        want(&mut world, secrets);
        world.run_until(|plan| plan.stage == Stage::Finished);
        assert_eq!(world.release().kept.unwrap().version, "0.1.0");
        world.observed.cluster.annotations_mut().insert(ABANDONED.into(), "0.2.0".into());
        for _ in 0..10 {
            world.pass();
            assert_eq!(serving(&world), before);
            world.pods_start();
            world.jobs_go();
        }
        assert_eq!((world.plan().stage, world.release().current.as_deref()), (Stage::RolledBack, Some("0.1.0")));
    }
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
