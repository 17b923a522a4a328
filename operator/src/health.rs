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
    let body = get(http, address, ports::ADMIN, paths::admin::READY, TIMEOUT, BODY_BYTES_MAX).await?;
    serde_json::from_slice(&body).ok()
}

/// What a pod answers, whatever its status. No answer in time, or a longer one, is none.
pub(crate) async fn get(
    http: &reqwest::Client,
    address: &str,
    port: u16,
    path: &str,
    timeout: Duration,
    bytes_max: usize,
) -> Option<Vec<u8>> {
    let host = if address.contains(':') { format!("[{address}]") } else { address.to_owned() };
    let answer = http.get(format!("http://{host}:{port}{path}")).timeout(timeout).send().await.ok()?;
    small_body(answer, bytes_max).await
}

/// A body, unless it is too long. Anybody in the namespace may run a pod with these labels: what it sends must not fill
/// the operator's memory.
async fn small_body(mut answer: reqwest::Response, bytes_max: usize) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(part) = answer.chunk().await.ok()? {
        if body.len() + part.len() > bytes_max {
            return None;
        }
        body.extend_from_slice(&part);
    }
    Some(body)
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

/// Whether Kubernetes counts a pod as ready.
pub(crate) fn is_ready(pod: &Pod) -> bool {
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

    #[tokio::test]
    async fn a_body_is_read_as_far_as_the_limit_whatever_length_it_announces() {
        for (bytes, expected) in [(BODY_BYTES_MAX, Some(BODY_BYTES_MAX)), (BODY_BYTES_MAX + 1, None)] {
            let answer = reqwest::Response::from(http::Response::new("x".repeat(bytes)));
            assert_eq!(small_body(answer, BODY_BYTES_MAX).await.map(|body| body.len()), expected);
        }
    }

    #[test]
    fn an_outage_is_told_by_a_few_pods() {
        let pods: Vec<_> = (0..100).map(|number| pod(&format!("g{number}"), "gateway", false)).collect();
        assert_eq!(worth_asking(&pods).len(), PODS_MAX);
    }
}
