//! With which image the database goes back, whatever the spec asks for by then.

use serde_json::{Value, json};

use super::prepare_tests::{run_to, run_to_running, wanted};
use super::*;
use crate::cluster::fixtures::World;

const RESTORE: &str = "payments-restore-0-2-0-1";

/// Another version in the place of the one that has writes refused, of another image.
fn supersede(world: &mut World, version: &str, repository: &str) {
    world.observed.cluster.spec.version = version.into();
    world.observed.cluster.spec.image = serde_json::from_value(json!({ "repository": repository })).unwrap();
}

/// The pod of the restore: its image, when that is pulled, and with what.
fn pulled(world: &mut World) -> [Value; 3] {
    let pod = &world.live_mut(Kind::Job, RESTORE).body["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    [container["image"].clone(), container["imagePullPolicy"].clone(), pod["imagePullSecrets"].clone()]
}

#[test]
fn a_release_that_is_superseded_is_restored_once_with_the_image_that_made_its_restore_point() {
    let mut world = wanted(1);
    let image =
        json!({ "repository": "first:5000/purser", "pullPolicy": "Always", "pullSecrets": [{ "name": "first" }] });
    world.observed.cluster.spec.image = serde_json::from_value(image).unwrap();
    run_to_running(&mut world, "payments-migrate-0-2-0-1");
    supersede(&mut world, "0.3.0", "second/purser");
    run_to_running(&mut world, RESTORE);
    assert_eq!(pulled(&mut world), [json!("first:5000/purser:0.2.0"), json!("Always"), json!([{ "name": "first" }])]);
    supersede(&mut world, "0.4.0", "third/purser");
    run_to(&mut world, Stage::Validating);
    assert!(!world.names(Kind::Job).contains(&"payments-restore-0-2-0-2"));
    assert_eq!(world.release().target.as_deref(), Some("0.4.0"));
}

#[test]
fn without_the_job_that_made_the_restore_point_the_image_is_from_where_the_one_that_serves_is() {
    let mut world = wanted(1);
    run_to_running(&mut world, "payments-migrate-0-2-0-1");
    world.observed.live.retain(|live| !live.name.contains("-point-"));
    supersede(&mut world, "0.3.0", "second/purser");
    run_to_running(&mut world, RESTORE);
    assert_eq!(pulled(&mut world), [json!("purser:0.2.0"), json!("IfNotPresent"), Value::Null]);
}
