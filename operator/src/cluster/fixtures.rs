//! A PaymentCluster for tests, and a small world in which plans come true.

use crds::payment_cluster::ReleaseStatus;
use crds::{PaymentCluster, PaymentProvider, Stage};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::ResourceExt;
use runtime_contract::{CdcReport, Figures, JobReport, MigrationPlan, Outcome, Reason, labels};
use serde_json::{Value, json};

use super::observed::{Observed, Upstream};
use super::plan::{self, Plan};
use super::providers::SeenProvider;
use super::step::Step;
use super::validate::{self, Validated};
use super::{fixture_secrets, plan_migration, report};
use crate::names::Identity;
use crate::notifications::SeenNotifications;
use crate::owned::difference::overlay;
use crate::owned::{Desired, Kind, Live};
use crate::secrets::SecretState;
use crate::workloads::pod::ROLE;

pub(crate) fn time(second: i64) -> Time {
    Time(Timestamp::from_second(second).unwrap())
}

/// The PaymentCluster of the quickstart.
pub(crate) fn cluster(change: impl FnOnce(&mut Value)) -> PaymentCluster {
    let mut spec = json!({
        "version": "0.1.0",
        "database": { "urlSecretRef": { "name": "payments-db", "key": "url" } },
        "cache": { "urlSecretRef": { "name": "payments-redis", "key": "url" } },
        "providers": { "selector": { "matchLabels": { "purser.dev/cluster": "payments" } } },
        // What these two have to do with a release has its own tests.
        "rollout": { "retireAfter": "20s", "healthCheck": "Disabled", "warmCache": "Disabled" },
        "sla": { "window": "10s" },
    });
    change(&mut spec);
    serde_json::from_value(json!({
        "apiVersion": "purser.dev/v1alpha1",
        "kind": "PaymentCluster",
        "metadata": { "name": "payments", "namespace": "shop", "uid": "uid-1", "generation": 1 },
        "spec": spec,
    }))
    .unwrap()
}

pub(crate) fn provider(name: &str, change: impl FnOnce(&mut PaymentProvider)) -> PaymentProvider {
    let mut provider = serde_json::from_value(json!({
        "apiVersion": "purser.dev/v1alpha1",
        "kind": "PaymentProvider",
        "metadata": { "name": name, "namespace": "shop", "generation": 1, "labels": { "purser.dev/cluster": "payments" } },
        "spec": {
            "name": "STRIPE",
            "apiEndpoint": "https://api.stripe.com",
            "credentialsSecretRef": { "name": name, "key": "secretKey" },
        },
    }))
    .unwrap();
    change(&mut provider);
    provider
}

pub(crate) fn seen_provider(name: &str) -> SeenProvider {
    SeenProvider { provider: provider(name, |_| {}), taken_by: None, credentials: present("1") }
}

pub(crate) fn present(revision: &str) -> SecretState {
    SecretState::Present { revision: revision.into() }
}

/// A world in which all that the spec refers to is there, and nothing was made yet.
pub(crate) fn observed(change: impl FnOnce(&mut Observed)) -> Observed {
    let identity = Identity { namespace: "shop".into(), name: "payments".into(), uid: "uid-1".into() };
    let mut observed = Observed {
        cluster: cluster(|_| {}),
        identity,
        database_secret: present("1"),
        gateway_secrets: Vec::new(),
        backup_secrets: Vec::new(),
        analytics_secrets: Vec::new(),
        replica_secrets: Vec::new(),
        serving_secrets: Vec::new(),
        cache_secret: present("1"),
        providers: vec![seen_provider("stripe")],
        live: Vec::new(),
        pods: Vec::new(),
        health: [].into(),
        figures: None,
        notifications: SeenNotifications::default(),
        upstream: Upstream::NotAsked,
        token: 7,
        at: Timestamp::from_second(1_000).unwrap(),
    };
    change(&mut observed);
    observed
}

/// Whether a release serves, and its end is recorded.
pub(crate) fn is_over(plan: &Plan) -> bool {
    plan.stage == Stage::Finished && plan.steps.is_empty() && plan.next_look != plan::NEXT_LOOK_AT_ONCE
}

pub(crate) fn validated(change: impl FnOnce(&mut Value)) -> Validated {
    validate::validate(&observed(|observed| observed.cluster = cluster(change))).unwrap()
}

/// A world in which plans come true.
pub(crate) struct World {
    pub(crate) observed: Observed,
    pub(crate) now: Timestamp,
    /// Steps that were carried out in all passes.
    pub(crate) writes: usize,
    /// What a metrics pod tells at a second.
    pub(crate) figures: fn(i64) -> Option<Figures>,
    /// What is found of a Secret by its name; without it, those that the spec names stay as they were put here.
    pub(crate) secrets: Option<fn(&str) -> SecretState>,
    /// What a Job says of the migrations to come.
    pub(crate) planned: MigrationPlan,
    /// What a Job reports, by what it is for, and what it would report of success.
    pub(crate) reports: fn(&str, JobReport) -> JobReport,
}

