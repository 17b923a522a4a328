//! What Flux sees: by the rules of kstatus, and by the expressions of the example.

use cel::{Context, Program};
use serde_json::Value;

use super::files::{documents, example};
use super::scenes::{self, Scene};

/// The generic rules of kstatus for custom resources, as its documentation has them.
fn kstatus(resource: &Value) -> &'static str {
    let status = &resource["status"];
    let observed = &status["observedGeneration"];
    if !observed.is_null() && *observed != resource["metadata"]["generation"] {
        return "InProgress";
    }
    let conditions = status["conditions"].as_array().cloned().unwrap_or_default();
    let is = |name: &str| {
        let found = conditions.iter().find(|condition| condition["type"] == name);
        found.map(|condition| condition["status"] == "True")
    };
    match (is("Reconciling"), is("Stalled"), is("Ready")) {
        (Some(true), ..) => "InProgress",
        (_, Some(true), _) => "Failed",
        (.., Some(false)) => "InProgress",
        (.., Some(true) | None) => "Current",
    }
}

/// The expressions in the order in which Flux asks them.
fn by_expressions(expressions: &Value, resource: &Value) -> &'static str {
    if resource["status"]["observedGeneration"] != resource["metadata"]["generation"] {
        return "InProgress";
    }
    let mut context = Context::default();
    for (field, value) in resource.as_object().unwrap() {
        context.add_variable(field.as_str(), value.clone()).unwrap();
    }
    for (field, status) in [("inProgress", "InProgress"), ("failed", "Failed"), ("current", "Current")] {
        let program = Program::compile(expressions[field].as_str().unwrap()).unwrap();
        match program.execute(&context).unwrap() {
            cel::Value::Bool(true) => return status,
            cel::Value::Bool(false) => {}
            other => panic!("{field} is {other:?}"),
        }
    }
    "InProgress"
}

#[test]
fn a_platform_is_current_when_it_serves_what_git_asks_for_and_failed_when_a_person_is_needed() {
    for Scene { name, resource, kstatus: expected, .. } in
        scenes::of_clusters().into_iter().chain(scenes::of_providers())
    {
        assert_eq!(kstatus(&resource), expected, "{name}: {resource:#}");
    }
}

#[test]
fn the_expressions_of_the_example_say_what_kstatus_cannot() {
    let all = documents(&example("flux/platform.yaml"));
    let expressions = &all[0]["spec"]["healthCheckExprs"][0];
    assert_eq!(
        (&expressions["apiVersion"], &expressions["kind"]),
        (&"purser.dev/v1alpha1".into(), &"PaymentCluster".into())
    );
    for Scene { name, resource, by_expressions: expected, .. } in scenes::of_clusters() {
        assert_eq!(by_expressions(expressions, &resource), expected, "{name}: {resource:#}");
    }
}

#[test]
fn no_status_ever_counts_as_reconciling_and_stalled_at_once() {
    for Scene { name, resource, .. } in scenes::of_clusters().into_iter().chain(scenes::of_providers()) {
        let conditions = resource["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let is = |name: &str| conditions.iter().any(|found| found["type"] == name && found["status"] == "True");
        assert!(!(is("Reconciling") && is("Stalled")), "{name}");
    }
}
