//! A PaymentCluster on which the plugin's tests look: 1.3.0 serves, and 1.4.0 is wanted.

use crds::PaymentCluster;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use runtime_contract::labels;
use serde_json::{Value, json};

use super::subject::Look;
use crate::cluster::fixtures;

/// When the tests look.
pub(super) fn now() -> Timestamp {
    "2026-11-24T12:10:00Z".parse().unwrap()
}

/// As it is in the stage Deploying of a canary, changed by `change`, which is given the whole resource.
pub(super) fn cluster(change: impl FnOnce(&mut Value)) -> PaymentCluster {
    let cluster = fixtures::cluster(|spec| {
        spec["version"] = json!("1.4.0");
        spec["rollout"] = json!({ "strategy": "Canary" });
    });
    let mut whole = serde_json::to_value(cluster).unwrap();
    whole["status"] = json!({
        "observedGeneration": 1, "stage": "Deploying",
        "release": {
            "current": "1.3.0", "target": "1.4.0", "migrated": "1.4.0", "schemaVersion": 12,
            "startedAt": "2026-11-24T12:05:00Z", "stageSince": "2026-11-24T12:09:00Z",
            "history": [
                {
                    "version": "1.3.0", "from": "1.2.0", "result": "Succeeded", "message": "it serves",
                    "startedAt": "2026-11-24T11:55:00Z", "endedAt": "2026-11-24T12:00:00Z",
                    "figures": { "payments": 1200, "tps": "20.0", "p99Ms": "180.5", "successRate": "99.1" },
                },
                {
                    "version": "1.2.9", "endedAt": "2026-11-21T12:00:00Z", "result": "RolledBack",
                    "message": "the p99 latency was 900 ms",
                },
            ],
        },
        "conditions": [condition("Ready", "True", "Serving", "release 1.3.0 takes payments")],
    });
    change(&mut whole);
    serde_json::from_value(whole).unwrap()
}

/// In another stage.
pub(super) fn at(stage: &str, change: impl FnOnce(&mut Value)) -> PaymentCluster {
    cluster(|whole| {
        whole["status"]["stage"] = json!(stage);
        change(whole);
    })
}

/// 1.4.0 waits for approval.
pub(super) fn awaiting() -> PaymentCluster {
    at("AwaitingApproval", |whole| {
        whole["spec"]["rollout"]["approval"] = json!("Required");
        whole["status"]["waitingOn"] = json!("release 1.4.0 waits for approval");
    })
}

/// 1.4.0 serves, and 1.3.0 is kept.
pub(super) fn finished() -> PaymentCluster {
    at("Finished", |whole| {
        whole["status"]["release"]["current"] = json!("1.4.0");
        whole["status"]["release"]["kept"] = json!({ "version": "1.3.0", "until": "2026-11-24T12:19:00Z" });
    })
}

/// 1.4.0 was given up.
pub(super) fn rolled_back(why: &str) -> PaymentCluster {
    at("RolledBack", |whole| {
        whole["status"]["release"]["abandoned"] = json!({
            "version": "1.4.0", "why": why, "message": "p99 was 900 ms, and 200 ms are allowed",
            "at": "2026-11-24T12:09:00Z",
        });
    })
}

pub(super) fn condition(name: &str, status: &str, reason: &str, message: &str) -> Value {
    json!({
        "type": name, "status": status, "reason": reason, "message": message,
        "lastTransitionTime": "2026-11-24T12:00:00Z",
    })
}

/// With nothing that runs.
pub(super) fn look(cluster: PaymentCluster) -> Look {
    Look { cluster, pods: Vec::new(), deployments: Vec::new(), unseen: None, stale: None, flags: String::new() }
}

pub(super) fn pod(role: &str, release: &str, ready: bool, restarts: i32) -> Pod {
    let status = if ready { "True" } else { "False" };
    serde_json::from_value(json!({
        "metadata": { "name": format!("{role}-{release}"), "labels": labels_of(role, release) },
        "spec": { "containers": [{ "name": "purser", "image": format!("purser:{release}") }] },
        "status": {
            "conditions": [{ "type": "Ready", "status": status }],
            "containerStatuses": [{
                "name": "purser", "image": "", "imageID": "", "restartCount": restarts, "ready": ready,
                "state": if ready { json!({}) } else { json!({ "waiting": { "reason": "ImagePullBackOff" } }) },
            }],
        },
    }))
    .unwrap()
}

pub(super) fn deployment(role: &str, release: &str, replicas: i32) -> Deployment {
    serde_json::from_value(json!({
        "metadata": { "name": format!("payments-{role}"), "labels": labels_of(role, release) },
        "spec": { "replicas": replicas, "selector": {}, "template": {} },
    }))
    .unwrap()
}

fn labels_of(role: &str, release: &str) -> Value {
    json!({ labels::COMPONENT: role, labels::RELEASE: release })
}
