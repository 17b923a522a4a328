//! Waiting for a PaymentCluster, and saying meanwhile what it waits for.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde_json::Value;

use super::Kubectl;

/// Waits until the PaymentCluster is Ready, printing each new state once.
pub async fn until_ready(kubectl: &Kubectl, namespace: &str, name: &str, limit: Duration) -> Result<()> {
    let started = Instant::now();
    let mut told = String::new();
    loop {
        let resource = kubectl.get(&["-n", namespace, "paymentcluster", name]).await?;
        let state = resource.as_ref().map_or_else(|| "not there yet".to_owned(), describe);
        if state != told {
            println!("    {:>5.1} s  {state}", started.elapsed().as_secs_f32());
            told = state;
        }
        if resource.as_ref().is_some_and(is_ready) {
            return Ok(());
        }
        if started.elapsed() > limit {
            bail!(
                "PaymentCluster {namespace}/{name} is not Ready after {} s: {told}\n\
                 `kubectl -n {namespace} describe paymentcluster {name}` explains each condition.",
                limit.as_secs()
            );
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// Whether Ready is True and speaks of the newest spec, and nothing is on its way any more.
#[must_use]
pub fn is_ready(resource: &Value) -> bool {
    let settled = condition(resource, "Reconciling").is_some_and(|reconciling| reconciling["status"] == "False");
    settled && has_taken_up(resource)
}

fn has_taken_up(resource: &Value) -> bool {
    condition(resource, "Ready").is_some_and(|ready| {
        ready["status"] == "True" && ready["observedGeneration"] == resource["metadata"]["generation"]
    })
}

/// One condition of a resource.
#[must_use]
pub fn condition<'a>(resource: &'a Value, kind: &str) -> Option<&'a Value> {
    resource["status"]["conditions"].as_array()?.iter().find(|condition| condition["type"] == kind)
}

fn describe(resource: &Value) -> String {
    let stage = resource["status"]["stage"].as_str().unwrap_or("seen");
    match condition(resource, "Ready").and_then(|ready| ready["message"].as_str()) {
        Some(message) if !message.is_empty() => format!("{stage}: {message}"),
        _ => stage.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_ready_condition_of_an_older_generation_is_not_ready() {
        let mut resource = json!({
            "metadata": {"generation": 2},
            "status": {"conditions": [
                {"type": "Ready", "status": "True", "observedGeneration": 1},
                {"type": "Reconciling", "status": "False", "observedGeneration": 1},
            ]},
        });
        assert!(!is_ready(&resource));
        resource["status"]["conditions"][0]["observedGeneration"] = json!(2);
        assert!(is_ready(&resource));
    }
}
