//! Actions of Argo CD are the decisions of `kubectl purser`: offered at the same time, with the same annotations, to the same effect.

use std::collections::{BTreeMap, BTreeSet};

use crds::annotations::{self, PAUSED, RETRY};
use crds::payment_cluster::WhyAbandoned;
use crds::{PaymentCluster, Stage};
use kube::ResourceExt;
use runtime_contract::MigrationPlan;
use serde_json::{Value, json};

use super::argo;
use super::files::{expect, of_kind, text, yaml};
use super::scenes::{self, annotate, awaiting, passes, shown, slow, until_stage, wanted};
use crate::cluster::fixtures::World;
use crate::cluster::plan_maintenance;
use crate::cluster::step::WaitingOn;
use crate::plugin;

const KIND: &str = "PaymentCluster";

fn discover(cluster: &Value) -> BTreeMap<String, bool> {
    let offered = argo::discover(&text(&of_kind(KIND, "actions/discovery.lua")), cluster);
    offered
        .into_iter()
        .map(|action| (action["name"].as_str().unwrap().to_owned(), action["disabled"] == false))
        .collect()
}

fn act(name: &str, cluster: &Value) -> Result<Value, String> {
    argo::act(&text(&of_kind(KIND, &format!("actions/{name}/action.lua"))), cluster, &json!({}))
}

/// What `kubectl purser` would make of it; none when it makes no sense now.
fn by_plugin(name: &str, cluster: &Value) -> Option<Value> {
    let typed: PaymentCluster = serde_json::from_value(cluster.clone()).unwrap();
    let fresh = format!("argocd-{}", typed.resource_version().unwrap());
    let mut made = cluster.clone();
    for (key, value) in plugin::would_annotate(name, &fresh, &typed)? {
        match value {
            Some(value) => made["metadata"]["annotations"][key] = value.into(),
            None => drop(made["metadata"]["annotations"].as_object_mut().unwrap().remove(key)),
        }
    }
    Some(made)
}

fn compare(cluster: &Value) {
    for (name, is_offered) in discover(cluster) {
        let expected = by_plugin(&name, cluster);
        let stage = &cluster["status"]["stage"];
        assert_eq!(is_offered, expected.is_some(), "{name} in {stage}: {cluster:#}");
        if let Some(expected) = expected {
            assert_eq!(act(&name, cluster).unwrap(), expected, "{name} in {stage}");
        }
    }
}

/// Runs an action, and has the operator see what it made.
fn run(name: &str, world: &mut World) {
    let before = shown(&world.observed.cluster);
    assert!(discover(&before)[name], "{name} is not offered: {before:#}");
    let after = act(name, &before).unwrap();
    let unannotated = |resource: &Value| {
        let mut resource = resource.clone();
        resource["metadata"].as_object_mut().unwrap().remove("annotations");
        resource
    };
    assert_eq!(unannotated(&after), unannotated(&before), "nothing but annotations changes");
    let after: PaymentCluster = serde_json::from_value(after).unwrap();
    world.observed.cluster.metadata.annotations = after.metadata.annotations;
}

fn why(world: &World) -> WhyAbandoned {
    world.release().abandoned.unwrap().why
}

#[test]
fn at_every_step_of_every_way_the_same_is_offered_as_by_the_command_line() {
    let ways: [fn(&mut World); 4] = [
        |_| {},
        |world| world.figures = slow,
        |world| annotate(world, annotations::ABANDONED, "0.2.0"),
        |world| annotate(world, PAUSED, "true"),
    ];
    let mut seen = BTreeSet::new();
    let mut compare_for = |world: &mut World, count: usize| {
        let mut left = count;
        passes(world, |world, plan| {
            compare(&shown(&world.observed.cluster));
            seen.insert(plan.stage);
            left = left.saturating_sub(1);
            left == 0
        });
    };
    for way in ways {
        for at in [1, 5, 14, 25] {
            let mut world = awaiting();
            run("approve", &mut world);
            compare_for(&mut world, at);
            way(&mut world);
            compare_for(&mut world, 25);
        }
    }
    for scene in scenes::of_clusters() {
        compare(&scene.resource);
    }
    compare_for(&mut offline(), 60);
    for stage in [Stage::Deploying, Stage::Shifting, Stage::Monitoring, Stage::Finished, Stage::RollingBack] {
        assert!(seen.contains(&stage), "{stage:?} was not seen: {seen:?}");
    }
}

/// With a migration that writes are refused for.
fn offline() -> World {
    let mut world = wanted(|spec| spec["backup"] = json!({ "volumeClaim": { "name": "backups" } }));
    world.planned = MigrationPlan { from: 3, to: 4, pending: 1, offline: 1 };
    world
}

#[test]
fn nobody_gives_up_what_changed_the_schema_offline_and_has_the_traffic() {
    let mut world = offline();
    until_stage(&mut world, Stage::Monitoring);
    passes(&mut world, |world, _| plan_maintenance::is_past_return(&world.release()));
    let shown = shown(&world.observed.cluster);
    assert!(!discover(&shown)["abort"]);
    assert!(act("abort", &shown).unwrap_err().contains("no way back"));
}

