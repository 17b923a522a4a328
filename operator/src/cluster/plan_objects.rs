//! From wanted objects and those that are there to the writes between them. ★ Pure.

use k8s_openapi::api::apps::v1::Deployment;
use runtime_contract::{Role, labels};

use super::observed::Observed;
use super::plan_migration;
use super::prune;
use super::step::Step;
use super::validate::{Replicas, Validated};
use crate::owned::difference::contains;
use crate::owned::{Desired, Kind, Live};
use crate::workloads::Traffic;
use crate::workloads::rollout::{self, Rollout};

/// A Deployment in figures; nothing at all when it is not there.
#[must_use]
pub fn rollout_of(observed: &Observed, name: &str, replicas: Replicas) -> Rollout {
    let deployment = observed
        .find(Kind::Deployment, name)
        .and_then(|live| serde_json::from_value::<Deployment>(live.body.clone()).ok());
    match deployment {
        Some(deployment) => rollout::of(&deployment, replicas.least()),
        None => Rollout { wanted: replicas.least(), in_progress: true, ..Rollout::default() },
    }
}

/// What has to be applied so that the objects are as they are wanted.
#[must_use]
pub fn differences(cluster: &Validated, observed: &Observed, wanted: &[Desired]) -> Vec<Step> {
    let mut steps = Vec::new();
    for object in wanted {
        let live = observed.find(object.kind, &object.name);
        let scale = autoscaled(cluster, object).map(|least| {
            let replicas = live.map_or_else(|| gateway_pods(observed), replicas_of).unwrap_or(least).max(least);
            Step::Scale { deployment: object.name.clone(), replicas }
        });
        match live {
            Some(live) if live.is_terminating() => {}
            Some(live) => {
                // The number of pods is handed over before it is let go, or Kubernetes would fall back to one.
                steps.extend(scale.filter(|_| prune::owns_replicas(live)));
                if !contains(&live.body, &object.body) {
                    steps.push(Step::Apply { object: Box::new(object.clone()), is_new: false });
                }
            }
            None => {
                steps.push(Step::Apply { object: Box::new(object.clone()), is_new: true });
                steps.extend(scale);
            }
        }
    }
    steps
}

/// Gateway pods that take all of the traffic.
#[must_use]
pub fn whole_gateway(cluster: &Validated, observed: &Observed) -> i32 {
    let least = cluster.replicas(Role::Gateway);
    least.fixed().unwrap_or_else(|| gateway_pods(observed).unwrap_or(0).max(least.least()))
}

/// How many gateway pods serve by now: a new release takes over what the autoscaler has found to be needed.
fn gateway_pods(observed: &Observed) -> Option<i32> {
    gateways(observed).filter_map(replicas_of).max()
}

/// The gateways of all releases.
pub fn gateways(observed: &Observed) -> impl Iterator<Item = &Live> {
    observed
        .live
        .iter()
        .filter(|live| live.kind == Kind::Deployment && plan_migration::component(live) == Some(Role::Gateway.as_str()))
}

/// The number of pods that a Deployment is to have.
#[must_use]
pub fn replicas_of(deployment: &Live) -> Option<i32> {
    deployment.body.pointer("/spec/replicas")?.as_i64().and_then(|replicas| i32::try_from(replicas).ok())
}

/// The fewest pods of a Deployment whose number the autoscaler owns.
fn autoscaled(cluster: &Validated, object: &Desired) -> Option<i32> {
    let gateway = cluster.identity.deployment(Role::Gateway, &cluster.release);
    match cluster.replicas(Role::Gateway) {
        Replicas::Scaled(least) if object.kind == Kind::Deployment && object.name == gateway => Some(least),
        Replicas::Scaled(_) | Replicas::Fixed(_) => None,
    }
}

/// Where the traffic goes; `None` when there is no Service.
#[must_use]
pub fn traffic(observed: &Observed) -> Option<Traffic> {
    let service = observed.find(Kind::Service, &observed.identity.gateway_service())?;
    let selector = service.body.pointer("/spec/selector")?;
    Some(match selector.get(labels::RELEASE).and_then(serde_json::Value::as_str) {
        Some(release) => Traffic::To(release.to_owned()),
        None => Traffic::Split,
    })
}
