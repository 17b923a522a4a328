//! A record in words, and how it comes, stays and goes.

use crds::Stage;
use kube::ResourceExt;

use super::*;
use crate::cluster::fixtures::{self, World};

fn data(world: &World, name: &str) -> (Value, String) {
    let live = world.observed.find(Kind::ConfigMap, name).unwrap();
    let text = |key: &str| live.body["data"][key].as_str().unwrap().to_owned();
    (serde_json::from_str(&text("release.json")).unwrap(), text("release.md"))
}

fn records(world: &World) -> Vec<&str> {
    world.names(Kind::ConfigMap).into_iter().filter(|name| name.contains("-release-")).collect()
}

/// Wants another version, and lets it come to its end.
fn release(world: &mut World, version: &str) {
    world.observed.cluster.spec.version = version.into();
    world.run_until(|plan| plan.stage == Stage::Validating);
    world.run_until(fixtures::is_over);
}

fn a_record() -> ReleaseRecord {
    serde_json::from_value(json!({
        "version": "0.2.0", "from": "0.1.0", "startedAt": "2026-01-01T10:00:00Z", "endedAt": "2026-01-01T10:03:05Z",
        "result": "Succeeded", "message": "release 0.2.0 has taken over from 0.1.0", "image": "purser:0.2.0",
        "schemaBefore": 3, "schemaAfter": 4,
        "approval": { "version": "0.2.0", "by": "kubectl|<b>", "at": "2026-01-01T10:01:00Z" },
        "figures": { "payments": 500, "tps": "50.0", "p95Ms": "42.0", "successRate": "99.10" },
    }))
    .unwrap()
}

#[test]
fn a_record_is_written_for_people_and_for_programs() {
    let identity = fixtures::observed(|_| {}).identity;
    let earlier =
        ReleaseRecord { message: "it was *slow*".into(), ended_at: "2026-01-01T09:00:00Z".into(), ..a_record() };
    let desired = of(&identity, &a_record(), &[&earlier]);
    assert_eq!(desired.name, "payments-release-0-2-0");
    let expected = "\
# Release 0.2.0 of shop/payments

release 0.2.0 has taken over from 0.1.0.

| What |  |
| --- | --- |
| Result | Succeeded |
| From | 0.1.0 |
| To | 0.2.0 |
| Image | purser:0.2.0 |
| Schema | version 3 before, 4 after |
| Approval | by kubectl\\|\\<b\\> at 2026-01-01T10:01:00Z |
| Began | 2026-01-01T10:00:00Z |
| Ended | 2026-01-01T10:03:05Z |
| Took | 3 min 5 s |

## Figures of its last window

| Figure | Value |
| --- | --- |
| Payments | 500 |
| Payments a second | 50.0 |
| Success rate | 99.10 % |
| p95 | 42.0 ms |

## Earlier tries

- 2026-01-01T09:00:00Z: Succeeded (it was \\*slow\\*)
";
    assert_eq!(desired.body["data"]["release.md"], expected);
    let document: Value = serde_json::from_str(desired.body["data"]["release.json"].as_str().unwrap()).unwrap();
    assert_eq!((&document["namespace"], &document["schemaAfter"]), (&json!("shop"), &json!(4)));
    assert_eq!(document["earlier"][0]["message"], "it was *slow*");
}

#[test]
fn every_release_that_ended_has_its_record_which_names_its_schema_and_image() {
    let mut world = World::finished();
    (world.planned.from, world.planned.to, world.planned.pending) = (3, 4, 1);
    release(&mut world, "0.2.0");
    assert_eq!(records(&world), ["payments-release-0-1-0", "payments-release-0-2-0"]);
    let (document, text) = data(&world, "payments-release-0-2-0");
    assert_eq!((&document["schemaBefore"], &document["schemaAfter"]), (&json!(3), &json!(4)));
    assert_eq!(document["image"], "purser:0.2.0");
    assert!(text.contains("| From | 0.1.0 |") && text.contains("| Schema | version 3 before, 4 after |"), "{text}");
    assert!(text.contains("| Migrations | from: 3, offline: 0, pending: 1, to: 4 |"), "{text}");
    world.retire();
    assert_eq!(records(&world).len(), 2, "a record outlives the objects of its release");
    let writes = world.writes;
    world.pass();
    assert_eq!(world.writes, writes);
}

#[test]
fn a_record_that_is_deleted_or_changed_comes_back_as_long_as_it_is_remembered() {
    let mut world = World::finished();
    let name = "payments-release-0-1-0";
    let before = data(&world, name);
    world.observed.live.retain(|live| live.name != name);
    world.pass();
    assert_eq!(data(&world, name), before);
    world.live_mut(Kind::ConfigMap, name).body["data"]["release.md"] = json!("it never happened");
    world.pass();
    assert_eq!(data(&world, name), before);
    for number in 2..=12 {
        release(&mut world, &format!("0.{number}.0"));
    }
    assert_eq!(records(&world).len(), ReleaseStatus::HISTORY_MAX);
    assert!(world.observed.find(Kind::ConfigMap, name).is_none(), "it goes with the history");
}

#[test]
fn an_operator_that_dies_anywhere_leaves_the_record_to_the_next_one() {
    for writes in 0..40 {
        let mut world = World::new(fixtures::observed(|_| {}));
        world.crash_after(writes);
        world.run_until(fixtures::is_over);
        let (document, _) = data(&world, "payments-release-0-1-0");
        assert_eq!(document["endedAt"], world.release().history[0].ended_at, "after {writes} writes");
    }
}

#[test]
fn a_version_that_was_tried_twice_has_one_record_with_both_tries() {
    let mut world = World::finished();
    world.observed.cluster.spec.rollout.approval = crds::payment_cluster::Approval::Required;
    world.observed.cluster.spec.version = "0.2.0".into();
    world.run_until(|plan| plan.stage == Stage::AwaitingApproval);
    world.observed.cluster.annotations_mut().insert(crds::annotations::REJECTED.into(), "0.2.0".into());
    world.run_until(|plan| plan.stage == Stage::RolledBack);
    // It is recorded once the status tells of it.
    world.pass();
    let (document, _) = data(&world, "payments-release-0-2-0");
    assert_eq!(document["result"], "RolledBack");
    let annotations = world.observed.cluster.annotations_mut();
    annotations.clear();
    annotations.insert(crds::annotations::RETRY.into(), "1".into());
    annotations.insert(crds::annotations::APPROVED.into(), "0.2.0".into());
    world.run_until(fixtures::is_over);
    let (document, text) = data(&world, "payments-release-0-2-0");
    assert_eq!((&document["result"], &document["earlier"][0]["result"]), (&json!("Succeeded"), &json!("RolledBack")));
    assert!(text.contains("## Earlier tries") && text.contains("somebody refused to approve it"), "{text}");
}