#[test]
fn what_is_approved_goes_on_and_what_is_rejected_ends_until_it_is_tried_again() {
    let mut world = awaiting();
    run("approve", &mut world);
    until_stage(&mut world, Stage::Finished);
    assert_eq!(world.release().current.as_deref(), Some("0.2.0"));
    assert_eq!(world.release().approval.unwrap().version, "0.2.0");

    let mut world = awaiting();
    run("reject", &mut world);
    until_stage(&mut world, Stage::RolledBack);
    assert_eq!(why(&world), WhyAbandoned::Rejected);
    run("retry", &mut world);
    assert!(world.observed.cluster.annotations().contains_key(RETRY));
    until_stage(&mut world, Stage::AwaitingApproval);
}

#[test]
fn a_release_is_given_up_on_its_way_and_taken_back_after_it() {
    let mut world = wanted(|_| {});
    until_stage(&mut world, Stage::Shifting);
    run("abort", &mut world);
    until_stage(&mut world, Stage::RolledBack);
    assert_eq!((why(&world), world.release().current.as_deref()), (WhyAbandoned::Aborted, Some("0.1.0")));

    let mut world = wanted(|_| {});
    until_stage(&mut world, Stage::Finished);
    run("rollback", &mut world);
    until_stage(&mut world, Stage::RolledBack);
    assert_eq!((why(&world), world.release().current.as_deref()), (WhyAbandoned::Aborted, Some("0.1.0")));
}

#[test]
fn a_release_that_is_held_goes_on_when_it_is_let_go() {
    let mut world = wanted(|_| {});
    until_stage(&mut world, Stage::Monitoring);
    run("pause", &mut world);
    let mut held = 0;
    passes(&mut world, |_, plan| {
        assert_eq!((plan.stage, &plan.waiting_on), (Stage::Monitoring, &Some(WaitingOn::Paused)));
        held += 1;
        held == 40
    });
    run("resume", &mut world);
    assert_eq!(world.observed.cluster.annotations().len(), 0);
    until_stage(&mut world, Stage::Finished);
}

#[test]
fn what_came_in_the_meantime_is_not_approved_by_mistake() {
    let cluster = shown(&awaiting().observed.cluster);
    for name in ["approve", "reject"] {
        let script = text(&of_kind(KIND, &format!("actions/{name}/action.lua")));
        let refusal = argo::act(&script, &cluster, &json!({ "version": "0.1.9" })).unwrap_err();
        assert_eq!(refusal, "release 0.2.0 waits for approval, not 0.1.9");
        assert!(argo::act(&script, &cluster, &json!({ "version": "0.2.0" })).is_ok());
    }
    let at_rest = shown(&World::finished().observed.cluster);
    for name in ["approve", "reject", "abort", "rollback"] {
        assert!(act(name, &at_rest).is_err(), "{name}");
    }
}

#[test]
fn the_test_data_of_the_actions_is_fresh_and_their_test_is_right() {
    let scenes = scenes::of_clusters();
    let scene = |name: &str| &scenes.iter().find(|scene| scene.name == name).unwrap().resource;
    let cases = [
        ("approve", "awaiting_approval"),
        ("reject", "awaiting_approval"),
        ("abort", "shifting"),
        ("rollback", "upgraded"),
        ("retry", "rejected"),
        ("pause", "monitoring"),
        ("resume", "paused"),
    ];
    let path = |name: &str| of_kind(KIND, &format!("actions/{name}"));
    let mut tests: Vec<Value> = Vec::new();
    for (action, before) in cases {
        let (input, output) = (format!("testdata/{before}.yaml"), format!("testdata/{before}_{action}.yaml"));
        expect(&path(&input), "", scene(before));
        expect(&path(&output), "", &by_plugin(action, scene(before)).unwrap());
        tests.push(json!({ "action": action, "inputPath": input, "expectedOutputPath": output }));
    }
    let other = "release 0.2.0 waits for approval, not 0.1.9";
    for action in ["approve", "reject"] {
        let input = "testdata/awaiting_approval.yaml";
        let parameters = json!({ "version": "0.1.9" });
        tests.push(
            json!({ "action": action, "inputPath": input, "expectedErrorMessage": other, "parameters": parameters }),
        );
    }
    let discovery = text(&path("discovery.lua"));
    let mut inputs: Vec<_> = cases.iter().map(|(_, before)| *before).collect();
    inputs.sort_unstable();
    inputs.dedup();
    let discoveries: Vec<Value> = inputs
        .iter()
        .map(|name| {
            let mut result = argo::discover(&discovery, scene(name));
            result.sort_by_key(|action| action["name"].to_string());
            json!({ "inputPath": format!("testdata/{name}.yaml"), "result": result })
        })
        .collect();
    expect(&path("action_test.yaml"), "", &json!({ "discoveryTests": discoveries, "actionTests": tests }));

    // As Argo CD's own test reads it.
    let read: Value = yaml(&path("action_test.yaml"));
    let input = |test: &Value| yaml::<Value>(&path(test["inputPath"].as_str().unwrap()));
    for test in read["discoveryTests"].as_array().unwrap() {
        let expected = test["result"].as_array().unwrap();
        assert!(argo::discover(&discovery, &input(test)).iter().all(|action| expected.contains(action)), "{test}");
    }
    for test in read["actionTests"].as_array().unwrap() {
        let script = text(&path(&format!("{}/action.lua", test["action"].as_str().unwrap())));
        let parameters = test.get("parameters").cloned().unwrap_or_else(|| json!({}));
        let expected = match test["expectedErrorMessage"].as_str() {
            Some(words) => Err(words.to_owned()),
            None => Ok(yaml(&path(test["expectedOutputPath"].as_str().unwrap()))),
        };
        assert_eq!(argo::act(&script, &input(test), &parameters), expected, "{test}");
    }
}
