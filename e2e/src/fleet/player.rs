//! Plays the controllers of Deployments and Jobs, and the nodes: pods are made, run at once, and Jobs end well. The real controllers
//! would take half an hour for this many, and the operator sees no difference.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, Result};
use futures::StreamExt as _;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Patch, PatchParams, PostParams};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, Resource, ResourceExt as _};
use runtime_contract::{JobReport, MigrationPlan, Outcome, Reason, labels};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

/// Objects that are worked on at once.
const CONCURRENCY: usize = 16;
/// Addresses of the loopback, one per pod: whoever asks a pod has a connection to it alone.
const FIRST_ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 1, 0, 1);

/// Plays for as long as it is held.
pub(super) struct Player {
    tasks: [JoinHandle<()>; 2],
}

#[derive(Clone)]
struct Hands {
    client: Client,
    pods_made: Arc<AtomicU32>,
}

impl Player {
    pub(super) fn start(client: Client) -> Self {
        let hands = Hands { client: client.clone(), pods_made: Arc::default() };
        let made = watcher::Config::default().labels(&format!("{}={}", labels::MANAGED_BY, labels::MANAGED_BY_PURSER));
        let deployments = watcher(Api::<Deployment>::all(client.clone()), made.clone());
        let jobs = watcher(Api::<Job>::all(client), made);
        let of_jobs = hands.clone();
        let deployments = deployments.default_backoff().applied_objects();
        let jobs = jobs.default_backoff().applied_objects();
        let run = deployments.for_each_concurrent(CONCURRENCY, move |seen| {
            let hands = hands.clone();
            async move {
                // A watch that fails starts again.
                if let Ok(deployment) = seen {
                    complain(hands.run_pods(&deployment).await);
                }
            }
        });
        let end = jobs.for_each_concurrent(CONCURRENCY, move |seen| {
            let hands = of_jobs.clone();
            async move {
                if let Ok(job) = seen {
                    complain(hands.end_job(&job).await);
                }
            }
        });
        Self { tasks: [tokio::spawn(run), tokio::spawn(end)] }
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

fn complain(outcome: Result<()>) {
    if let Err(error) = outcome {
        println!("  the player: {error:#}");
    }
}

impl Hands {
    async fn run_pods(&self, deployment: &Deployment) -> Result<()> {
        let spec = deployment.spec.as_ref().context("a Deployment without a spec")?;
        let replicas = spec.replicas.unwrap_or(1);
        let generation = deployment.metadata.generation;
        let status = deployment.status.as_ref();
        if status.is_some_and(|status| {
            status.observed_generation == generation && status.ready_replicas.unwrap_or(0) == replicas
        }) {
            return Ok(());
        }
        let template = serde_json::to_value(&spec.template)?;
        for number in 0..replicas {
            let name = format!("{}-{number}", deployment.name_any());
            let address = self.address();
            let conditions = ["Ready", "ContainersReady"].map(condition);
            let running = json!({
                "phase": "Running", "podIP": address, "podIPs": [{ "ip": address }], "startTime": now(),
                "containerStatuses": containers(&template, true, &json!({ "running": { "startedAt": now() } })),
                "conditions": conditions,
            });
            self.pod(deployment, &name, &template, &json!({}), &running).await?;
        }
        let api: Api<Deployment> = self.beside(deployment);
        let status = json!({ "status": {
            "observedGeneration": generation, "replicas": replicas, "updatedReplicas": replicas,
            "readyReplicas": replicas, "availableReplicas": replicas, "conditions": [condition("Available")],
        } });
        api.patch_status(&deployment.name_any(), &PatchParams::default(), &Patch::Merge(status)).await?;
        Ok(())
    }

    async fn end_job(&self, job: &Job) -> Result<()> {
        let spec = job.spec.as_ref().context("a Job without a spec")?;
        let template = serde_json::to_value(&spec.template)?;
        let component = job.labels().get(labels::COMPONENT).map(String::as_str).unwrap_or_default();
        let message = serde_json::to_string(&succeeded(component))?;
        let state =
            json!({ "terminated": { "exitCode": 0, "message": message, "startedAt": now(), "finishedAt": now() } });
        let ended = json!({ "phase": "Succeeded", "containerStatuses": containers(&template, false, &state) });
        let of_job =
            json!({ "batch.kubernetes.io/controller-uid": job.uid(), "batch.kubernetes.io/job-name": job.name_any() });
        self.pod(job, &job.name_any(), &template, &of_job, &ended).await
    }

    /// A pod of an owner; nothing when it is there already.
    async fn pod<K>(&self, owner: &K, name: &str, template: &Value, labels: &Value, status: &Value) -> Result<()>
    where
        K: Resource<DynamicType = ()>,
    {
        let api: Api<Pod> = self.beside(owner);
        let mut all = template["metadata"]["labels"].clone();
        for (key, value) in labels.as_object().into_iter().flatten() {
            all[key] = value.clone();
        }
        let annotations = &template["metadata"]["annotations"];
        let metadata = json!({
            "name": name, "labels": all, "annotations": annotations, "ownerReferences": [owner.controller_owner_ref(&())],
        });
        let pod: Pod = serde_json::from_value(json!({ "metadata": metadata, "spec": template["spec"] }))?;
        match api.create(&PostParams::default(), &pod).await {
            Ok(_) => {}
            Err(kube::Error::Api(error)) if error.is_already_exists() => return Ok(()),
            Err(error) => return Err(error).with_context(|| format!("cannot create pod {name}")),
        }
        api.patch_status(name, &PatchParams::default(), &Patch::Merge(json!({ "status": status }))).await?;
        Ok(())
    }

    fn beside<K, Other>(&self, other: &Other) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>,
        Other: Resource,
    {
        Api::namespaced(self.client.clone(), &other.meta().namespace.clone().unwrap_or_default())
    }

    fn address(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(FIRST_ADDRESS.to_bits() + self.pods_made.fetch_add(1, Ordering::Relaxed))
    }
}

/// The report of a command that worked, by the label of its Jobs.
#[must_use]
pub fn succeeded(component: &str) -> JobReport {
    let report = |reason| JobReport::new(Outcome::Succeeded, reason, "done");
    match component {
        "plan" => {
            let plan = MigrationPlan { from: 0, to: 1, pending: 1, offline: 0 };
            JobReport { migration_plan: Some(plan), ..report(Reason::MigrationsPlanned) }
        }
        "backup" | "point" => JobReport { backup_id: Some(format!("{component}-1")), ..report(Reason::BackedUp) },
        // It names the backup whose copy it was tried on. Without that it counts as one whose pod took its report along.
        "dryrun" => JobReport { backup_id: Some("backup-1".into()), ..report(Reason::DryRunSucceeded) },
        "migrate" => JobReport { schema_version: Some(1), ..report(Reason::Migrated) },
        _ => report(Reason::SettingsApplied),
    }
}

fn containers(template: &Value, ready: bool, state: &Value) -> Value {
    let container = &template["spec"]["containers"][0];
    json!([{
        "name": container["name"], "image": container["image"], "imageID": "", "restartCount": 0, "ready": ready,
        "started": true, "state": state,
    }])
}

fn condition(name: &str) -> Value {
    json!({ "type": name, "status": "True", "reason": "Played", "lastTransitionTime": now() })
}

fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
