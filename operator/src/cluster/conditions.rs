//! The conditions of a PaymentCluster: what is so, what is not, and what a person can do about it. ★ Pure.

use crds::Stage;
use crds::conditions::{self, cluster};
use k8s_openapi::api::apps::v1::Deployment;
use kube::ResourceExt;
use runtime_contract::health::names;
use runtime_contract::{Reason, Role, labels};

use super::diagnosis::{self, Trouble};
use super::observed::Observed;
use super::plan::Plan;
use super::plan_approval;
use super::plan_maintenance;
use super::plan_objects::rollout_of;
use super::plan_replica;
use super::plan_shift;
use super::plan_sla;
use super::providers;
use super::step::{Truth, Verdict, WaitingOn};
use super::validate;
use crate::names::Release;
use crate::notifications;
use crate::owned::Kind;
use crate::sla::Judgement;
use crate::workloads::rollout::{self, Rollout};

/// Every condition, by name, in the order in which they are shown.
#[must_use]
pub fn of(observed: &Observed, plan: &Plan, failure: Option<&str>) -> Vec<(&'static str, Verdict)> {
    let roles = Role::ALL.map(|role| (condition_of(role), role_verdict(observed, plan, role)));
    let mut concerns = vec![
        (cluster::SECRETS_AVAILABLE, secrets(observed)),
        (cluster::APPROVED, plan_approval::verdict(observed, plan.stage, &plan.release)),
        (cluster::SCHEMA_READY, plan.schema_verdict.clone()),
        (cluster::WRITES_ACCEPTED, plan_maintenance::verdict(observed, &plan.release)),
        (cluster::SETTINGS_APPLIED, plan.settings_verdict.clone()),
        (cluster::ANALYTICS_READY, plan.analytics_verdict.clone()),
        (cluster::PROVIDERS_READY, providers::verdict(&observed.providers, &observed.identity.namespace)),
    ];
    concerns.extend(roles);
    concerns.push((
        cluster::DATABASE_REACHABLE,
        reachable(observed, names::DATABASE, "PostgreSQL", database_by_report(plan)),
    ));
    concerns.push((cluster::CACHE_REACHABLE, reachable(observed, names::CACHE, "Redis", None)));
    concerns.push((cluster::SLA_MET, plan_sla::verdict(observed, plan.stage, &plan.release, &plan.judgement)));
    concerns.push((cluster::NOTIFICATIONS_READY, notifications::verdict(observed)));
    concerns.extend(plan_replica::verdict(observed, plan).map(|verdict| (cluster::REPLICA_READY, verdict)));
    concerns.extend(plan.archive.verdict.clone().map(|verdict| (cluster::ARCHIVED, verdict)));
    let mut all = vec![
        (conditions::READY, ready(observed, plan, &concerns)),
        (conditions::RECONCILING, reconciling(observed, plan, failure)),
        (conditions::STALLED, stalled(plan)),
    ];
    all.extend(concerns);
    all
}

const fn condition_of(role: Role) -> &'static str {
    match role {
        Role::Gateway => cluster::GATEWAY_AVAILABLE,
        Role::Fraud => cluster::FRAUD_AVAILABLE,
        Role::Processor => cluster::PROCESSOR_AVAILABLE,
        Role::Metrics => cluster::METRICS_AVAILABLE,
    }
}

/// The release that serves, or the first one on its way.
#[must_use]
pub fn shown_release(plan: &Plan) -> Option<Release> {
    let version = plan.release.current.as_ref().or(plan.release.target.as_ref())?;
    Some(Release { name: version.clone() })
}

/// A role's Deployment in figures, in the release that is shown.
#[must_use]
pub fn shown_rollout(observed: &Observed, plan: &Plan, role: Role) -> Rollout {
    let replicas = validate::replicas(&observed.cluster.spec, role);
    match shown_release(plan) {
        Some(release) => rollout_of(observed, &observed.identity.deployment(role, &release), replicas),
        None => Rollout { wanted: replicas.least(), ..Rollout::default() },
    }
}

