//! What keeps a pod from serving, in words that help. ★ Pure.
//!
//! The sentences hold no counts, times or pod names: the same trouble is the same sentence, and a status that says it
//! is written once.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus, Pod};
use runtime_contract::Health;
use serde_json::Value;

/// What keeps a pod from serving.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// One word.
    pub reason: &'static str,
    /// A sentence.
    pub message: String,
}

/// A pod whose sandbox is not there after this time has more than a slow start.
const START_TAKES: SignedDuration = SignedDuration::from_secs(10);
/// Longest quotation of what a container said, in characters.
const LAST_WORDS_MAX: usize = 400;

/// What keeps this pod from running; `None` when it runs, or may yet.
#[must_use]
pub fn of_pod(pod: &Pod) -> Option<Trouble> {
    let status = pod.status.as_ref()?;
    let unschedulable = status.conditions.iter().flatten().find(|condition| {
        condition.type_ == "PodScheduled"
            && condition.status == "False"
            && condition.reason.as_deref() == Some("Unschedulable")
    });
    if let Some(condition) = unschedulable {
        let message = condition.message.as_deref().unwrap_or("no node has room for it");
        return Some(Trouble { reason: "Unschedulable", message: format!("no node takes a pod: {message}") });
    }
    let container = status.container_statuses.as_ref()?.first()?;
    if container.ready { None } else { of_container(container, pod) }
}

fn of_container(container: &ContainerStatus, pod: &Pod) -> Option<Trouble> {
    let waiting = container.state.as_ref().and_then(|state| state.waiting.as_ref());
    let reason = waiting.and_then(|waiting| waiting.reason.as_deref()).unwrap_or_default();
    match reason {
        "ImagePullBackOff"
        | "ErrImagePull"
        | "ErrImageNeverPull"
        | "InvalidImageName"
        | "RegistryUnavailable"
        | "ImageInspectError" => return Some(image_missing(pod)),
        "CreateContainerConfigError" | "CreateContainerError" | "RunContainerError" => {
            let message = waiting.and_then(|waiting| waiting.message.clone()).unwrap_or_default();
            return Some(Trouble {
                reason: "ContainerNotCreated",
                message: format!("a container cannot be made: {message}"),
            });
        }
        _ => {}
    }
    let now = container.state.as_ref().and_then(|state| state.terminated.as_ref());
    let before = container.last_state.as_ref().and_then(|state| state.terminated.as_ref());
    now.or(before).filter(|terminated| terminated.exit_code != 0).map(|terminated| crashed(terminated, pod))
}

fn image_missing(pod: &Pod) -> Trouble {
    let image = pod.spec.as_ref().and_then(|spec| spec.containers.first()?.image.clone()).unwrap_or_default();
    let message = format!(
        "image \"{image}\" cannot be pulled: is the version published, is spec.image.repository right, and does the registry want a pull secret?"
    );
    Trouble { reason: "ImagePullFailed", message }
}

fn crashed(terminated: &ContainerStateTerminated, pod: &Pod) -> Trouble {
    if terminated.reason.as_deref() == Some("OOMKilled") {
        let limit = memory_limit(pod).unwrap_or_default();
        let message = format!(
            "a container was killed because it needs more memory than its limit of {limit}; raise resources.limits.memory"
        );
        return Trouble { reason: "OutOfMemory", message };
    }
    let words = last_words(terminated.message.as_deref().unwrap_or_default());
    let message = format!("a container ended with exit code {}: {words}", terminated.exit_code);
    Trouble { reason: "Crashing", message }
}

fn memory_limit(pod: &Pod) -> Option<String> {
    let resources = pod.spec.as_ref()?.containers.first()?.resources.as_ref()?;
    Some(resources.limits.as_ref()?.get("memory")?.0.clone())
}

/// What keeps a pod from starting its containers at all, when it has tried for longer than a start takes.
///
/// Only the pod's events have the kubelet's words, and the operator may not read events: it points there.
#[must_use]
pub fn of_start(pod: &Pod, now: Timestamp) -> Option<Trouble> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    let waits = conditions.iter().find(|condition| condition.type_ == "PodReadyToStartContainers")?;
    let since = waits.last_transition_time.as_ref()?.0;
    if waits.status != "False" || now.duration_since(since) < START_TAKES {
        return None;
    }
    let limit = memory_limit(pod).map(|limit| format!(", or resources.limits.memory of {limit} is too little"));
    let message = format!(
        "a pod cannot be started: its network or a volume does not come up{}; `kubectl describe pod` has the kubelet's words",
        limit.unwrap_or_default()
    );
    Some(Trouble { reason: "NotStarted", message })
}

/// What a running pod says of itself, when it does not take work.
#[must_use]
pub fn of_health(health: &Health) -> Option<Trouble> {
    if health.ready {
        return None;
    }
    let failing: Vec<_> = health
        .checks
        .iter()
        .filter(|check| !check.ok && !check.optional)
        .map(|check| format!("{}: {}", check.name, check.message))
        .collect();
    let message = if failing.is_empty() { "a pod is not ready".to_owned() } else { failing.join("; ") };
    Some(Trouble { reason: "NotReady", message })
}

