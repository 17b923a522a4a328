//! Requests and limits of the containers.

use crds::quantity::{Quantity, Resources};
use runtime_contract::Role;
use serde_json::{Value, json};

use crate::owned::difference::thousandths;

/// What a container gets when nothing is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Defaults {
    cpu_request: &'static str,
    memory_request: &'static str,
    memory_limit: &'static str,
}

/// A Job: one short command.
pub const JOB: Defaults = Defaults { cpu_request: "20m", memory_request: "32Mi", memory_limit: "128Mi" };

/// A Job that takes a whole database through its hands.
pub const COPY: Defaults = Defaults { cpu_request: "50m", memory_request: "64Mi", memory_limit: "512Mi" };

/// The defaults of a role.
#[must_use]
pub const fn defaults(role: Role) -> Defaults {
    match role {
        // A gateway with nearly all the requests in work that it takes was seen at 215 MB (docs/performance.md).
        Role::Gateway | Role::Processor => {
            Defaults { cpu_request: "50m", memory_request: "48Mi", memory_limit: "256Mi" }
        }
        Role::Fraud | Role::Metrics => Defaults { cpu_request: "50m", memory_request: "32Mi", memory_limit: "128Mi" },
    }
}

/// The `resources` of a container. There is no CPU limit unless one is asked for: throttling stops a process for
/// tens of milliseconds at a time, and a fraud check has fifty.
#[must_use]
pub fn of_container(asked: &Resources, defaults: Defaults) -> Value {
    let text = |quantity: &Option<Quantity>| quantity.as_ref().map(|quantity| quantity.0.clone());
    let (cpu_limit, memory_limit) = (text(&asked.limits.cpu), text(&asked.limits.memory));
    let (cpu_request, memory_request) = (text(&asked.requests.cpu), text(&asked.requests.memory));
    // A request above its limit is refused by Kubernetes: where only one of them is asked for, the other gives way.
    let cpu = cpu_request.unwrap_or_else(|| lesser(defaults.cpu_request, cpu_limit.as_deref()));
    let memory = memory_request.clone().unwrap_or_else(|| lesser(defaults.memory_request, memory_limit.as_deref()));
    let memory_limit = memory_limit.unwrap_or_else(|| greater(defaults.memory_limit, memory_request.as_deref()));
    let mut limits = json!({ "memory": memory_limit });
    if let Some(cpu_limit) = cpu_limit {
        limits["cpu"] = cpu_limit.into();
    }
    json!({ "requests": { "cpu": cpu, "memory": memory }, "limits": limits })
}

fn lesser(default: &str, bound: Option<&str>) -> String {
    bound.filter(|bound| thousandths(bound) < thousandths(default)).unwrap_or(default).to_owned()
}

fn greater(default: &str, bound: Option<&str>) -> String {
    bound.filter(|bound| thousandths(bound) > thousandths(default)).unwrap_or(default).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(manifest: Value) -> Resources {
        serde_json::from_value(manifest).unwrap()
    }

    #[test]
    fn what_is_not_asked_for_is_the_default_and_no_request_exceeds_its_limit() {
        let cases = [
            (json!({}), json!({ "requests": { "cpu": "50m", "memory": "48Mi" }, "limits": { "memory": "256Mi" } })),
            (
                json!({ "limits": { "cpu": 1, "memory": "16Mi" } }),
                json!({ "requests": { "cpu": "50m", "memory": "16Mi" }, "limits": { "cpu": "1", "memory": "16Mi" } }),
            ),
            (
                json!({ "limits": { "cpu": "10m" } }),
                json!({ "requests": { "cpu": "10m", "memory": "48Mi" }, "limits": { "cpu": "10m", "memory": "256Mi" } }),
            ),
            (
                json!({ "requests": { "memory": "1Gi" } }),
                json!({ "requests": { "cpu": "50m", "memory": "1Gi" }, "limits": { "memory": "1Gi" } }),
            ),
        ];
        for (manifest, expected) in cases {
            assert_eq!(of_container(&asked(manifest.clone()), defaults(Role::Gateway)), expected, "{manifest}");
        }
    }
}