/// Figures of a platform that is well, and that nobody pays through.
pub(crate) fn all_well(second: i64) -> Option<Figures> {
    Some(Figures { until: second, pods: 8, silent_pods: 0, releases: Vec::new() })
}

impl World {
    pub(crate) fn new(observed: Observed) -> Self {
        Self {
            observed,
            now: Timestamp::from_second(1_000).unwrap(),
            writes: 0,
            figures: all_well,
            secrets: None,
            planned: MigrationPlan { from: 0, to: 3, pending: 3, offline: 0 },
            reports: |_, succeeded| succeeded,
        }
    }

    /// A platform that was left alone until it came to rest.
    pub(crate) fn finished() -> Self {
        let mut world = Self::new(observed(|_| {}));
        world.run_until(is_over);
        world
    }

    pub(crate) fn plan(&self) -> Plan {
        plan::plan(validate::validate(&self.observed).as_ref(), &self.observed, self.now)
    }

    /// A condition as the next report would have it.
    pub(crate) fn condition(&self, name: &str) -> Condition {
        let status = report::build(&self.observed, &self.plan(), None, self.now);
        status.conditions.into_iter().find(|found| found.type_ == name).unwrap()
    }

    fn look(&mut self) {
        self.observed.figures = (self.figures)(self.now.as_second());
        fixture_secrets::look(&mut self.observed, self.secrets);
    }

    /// One pass: plan, apply, report. The world's own actors do not move.
    pub(crate) fn pass(&mut self) -> Plan {
        self.look();
        let plan = self.plan();
        for step in &plan.steps {
            self.carry_out(step);
        }
        self.observed.cluster.status = Some(report::build(&self.observed, &plan, None, self.now));
        self.now = self.now.checked_add(SignedDuration::from_secs(1)).unwrap();
        plan
    }

    /// The report of a command that did what it was to do, whichever it is.
    pub(crate) fn succeeded(&self) -> JobReport {
        JobReport {
            schema_version: Some(self.planned.to),
            backup_id: Some("backup-1".into()),
            migration_plan: Some(self.planned.clone()),
            cdc: Some(CdcReport {
                publication: "purser_analytics".into(),
                subscription: "purser_shop_payments".into(),
                tables: 10,
                lag_bytes: 0,
            }),
            ..JobReport::new(Outcome::Succeeded, Reason::Migrated, "")
        }
    }

    /// Passes, with Jobs that succeed and pods that start, until a plan is as hoped for.
    pub(crate) fn run_until(&mut self, done: impl Fn(&Plan) -> bool) -> Vec<Plan> {
        let mut plans = Vec::new();
        for _ in 0..50 {
            let plan = self.pass();
            let is_done = done(&plan);
            plans.push(plan);
            if is_done {
                return plans;
            }
            self.pods_start();
            self.jobs_go();
        }
        panic!("not done after 50 passes: {:#?}", plans.last());
    }

    /// The releases as they were told last.
    pub(crate) fn release(&self) -> ReleaseStatus {
        self.observed.cluster.status.clone().unwrap().release.unwrap()
    }

    /// Passes until the release before the one that serves is not kept any longer.
    pub(crate) fn retire(&mut self) {
        for _ in 0..25 {
            self.pass();
        }
        assert_eq!(self.release().kept, None);
    }

    /// Carries a plan out without a word of it in the status, as an operator does that dies right after.
    pub(crate) fn carry_out_all(&mut self, plan: &Plan) {
        for step in &plan.steps {
            self.carry_out(step);
        }
    }

    /// Passes until so many steps were carried out, and stops there, without a report.
    pub(crate) fn crash_after(&mut self, writes: usize) {
        for _ in 0..50 {
            self.look();
            let plan = self.plan();
            for step in &plan.steps {
                if self.writes >= writes {
                    return;
                }
                self.carry_out(step);
            }
            self.observed.cluster.status = Some(report::build(&self.observed, &plan, None, self.now));
            self.now = self.now.checked_add(SignedDuration::from_secs(1)).unwrap();
            self.pods_start();
            self.jobs_go();
        }
    }

    fn carry_out(&mut self, step: &Step) {
        self.writes += 1;
        match step {
            Step::Apply { object, .. } => self.apply(object),
            Step::Scale { deployment, replicas } => {
                let live = self.live_mut(Kind::Deployment, deployment);
                live.body["spec"]["replicas"] = (*replicas).into();
            }
            Step::Delete { kind, name, .. } => {
                self.observed.live.retain(|live| live.kind != *kind || live.name != *name);
            }
        }
    }