/// The sentence in the last line that a container left: its own message, or that of a JSON log line.
#[must_use]
pub fn last_words(message: &str) -> String {
    let line = message.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing").trim();
    let json: Value = serde_json::from_str(line).unwrap_or_default();
    let text = |pointer: &str| json.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let said = text("/fields/message").or_else(|| text("/message"));
    let sentence = match (said, text("/fields/error").or_else(|| text("/error"))) {
        (Some(message), Some(error)) => format!("{message}: {error}"),
        (Some(words), None) | (None, Some(words)) => words,
        (None, None) => line.to_owned(),
    };
    sentence.chars().take(LAST_WORDS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(status: Value) -> Pod {
        serde_json::from_value(json!({
            "spec": { "containers": [{
                "name": "purser", "image": "purser:9.9.9", "resources": { "limits": { "memory": "16Mi" } },
            }] },
            "status": status,
        }))
        .unwrap()
    }

    fn container(ready: bool, state: Value, last_state: Value) -> Value {
        json!({ "containerStatuses": [{
            "name": "purser", "image": "", "imageID": "", "restartCount": 3, "ready": ready,
            "state": state, "lastState": last_state,
        }] })
    }

    #[test]
    fn every_trouble_that_one_can_bring_about_is_told() {
        let out_of_memory = json!({ "terminated": { "exitCode": 137, "reason": "OOMKilled" } });
        let log_line = r#"{"level":"ERROR","fields":{"message":"cannot start","error":"config: unknown field `x`"}}"#;
        let crash = json!({ "terminated": { "exitCode": 1, "reason": "Error", "message": log_line } });
        let back_off = json!({ "waiting": { "reason": "CrashLoopBackOff" } });
        let unschedulable = json!({ "conditions": [{
            "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes are available",
        }] });
        let cases = [
            (
                container(false, json!({ "waiting": { "reason": "ErrImagePull" } }), json!({})),
                "ImagePullFailed",
                "purser:9.9.9",
            ),
            (container(false, back_off.clone(), out_of_memory), "OutOfMemory", "16Mi"),
            (container(false, back_off, crash), "Crashing", "exit code 1: cannot start: config: unknown field `x`"),
            (unschedulable, "Unschedulable", "0/1 nodes"),
        ];
        for (status, reason, words) in cases {
            let trouble = of_pod(&pod(status)).unwrap();
            assert_eq!(trouble.reason, reason);
            assert!(trouble.message.contains(words), "{}", trouble.message);
        }
    }

    #[test]
    fn a_pod_that_recovered_or_just_starts_is_in_no_trouble() {
        let crash = json!({ "terminated": { "exitCode": 1 } });
        assert_eq!(of_pod(&pod(container(true, json!({ "running": {} }), crash))), None);
        assert_eq!(
            of_pod(&pod(container(false, json!({ "waiting": { "reason": "ContainerCreating" } }), json!({})))),
            None
        );
        assert_eq!(of_pod(&pod(json!({}))), None);
    }

    #[test]
    fn a_pod_whose_sandbox_does_not_come_up_is_in_trouble_after_a_while() {
        let waits = |status: &str| {
            pod(json!({ "conditions": [{
                "type": "PodReadyToStartContainers", "status": status, "lastTransitionTime": "2026-11-23T00:00:00Z",
            }] }))
        };
        let at = |time: &str| time.parse::<Timestamp>().unwrap();
        assert_eq!(of_start(&waits("False"), at("2026-11-23T00:00:05Z")), None);
        assert_eq!(of_start(&waits("True"), at("2026-11-23T01:00:00Z")), None);
        let trouble = of_start(&waits("False"), at("2026-11-23T00:00:11Z")).unwrap();
        assert!(trouble.message.contains("limits.memory of 16Mi"), "{}", trouble.message);
    }

    #[test]
    fn last_words_are_one_sentence() {
        assert_eq!(last_words("a\nb\n\n"), "b");
        assert_eq!(last_words(""), "it said nothing");
        assert_eq!(last_words(r#"{"message":"m"}"#), "m");
        assert_eq!(last_words(&"x".repeat(9_000)).len(), LAST_WORDS_MAX);
    }

    #[test]
    fn an_unready_pod_tells_which_of_its_grounds_is_gone() {
        let health: Health = serde_json::from_value(json!({
            "ready": false, "release": "0.1.0", "settingsRevision": 1,
            "checks": [
                { "name": "database", "ok": false, "optional": false, "message": "connection refused" },
                { "name": "cache", "ok": false, "optional": true, "message": "timed out" },
            ],
        }))
        .unwrap();
        assert_eq!(of_health(&health).unwrap().message, "database: connection refused");
    }
}