fn role_verdict(observed: &Observed, plan: &Plan, role: Role) -> Verdict {
    let rollout = shown_rollout(observed, plan, role);
    let trouble = shown_release(plan).and_then(|release| trouble(observed, role, &release.name));
    let Rollout { wanted, available, .. } = rollout;
    let is_moving = match plan.stage {
        stage if stage.is_end() => false,
        // The release that serves is at rest while another one waits.
        Stage::AwaitingStaging | Stage::AwaitingApproval => plan.release.current.is_none(),
        _ => true,
    };
    match (available, trouble) {
        (0, Some(trouble)) => Verdict::no(trouble.reason, trouble.message),
        (0, None) if is_moving => Verdict::no("Starting", "no pod is ready yet"),
        (0, None) => Verdict::no("Unavailable", "no pod is ready"),
        (some, Some(trouble)) if some < wanted || rollout.in_progress => {
            Verdict::yes("Degraded", format!("{some} of {wanted} pods serve; another does not: {}", trouble.message))
        }
        (some, _) if some < wanted && is_moving => Verdict::yes("Starting", format!("{some} of {wanted} pods serve")),
        (some, _) if some < wanted => Verdict::yes("Degraded", format!("{some} of {wanted} pods serve")),
        (_, _) => Verdict::yes("Available", format!("{wanted} of {wanted} pods serve")),
    }
}

/// What keeps pods of a role in a release from serving, the gravest first.
fn trouble(observed: &Observed, role: Role, release: &str) -> Option<Trouble> {
    let pods = || {
        let of_role = observed.pods_with(labels::COMPONENT, role.as_str());
        let of_release = of_role.filter(|pod| pod.labels().get(labels::RELEASE).is_some_and(|found| found == release));
        of_release.filter(|pod| pod.metadata.deletion_timestamp.is_none())
    };
    let found = pods().find_map(diagnosis::of_pod).or_else(|| {
        let health = pods().filter_map(|pod| observed.health.get(&pod.name_any()));
        health.into_iter().find_map(diagnosis::of_health)
    });
    let stuck = || pods().find_map(|pod| diagnosis::of_start(pod, observed.at));
    found.or_else(stuck).or_else(|| refused(observed, role, release))
}

/// A pod that is refused leaves no trace of itself, only a word in its Deployment.
fn refused(observed: &Observed, role: Role, release: &str) -> Option<Trouble> {
    let name = observed.identity.deployment(role, &Release { name: release.to_owned() });
    let live = observed.find(Kind::Deployment, &name)?;
    let deployment: Deployment = serde_json::from_value(live.body.clone()).ok()?;
    let words = rollout::refusal(&deployment)?;
    Some(Trouble {
        reason: "PodsRefused",
        message: format!("Kubernetes refuses pods of Deployment \"{name}\": {words}"),
    })
}

fn secrets(observed: &Observed) -> Verdict {
    let spec = &observed.cluster.spec;
    let looked_at = [
        (&observed.database_secret, &spec.database.url_secret_ref),
        (&observed.cache_secret, &spec.cache.url_secret_ref),
    ];
    let namespace = &observed.identity.namespace;
    let of_serving = || {
        let problem = observed.serving_secrets.iter().find_map(|(key, state)| state.problem(key, namespace));
        problem.map(|(reason, message)| (reason, format!("{message}, with which a release that runs was started")))
    };
    match looked_at.iter().find_map(|(state, key)| state.problem(key, namespace)).or_else(of_serving) {
        Some((reason, message)) => Verdict::no(reason, message),
        None => Verdict::yes("SecretsAvailable", "the database's and the cache's Secrets are there"),
    }
}

