//! Plays the node: says of each pod what a kubelet would say after it ran. Everything else, the controllers of Jobs and
//! Deployments included, is real.

use std::collections::HashSet;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Result, anyhow};
pub(crate) use e2e::fleet::succeeded;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, Client, ResourceExt};
use runtime_contract::{JobReport, Outcome, Reason};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

/// How the commands of Jobs end, by their component label (`migrate`, `settings`).
type Commands = Arc<Mutex<Box<dyn Fn(&str) -> JobReport + Send>>>;

/// A node of one namespace, for as long as it is held.
pub(crate) struct Puppet {
    commands: Commands,
    /// Versions whose pods never become ready, and commands that never end.
    unready: Arc<Mutex<HashSet<String>>>,
    /// Where the metrics pods are, if they can be asked.
    metrics_ip: Arc<Mutex<Option<Ipv4Addr>>>,
    task: JoinHandle<()>,
}

impl Puppet {
    /// A node on which every command succeeds and every pod becomes ready.
    pub(crate) fn start(client: Client, namespace: &str) -> Self {
        let commands: Commands = Arc::new(Mutex::new(Box::new(succeeded)));
        let unready = Arc::new(Mutex::new(HashSet::new()));
        let metrics_ip = Arc::new(Mutex::new(None));
        let pods: Api<Pod> = Api::namespaced(client, namespace);
        let task = tokio::spawn(play(pods, Arc::clone(&commands), Arc::clone(&unready), Arc::clone(&metrics_ip)));
        Self { commands, unready, metrics_ip, task }
    }

    /// From now on, metrics pods have this address.
    pub(crate) fn metrics_are_at(&self, address: Ipv4Addr) -> Result<()> {
        *self.metrics_ip.lock().map_err(|_| anyhow!("poisoned"))? = Some(address);
        Ok(())
    }

    /// From now on, commands end so.
    pub(crate) fn commands_end(&self, how: impl Fn(&str) -> JobReport + Send + 'static) -> Result<()> {
        *self.commands.lock().map_err(|_| anyhow!("poisoned"))? = Box::new(how);
        Ok(())
    }

    /// From now on, new pods of this version start but do not become ready, or those of this command do not end; or they do again.
    pub(crate) fn hold(&self, what: &str, hold: bool) -> Result<()> {
        let mut unready = self.unready.lock().map_err(|_| anyhow!("poisoned"))?;
        if hold {
            unready.insert(what.to_owned())
        } else {
            unready.remove(what)
        };
        Ok(())
    }
}

impl Drop for Puppet {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The report of a command that did not.
pub(crate) fn failed(outcome: Outcome, reason: Reason, message: &str) -> JobReport {
    JobReport::new(outcome, reason, message)
}

async fn play(
    pods: Api<Pod>,
    commands: Commands,
    unready: Arc<Mutex<HashSet<String>>>,
    metrics_ip: Arc<Mutex<Option<Ipv4Addr>>>,
) {
    loop {
        // The API server may be away: then there is nothing to play.
        if let Ok(list) = pods.list(&ListParams::default()).await {
            for pod in list.items {
                let next = match (commands.lock(), unready.lock(), metrics_ip.lock()) {
                    (Ok(commands), Ok(unready), Ok(address)) => {
                        next_status(&pod, commands.as_ref(), &unready).or_else(|| new_address(&pod, *address))
                    }
                    _ => return,
                };
                if let Some(status) = next {
                    let patch = Patch::Merge(json!({"status": status}));
                    let _ = pods.patch_status(&pod.name_any(), &PatchParams::default(), &patch).await;
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The address of a metrics pod that runs without one.
fn new_address(pod: &Pod, address: Option<Ipv4Addr>) -> Option<Value> {
    let component = pod.labels().get(runtime_contract::labels::COMPONENT)?;
    let status = pod.status.as_ref()?;
    let lacks_it = component == "metrics" && status.phase.as_deref() == Some("Running") && status.pod_ip.is_none();
    let address = address.filter(|_| lacks_it)?.to_string();
    Some(json!({ "podIP": address, "podIPs": [{ "ip": address }] }))
}

/// What the pod's status becomes, if it is not that already.
fn next_status(pod: &Pod, commands: &(dyn Fn(&str) -> JobReport + Send), unready: &HashSet<String>) -> Option<Value> {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or("Pending");
    let label = |name: &str| pod.labels().get(name).map(String::as_str).unwrap_or_default();
    let container = pod.spec.as_ref()?.containers.first()?;
    let status = |state: Value, ready: bool| json!([{"name": container.name, "image": container.image, "imageID": "", "restartCount": 0, "ready": ready, "started": true, "state": state}]);
    let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    if pod.metadata.deletion_timestamp.is_some() {
        return None;
    }
    if pod.labels().contains_key("batch.kubernetes.io/job-name") {
        let command = label(runtime_contract::labels::COMPONENT);
        if unready.contains(command) {
            let runs = json!({"phase": "Running", "startTime": now, "containerStatuses": status(json!({"running": {"startedAt": now}}), true)});
            return (phase == "Pending").then_some(runs);
        }
        let report = matches!(phase, "Pending" | "Running").then(|| commands(command))?;
        let works = report.outcome == Outcome::Succeeded;
        let message = serde_json::to_string(&report).ok()?;
        let ended = json!({"terminated": {"exitCode": i32::from(!works), "message": message, "startedAt": now, "finishedAt": now}});
        let phase = if works { "Succeeded" } else { "Failed" };
        return Some(json!({"phase": phase, "containerStatuses": status(ended, false)}));
    }
    let held = unready.contains(label(runtime_contract::labels::RELEASE));
    let is_ready = pod.status.as_ref().and_then(|status| status.conditions.as_ref()).is_some_and(|conditions| {
        conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
    });
    if phase == "Running" && is_ready != held {
        return None;
    }
    let ready = if held { "False" } else { "True" };
    Some(json!({
        "phase": "Running", "startTime": now, "containerStatuses": status(json!({"running": {"startedAt": now}}), !held),
        "conditions": [{"type": "Ready", "status": ready, "lastTransitionTime": now}, {"type": "ContainersReady", "status": ready, "lastTransitionTime": now}],
    }))
}