    fn apply(&mut self, object: &Desired) {
        let created = self.now.to_string();
        if self.observed.find(object.kind, &object.name).is_none() {
            let mut body = object.body.clone();
            body["metadata"]["creationTimestamp"] = created.into();
            self.observed.live.push(Live {
                kind: object.kind,
                name: object.name.clone(),
                uid: format!("uid-{}", self.writes),
                release: object.body["metadata"]["labels"][labels::RELEASE].as_str().map(str::to_owned),
                body,
            });
        }
        let generation = self.now.as_second();
        let live = self.live_mut(object.kind, &object.name);
        overlay(&mut live.body, object.body.clone());
        if object.kind == Kind::Service {
            // What is not applied any more is taken away.
            live.body["spec"] = object.body["spec"].clone();
        }
        live.body["metadata"]["generation"] = generation.into();
    }

    pub(crate) fn live_mut(&mut self, kind: Kind, name: &str) -> &mut Live {
        self.observed.live.iter_mut().find(|live| live.kind == kind && live.name == name).unwrap()
    }

    /// Every Deployment gets all of its pods.
    pub(crate) fn pods_start(&mut self) {
        for live in self.observed.live.iter_mut().filter(|live| live.kind == Kind::Deployment) {
            let replicas = live.body["spec"]["replicas"].as_i64().unwrap_or(1);
            live.body["status"] = json!({
                "observedGeneration": live.body["metadata"]["generation"],
                "replicas": replicas, "updatedReplicas": replicas, "readyReplicas": replicas, "availableReplicas": replicas,
            });
        }
    }

    /// Every Job that runs ends with the report that it has in this world.
    pub(crate) fn jobs_go(&mut self) {
        let (reports, succeeded) = (self.reports, self.succeeded());
        self.jobs_end_with(&|component| reports(component, succeeded.clone()));
    }

    /// Every Job that runs ends with this report.
    pub(crate) fn jobs_end(&mut self, report: &JobReport) {
        self.jobs_end_with(&|_| report.clone());
    }

    fn jobs_end_with(&mut self, report: &dyn Fn(&str) -> JobReport) {
        let running: Vec<_> = plan_migration::attempts(&self.observed, |_| true)
            .into_iter()
            .filter(|attempt| matches!(attempt.progress, crate::jobs::Progress::Running(_)))
            .collect();
        for attempt in running {
            let component =
                plan_migration::component(self.live_mut(Kind::Job, &attempt.name)).unwrap_or_default().to_owned();
            self.job_ends(&attempt.name, &report(&component));
        }
    }

    /// This Job ends with this report.
    pub(crate) fn job_ends(&mut self, name: &str, report: &JobReport) {
        let uid = self.live_mut(Kind::Job, name).uid.clone();
        self.observed.pods.retain(|pod| pod.metadata.name.as_deref() != Some(name));
        let pod = json!({
            "metadata": { "name": name, "labels": { "batch.kubernetes.io/controller-uid": uid } },
            "status": { "containerStatuses": [{
                "name": "purser", "image": "", "imageID": "", "ready": false, "restartCount": 0,
                "state": { "terminated": {
                    "exitCode": 0,
                    "message": serde_json::to_string(report).unwrap(),
                    "finishedAt": self.now.to_string(),
                } },
            }] },
        });
        self.observed.pods.push(serde_json::from_value(pod).unwrap());
    }

    /// The pod of this Job is at work.
    pub(crate) fn job_runs(&mut self, name: &str) {
        let job = self.live_mut(Kind::Job, name);
        let mut pod_labels = job.body.pointer("/spec/template/metadata/labels").cloned().unwrap();
        pod_labels["batch.kubernetes.io/controller-uid"] = job.uid.clone().into();
        let pod = json!({
            "metadata": { "name": name, "labels": pod_labels },
            "status": { "phase": "Running", "containerStatuses": [{
                "name": "purser", "image": "", "imageID": "", "ready": true, "restartCount": 0,
                "state": { "running": {} },
            }] },
        });
        self.observed.pods.push(serde_json::from_value(pod).unwrap());
    }

    /// A processor of a release is at work.
    pub(crate) fn processor_runs(&mut self, release: &str) {
        let pod = json!({
            "metadata": {
                "name": format!("processor-{release}"),
                "labels": { labels::COMPONENT: "processor", labels::RELEASE: release, ROLE: "true" },
            },
            "status": { "phase": "Running" },
        });
        self.observed.pods.push(serde_json::from_value(pod).unwrap());
    }

    /// A pod of a role that says this of what it stands on.
    pub(crate) fn says(&mut self, role: &str, checks: Value) {
        let pod: k8s_openapi::api::core::v1::Pod = serde_json::from_value(json!({
            "metadata": { "name": format!("{role}-pod"), "labels": { labels::COMPONENT: role, ROLE: "true" } },
            "status": { "phase": "Running" },
        }))
        .unwrap();
        let health = json!({ "ready": true, "release": "0.1.0", "settingsRevision": 1, "checks": checks });
        self.observed.health.insert(pod.name_any(), serde_json::from_value(health).unwrap());
        self.observed.pods.push(pod);
    }

    pub(crate) fn names(&self, kind: Kind) -> Vec<&str> {
        let mut names: Vec<_> =
            self.observed.live.iter().filter(|live| live.kind == kind).map(|live| live.name.as_str()).collect();
        names.sort_unstable();
        names
    }
}
