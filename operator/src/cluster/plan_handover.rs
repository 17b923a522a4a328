//! How the traffic of a release that is wanted no more comes back to the one that serves. ★ Pure.
//!
//! A canary that has most of the traffic leaves few pods to the release that serves. When another spec supersedes it, those pods
//! come back first: until they are there, the canary keeps what it has, and nothing is begun for the release that is wanted next.
//! One that is given up waits for them as well, but not for long, and not when its payments fail.

use crds::payment_cluster::ReleaseStatus;
use jiff::Timestamp;
use runtime_contract::Role;

use super::configuration::of_serving;
use super::observed::Observed;
use super::plan::stage_before;
use super::plan_history::has_passed;
use super::plan_objects::{gateways, replicas_of, rollout_of, traffic, whole_gateway};
use super::plan_shift::pods_at;
use super::plan_sla;
use super::step::Step;
use super::validate::{Replicas, Validated};
use crate::names::Release;
use crate::owned::{Desired, Kind};
use crate::workloads::rollout::Rollout;
use crate::workloads::{self, Traffic};

/// How long a release that is given up keeps its traffic for want of pods that could take it.
const PODS_BACK_MS: u64 = 10_000;

/// Traffic that has not come back yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handover {
    /// Where it goes meanwhile.
    pub traffic: Traffic,
    /// The releases that take it beside the one that serves, or in its place.
    pub releases: Vec<String>,
}

/// What has not come back yet; `None` when nothing is waited for. No longer than a release may take to start, and not for one
/// whose payments fail.
#[must_use]
pub fn of(cluster: &Validated, observed: &Observed, release: &ReleaseStatus, now: Timestamp) -> Option<Handover> {
    let serving = release.current.as_deref()?;
    // Once anything is begun for the next release, the traffic is back.
    let is_begun = !stage_before(observed).is_before_start();
    let is_late = has_passed(release.started_at.as_ref(), cluster.progress_deadline_ms, now);
    let traffic = traffic(observed).filter(|traffic| *traffic != Traffic::To(serving.to_owned()))?;
    if is_begun || is_late || is_whole(cluster, observed, serving) {
        return None;
    }
    let others = gateways(observed).filter_map(|gateway| gateway.release.clone());
    let takes_some = |other: &String| {
        let is_selected = traffic == Traffic::Split || traffic == Traffic::To(other.clone());
        other != serving && is_selected && rollout(cluster, observed, other, Replicas::Fixed(0)).available > 0
    };
    let releases: Vec<_> = others.filter(takes_some).collect();
    let is_worth = |other: &String| !plan_sla::is_emergency(cluster, observed, other, now);
    (!releases.is_empty() && releases.iter().all(is_worth)).then_some(Handover { traffic, releases })
}

/// The addresses, as long as another release is not deployed. Whoever has the traffic is reached in its own way.
#[must_use]
pub fn addresses(
    cluster: &Validated,
    observed: &Observed,
    handover: Option<&Handover>,
    serving: &Release,
) -> Vec<Desired> {
    let traffic = handover.map_or_else(|| Traffic::To(serving.name.clone()), |handover| handover.traffic.clone());
    let reached = match &traffic {
        Traffic::To(name) => of_serving(cluster, observed, &Release { name: name.clone() }),
        Traffic::Split => of_serving(cluster, observed, serving),
    };
    workloads::shared(&reached, &traffic)
}

/// Gives the release that serves the gateway pods for all of the traffic back, if it has fewer.
#[must_use]
pub fn scale_up(cluster: &Validated, observed: &Observed, serving: &Release) -> Option<Step> {
    let replicas = cluster.replicas(Role::Gateway).fixed()?;
    let deployment = cluster.identity.deployment(Role::Gateway, serving);
    let there = replicas_of(observed.find(Kind::Deployment, &deployment)?);
    (there < Some(replicas)).then_some(Step::Scale { deployment, replicas })
}

/// Whether a release that is given up may go down to this share of the traffic: the one that serves has the pods for the rest, or
/// was waited for. `of_serving` is the spec that the latter goes by.
#[must_use]
pub fn may_go_back(
    of_serving: &Validated,
    observed: &Observed,
    release: &ReleaseStatus,
    to: i32,
    now: Timestamp,
) -> bool {
    let (Some(whole), Some(serving)) = (of_serving.replicas(Role::Gateway).fixed(), release.current.as_deref()) else {
        return true;
    };
    let (_, needed) = pods_at(to, whole);
    let given_up = release.abandoned.as_ref();
    rollout(of_serving, observed, serving, Replicas::Fixed(needed)).available >= needed
        || given_up.is_some_and(|given_up| has_passed(Some(&given_up.at), PODS_BACK_MS, now))
        || release.target.as_ref().is_some_and(|target| plan_sla::is_emergency(of_serving, observed, target, now))
}

/// Takes the gateway pods that are more than its share from a release that is given up.
#[must_use]
pub fn scale_down(cluster: &Validated, observed: &Observed, weight: i32) -> Option<Step> {
    let replicas = pods_at(weight, whole_gateway(cluster, observed)).0;
    let deployment = cluster.identity.deployment(Role::Gateway, &cluster.release);
    let there = replicas_of(observed.find(Kind::Deployment, &deployment)?);
    (there > Some(replicas)).then_some(Step::Scale { deployment, replicas })
}

fn is_whole(cluster: &Validated, observed: &Observed, release: &str) -> bool {
    rollout(cluster, observed, release, cluster.replicas(Role::Gateway)).complete
}

fn rollout(cluster: &Validated, observed: &Observed, release: &str, replicas: Replicas) -> Rollout {
    let name = cluster.identity.deployment(Role::Gateway, &Release { name: release.to_owned() });
    rollout_of(observed, &name, replicas)
}
