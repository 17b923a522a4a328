//! Writes the status, when it says something new, and tells the news as Events.

use crds::Stage;
use crds::payment_cluster::{PaymentClusterStatus, ReplicasStatus};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::Resource;
use runtime_contract::Role;

use super::announce;
use super::conditions;
use super::observed::Observed;
use super::plan::Plan;
use super::step::Verdict;
use crate::context::Context;
use crate::error::Error;
use crate::notifications;
use crate::status;

/// Writes what became of a plan; the status as it is now.
///
/// # Errors
/// When the API server does not take the status.
pub async fn report(
    context: &Context,
    observed: &Observed,
    plan: &Plan,
    failure: Option<&Error>,
    now: Timestamp,
) -> Result<PaymentClusterStatus, Error> {
    let before = observed.cluster.status.clone().unwrap_or_default();
    let after = build(observed, plan, failure.map(ToString::to_string).as_deref(), now);
    if before == after {
        return Ok(after);
    }
    status::write(context, &observed.cluster, &after).await?;
    let reference = observed.cluster.object_ref(&());
    check_order(before.stage, after.stage);
    for announcement in announce::of_statuses(&before, &after) {
        context.publish(&announcement.event(), &reference).await;
    }
    Ok(after)
}

/// The status that a plan makes.
#[must_use]
pub fn build(observed: &Observed, plan: &Plan, failure: Option<&str>, now: Timestamp) -> PaymentClusterStatus {
    let generation = observed.cluster.metadata.generation.unwrap_or(0);
    let before = observed.cluster.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    let verdicts = conditions::of(observed, plan, failure);
    let mut after = PaymentClusterStatus {
        observed_generation: generation,
        stage: Some(plan.stage),
        waiting_on: plan.waiting_on.as_ref().map(ToString::to_string),
        release: Some(plan.release.clone()),
        settings: plan.settings.clone(),
        archive: plan.archive.status.clone(),
        replicas: Some(replicas(observed, plan)),
        selector: conditions::shown_release(plan).map(|release| {
            let labels = observed.identity.pod_selector(Role::Gateway, Some(&release.name));
            labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
        }),
        conditions: verdicts
            .into_iter()
            .map(|(name, verdict)| condition(name, verdict, before, generation, now))
            .collect(),
        notifications: None,
    };
    // They come of all the rest, and stand in the same write: what is told has happened, and what has happened is told.
    after.notifications = notifications::owed(observed, &after, now);
    after
}

fn replicas(observed: &Observed, plan: &Plan) -> ReplicasStatus {
    let of = |role| conditions::shown_rollout(observed, plan, role);
    let (ready, wanted) = Role::ALL
        .into_iter()
        .map(of)
        .fold((0, 0), |(ready, wanted), rollout| (ready + rollout.ready, wanted + rollout.wanted));
    ReplicasStatus {
        ready: format!("{ready}/{wanted}"),
        gateway: of(Role::Gateway).ready,
        fraud: of(Role::Fraud).ready,
        processor: of(Role::Processor).ready,
        metrics: of(Role::Metrics).ready,
    }
}

/// A condition keeps its time until its status changes.
#[must_use]
pub fn condition(name: &str, verdict: Verdict, before: &[Condition], generation: i64, now: Timestamp) -> Condition {
    let Verdict { truth, reason, message } = verdict;
    let same = before.iter().find(|before| before.type_ == name && before.status == truth.as_str());
    // Seconds are all that the API server keeps; more of them would look like a change at each look.
    let now = Timestamp::from_second(now.as_second()).unwrap_or(now);
    Condition {
        type_: name.to_owned(),
        status: truth.as_str().to_owned(),
        reason,
        message,
        observed_generation: Some(generation),
        last_transition_time: same.map_or(Time(now), |same| same.last_transition_time.clone()),
    }
}

fn check_order(before: Option<Stage>, after: Option<Stage>) {
    if let (Some(before), Some(after)) = (before, after)
        && before != after
        && !after.may_follow(before)
    {
        tracing::error!(?before, ?after, "a stage follows another that it may not follow");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::fixtures::World;
    use crate::cluster::{plan, validate};

    #[test]
    fn a_second_look_at_the_same_world_writes_nothing() {
        let mut world = World::finished();
        let look = |world: &mut World, second: i64| {
            world.observed.figures = (world.figures)(second);
            let now = Timestamp::from_second(second).unwrap();
            let validated = validate::validate(&world.observed);
            build(&world.observed, &plan::plan(validated.as_ref(), &world.observed, now), None, now)
        };
        let first = look(&mut world, 1_000);
        world.observed.cluster.status = Some(first.clone());
        assert_eq!(look(&mut world, 2_000), first);
    }

    #[test]
    fn a_condition_keeps_its_time_until_its_status_changes() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let first = condition("Ready", Verdict::no("A", "a"), &[], 1, at(1));
        let reworded = condition("Ready", Verdict::no("B", "b"), std::slice::from_ref(&first), 2, at(2));
        assert_eq!(reworded.last_transition_time, first.last_transition_time);
        let turned = condition("Ready", Verdict::yes("C", "c"), &[reworded], 2, at(3));
        assert_eq!(turned.last_transition_time.0, at(3));
    }
}