/// What the pods say of something that they stand on.
fn reachable(observed: &Observed, check: &str, what: &str, otherwise: Option<Verdict>) -> Verdict {
    let checks: Vec<_> =
        observed.health.values().flat_map(|health| &health.checks).filter(|found| found.name == check).collect();
    match checks.iter().find(|found| !found.ok) {
        Some(failing) if failing.optional => Verdict::no(
            "Unreachable",
            format!("{what}: {}; the platform is slower without it, and right", failing.message),
        ),
        Some(failing) => Verdict::no("Unreachable", format!("{what}: {}", failing.message)),
        None if checks.is_empty() => {
            otherwise.unwrap_or_else(|| Verdict::unknown("NotAsked", "no pod has said anything yet"))
        }
        None => Verdict::yes("Reachable", format!("pods reach {what}")),
    }
}

/// What the migration Job found out about the database, before any pod could.
fn database_by_report(plan: &Plan) -> Option<Verdict> {
    let about_database = [
        Reason::DatabaseUnreachable,
        Reason::DatabaseAuthenticationFailed,
        Reason::DatabaseMissing,
        Reason::DatabaseOwnedByAnother,
    ];
    let verdict = [&plan.schema_verdict, &plan.settings_verdict]
        .into_iter()
        .find(|verdict| about_database.iter().any(|reason| verdict.reason == format!("{reason:?}")))?;
    Some(Verdict::no(&verdict.reason, verdict.message.clone()))
}

fn stalled(plan: &Plan) -> Verdict {
    match &plan.stalled {
        Some((reason, message)) => Verdict::yes(reason, message.clone()),
        None => Verdict::no("NotStalled", "nothing waits for a person"),
    }
}

fn reconciling(observed: &Observed, plan: &Plan, failure: Option<&str>) -> Verdict {
    if let Some(failure) = failure {
        return Verdict::yes("ApplyFailed", failure);
    }
    if plan.stalled.is_some() {
        return Verdict::no("Stalled", "see the condition Stalled");
    }
    let target = plan.release.target.as_deref().unwrap_or_default();
    let is_at_rest = plan_shift::is_at_rest(plan.stage);
    if is_at_rest && plan.settings_verdict.is_true() && plan.analytics_verdict.is_true() {
        return Verdict::no(plan.stage.as_str(), format!("release {target} serves"));
    }
    if is_at_rest {
        let unsettled =
            [&plan.settings_verdict, &plan.analytics_verdict].into_iter().find(|verdict| !verdict.is_true());
        return Verdict::yes("Configuring", unsettled.map_or_else(String::new, |verdict| verdict.message.clone()));
    }
    let waiting_on = plan.waiting_on.as_ref().map_or_else(String::new, |waiting| format!(": {waiting}"));
    let on_its_way = format!("release {target}{waiting_on}");
    match held_up(observed, plan, target) {
        Some((reason, trouble)) => Verdict::yes(&reason, format!("{on_its_way} ({trouble})")),
        None => Verdict::yes(plan.stage.as_str(), on_its_way),
    }
}

