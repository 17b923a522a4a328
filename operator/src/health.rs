//! Asks running pods how they are: what a pod cannot reach shows here before it shows anywhere else.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::future::join_all;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use runtime_contract::{Health, labels, paths, ports};

use crate::workloads::pod::ROLE;

/// A pod that does not answer in this time has nothing to say.
const TIMEOUT: Duration = Duration::from_secs(1);
/// Pods asked in one pass at most: an outage of a hundred pods is told by a few of them as well.
const PODS_MAX: usize = 8;
/// A health document is a few hundred bytes.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// Asks one ready pod of each role and those that are not ready, all at once. No answer is no entry.
pub async fn ask(http: &reqwest::Client, pods: &[Pod]) -> BTreeMap<String, Health> {
    let asked = worth_asking(pods).into_iter().map(|(name, address)| async move {
        let health = ask_one(http, &address).await?;
        Some((name, health))
    });
    join_all(asked).await.into_iter().flatten().collect()
}

async fn ask_one(http: &reqwest::Client, address: &str) -> Option<Health> {
    let host = if address.contains(':') { format!("[{address}]") } else { address.to_owned() };
    let url = format!("http://{host}:{}{}", ports::ADMIN, paths::admin::READY);
    let answer = http.get(url).timeout(TIMEOUT).send().await.ok()?;
    if answer.content_length().is_some_and(|length| length > BODY_BYTES_MAX as u64) {
        return None;
    }
    answer.json().await.ok()
}

/// Name and address of the pods to ask.
fn worth_asking(pods: &[Pod]) -> Vec<(String, String)> {
    let mut roles_asked = BTreeSet::new();
    let mut running: Vec<_> = pods.iter().filter(|pod| is_running(pod)).collect();
    running.sort_by_key(|pod| (is_ready(pod), pod.name_any()));
    running
        .into_iter()
        .filter(|pod| !is_ready(pod) || roles_asked.insert(pod.labels().get(labels::COMPONENT).cloned()))
        .filter_map(|pod| Some((pod.name_any(), pod.status.as_ref()?.pod_ip.clone()?)))
        .take(PODS_MAX)
        .collect()
}

fn is_running(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    pod.labels().contains_key(ROLE) && pod.metadata.deletion_timestamp.is_none() && phase == Some("Running")
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.into_iter().flatten().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(name: &str, role: &str, ready: bool) -> Pod {
        serde_json::from_value(json!({
            "metadata": { "name": name, "labels": { labels::COMPONENT: role, ROLE: "true" } },
            "status": {
                "phase": "Running",
                "podIP": "10.0.0.1",
                "conditions": [{ "type": "Ready", "status": if ready { "True" } else { "False" } }],
            },
        }))
        .unwrap()
    }

    #[test]
    fn one_ready_pod_of_each_role_is_asked_and_every_one_that_is_not_ready() {
        let pods = [
            pod("g1", "gateway", true),
            pod("g2", "gateway", true),
            pod("f1", "fraud", true),
            pod("p1", "processor", false),
            pod("p2", "processor", false),
        ];
        let asked: Vec<_> = worth_asking(&pods).into_iter().map(|(name, _)| name).collect();
        assert_eq!(asked, ["p1", "p2", "f1", "g1"]);
    }

    #[test]
    fn an_outage_is_told_by_a_few_pods() {
        let pods: Vec<_> = (0..100).map(|number| pod(&format!("g{number}"), "gateway", false)).collect();
        assert_eq!(worth_asking(&pods).len(), PODS_MAX);
    }
}