/// What holds up that which the release waits for, as a reason and a sentence.
fn held_up(observed: &Observed, plan: &Plan, target: &str) -> Option<(String, String)> {
    let unless_usual = |verdict: &Verdict| {
        let usual = verdict.is_true()
            || matches!(
                verdict.reason.as_str(),
                "Applying" | "Migrating" | "Configuring" | "Running" | "NotMigrated" | "NotApplied"
            );
        (!usual).then(|| (verdict.reason.clone(), verdict.message.clone()))
    };
    let of_pods = |role, version: &str| {
        trouble(observed, role, version).map(|trouble| (trouble.reason.to_owned(), trouble.message))
    };
    match plan.waiting_on.as_ref()? {
        // The pods of a release on its way show nowhere else while another one serves.
        WaitingOn::Workload(role) => of_pods(*role, target),
        WaitingOn::Paused if plan.stage == Stage::Deploying => {
            Role::ALL.into_iter().find_map(|role| of_pods(role, target))
        }
        WaitingOn::Handover => of_pods(Role::Gateway, plan.release.current.as_deref().unwrap_or_default()),
        WaitingOn::Job(_) | WaitingOn::Again(_) | WaitingOn::Change(_) if plan.stage == Stage::Configuring => {
            plan_replica::held_up(observed, plan).or_else(|| unless_usual(&plan.analytics_verdict))
        }
        WaitingOn::Migration
        | WaitingOn::MigrationRetry
        | WaitingOn::MigrationCorrection
        | WaitingOn::Job(_)
        | WaitingOn::Again(_)
        | WaitingOn::Change(_) => unless_usual(&plan.schema_verdict),
        WaitingOn::Settings | WaitingOn::Maintenance => unless_usual(&plan.settings_verdict),
        WaitingOn::Judgement => match &plan.judgement {
            Judgement::Inconclusive(_) => Some(("Inconclusive".to_owned(), "see the condition SLAMet".to_owned())),
            Judgement::Healthy | Judgement::Breached(_) => None,
        },
        WaitingOn::Correction(_)
        | WaitingOn::Approval { .. }
        | WaitingOn::Staging(_)
        | WaitingOn::Check(_)
        | WaitingOn::Traffic
        | WaitingOn::TrafficAtOnce
        | WaitingOn::Step { .. }
        | WaitingOn::Watch { .. }
        | WaitingOn::TrafficBack
        | WaitingOn::Paused => None,
    }
}

/// Whether the platform takes payments to their end. What was once put in force stays so while its successor is on
/// its way: an upgrade that fails does not make the release that serves any worse.
fn ready(observed: &Observed, plan: &Plan, concerns: &[(&str, Verdict)]) -> Verdict {
    let serves = plan.release.current.is_some();
    let failing = concerns.iter().find(|(name, verdict)| match *name {
        cluster::SECRETS_AVAILABLE | cluster::SCHEMA_READY => !serves && !verdict.is_true(),
        cluster::SETTINGS_APPLIED => plan.settings.is_none(),
        cluster::PROVIDERS_READY => !providers::is_any_usable(&observed.providers),
        cluster::DATABASE_REACHABLE => verdict.truth == Truth::False,
        cluster::APPROVED
        | cluster::CACHE_REACHABLE
        | cluster::SLA_MET
        | cluster::ANALYTICS_READY
        | cluster::REPLICA_READY
        | cluster::WRITES_ACCEPTED
        | cluster::NOTIFICATIONS_READY
        | cluster::ARCHIVED => false,
        _ => !verdict.is_true(),
    });
    if let Some((reason, message)) = plan.stalled.as_ref().filter(|_| !serves) {
        return Verdict::no(reason, message.clone());
    }
    match (failing, &plan.release.current) {
        (Some((name, verdict)), _) => Verdict::no(&verdict.reason, format!("{name}: {}", verdict.message)),
        (None, None) => Verdict::no(plan.stage.as_str(), "the first release is on its way"),
        (None, Some(current)) => {
            match concerns.iter().find(|(_, verdict)| verdict.truth == Truth::False || verdict.reason == "Degraded") {
                Some((name, verdict)) => {
                    Verdict::yes("Serving", format!("release {current} takes payments; {name}: {}", verdict.message))
                }
                None => Verdict::yes("Serving", format!("release {current} takes payments")),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::json;

    use super::*;
    use crate::cluster::fixtures::{self, World};
    use crate::cluster::plan;
    use crate::secrets::SecretState;

    fn verdicts(observed: &Observed) -> Vec<(&'static str, Verdict)> {
        let validated = validate::validate(observed);
        of(observed, &plan::plan(validated.as_ref(), observed, Timestamp::from_second(1_000).unwrap()), None)
    }

    fn one(observed: &Observed, name: &str) -> Verdict {
        verdicts(observed).into_iter().find(|(found, _)| *found == name).unwrap().1
    }

    #[test]
    fn every_condition_is_set_at_the_first_look() {
        let names: Vec<_> = verdicts(&fixtures::observed(|_| {})).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names.len(), 18);
        assert_eq!(names[..3], ["Ready", "Reconciling", "Stalled"]);
    }

    #[test]
    fn a_missing_secret_stalls_and_is_named() {
        let observed = fixtures::observed(|observed| observed.cache_secret = SecretState::Missing);
        let stalled = one(&observed, "Stalled");
        assert!(stalled.is_true() && stalled.message.contains("payments-redis"), "{stalled:?}");
        assert_eq!(one(&observed, "SecretsAvailable").reason, "SecretMissing");
        assert_eq!(one(&observed, "Ready").truth, Truth::False);
    }

    #[test]
    fn a_finished_platform_is_ready_and_at_rest() {
        let world = World::finished();
        assert_eq!(one(&world.observed, "Ready"), Verdict::yes("Serving", "release 0.1.0 takes payments"));
        assert_eq!(one(&world.observed, "Reconciling").reason, "Finished");
        assert_eq!(one(&world.observed, "Stalled").truth, Truth::False);
    }

    #[test]
    fn redis_gone_is_told_and_payments_go_on() {
        let mut world = World::finished();
        world.says(
            "gateway",
            json!([
                { "name": "database", "ok": true, "optional": false, "message": "" },
                { "name": "cache", "ok": false, "optional": true, "message": "connection refused" },
            ]),
        );
        let cache = one(&world.observed, "CacheReachable");
        assert!(cache.truth == Truth::False && cache.message.contains("slower"), "{cache:?}");
        let ready = one(&world.observed, "Ready");
        assert!(ready.is_true() && ready.message.contains("CacheReachable"), "{ready:?}");
    }

    #[test]
    fn a_database_that_is_gone_makes_the_platform_not_ready() {
        let mut world = World::finished();
        world.says(
            "gateway",
            json!([{ "name": "database", "ok": false, "optional": false, "message": "connection refused" }]),
        );
        let ready = one(&world.observed, "Ready");
        assert!(ready.truth == Truth::False && ready.message.contains("connection refused"), "{ready:?}");
    }

    #[test]
    fn a_release_whose_image_is_missing_is_told_while_the_one_before_it_serves() {
        let mut world = World::finished();
        world.observed.cluster.spec.version = "9.9.9".into();
        world.run_until(|plan| plan.stage == Stage::Deploying);
        let pod = json!({
            "metadata": { "name": "p", "labels": { labels::COMPONENT: "gateway", labels::RELEASE: "9.9.9" } },
            "spec": { "containers": [{ "name": "purser", "image": "purser:9.9.9" }] },
            "status": { "containerStatuses": [{
                "name": "purser", "image": "", "imageID": "", "restartCount": 0, "ready": false,
                "state": { "waiting": { "reason": "ImagePullBackOff" } },
            }] },
        });
        world.observed.pods.push(serde_json::from_value(pod).unwrap());
        for is_held in [true, false] {
            let annotations = world.observed.cluster.metadata.annotations.get_or_insert_default();
            annotations.insert(crds::annotations::PAUSED.into(), is_held.to_string());
            let reconciling = one(&world.observed, "Reconciling");
            assert!(reconciling.message.contains("\"purser:9.9.9\" cannot be pulled"), "{reconciling:?}");
        }
        assert!(one(&world.observed, "Ready").is_true());
        assert_eq!(one(&world.observed, "GatewayAvailable").reason, "Available");
    }

    #[test]
    fn a_provider_that_is_gone_makes_the_platform_not_ready() {
        let mut world = World::finished();
        world.observed.providers.clear();
        assert_eq!(one(&world.observed, "Ready").reason, "NoProviderSelected");
    }
}
