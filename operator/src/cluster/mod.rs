//! PaymentCluster: observe → validate → plan → apply → report, one file each.
//!
//! Only observe, apply and report hold a client. Nothing is remembered outside the cluster: kill the operator
//! anywhere, and the next reconcile goes on.

pub mod announce;
pub mod apply;
pub mod conditions;
pub mod diagnosis;
#[cfg(test)]
pub mod fixtures;
pub mod observe;
pub mod observed;
pub mod plan;
pub mod plan_abandon;
pub mod plan_approval;
pub mod plan_back;
pub mod plan_deploy;
pub mod plan_history;
pub mod plan_job;
pub mod plan_maintenance;
pub mod plan_migration;
pub mod plan_objects;
pub mod plan_prepare;
pub mod plan_restore;
pub mod plan_settings;
pub mod plan_shift;
pub mod plan_sla;
pub mod providers;
pub mod prune;
pub mod record;
pub mod record_text;
pub mod report;
pub mod step;
pub mod validate;

use kube::runtime::controller::Action;

use crate::context::Context;
use crate::error::Error;

/// Brings one PaymentCluster closer to its spec, and says in its status where it stands.
///
/// # Errors
/// When the API server refuses or does not answer; what was done until then stays, and the next pass goes on.
pub async fn reconcile(context: &Context, namespace: &str, name: &str) -> Result<Action, Error> {
    let Some(observed) = observe::observe(context, namespace, name).await? else {
        return Ok(Action::await_change());
    };
    let now = observed.at;
    let validated = validate::validate(&observed);
    let plan = plan::plan(validated.as_ref(), &observed, now);
    let applied = apply::apply(context, &observed.identity, &plan.steps).await;
    let status = report::report(context, &observed, &plan, applied.as_ref().err(), now).await?;
    context.courier.carry(context, &observed, &status);
    applied?;
    let owes = status.notifications.is_some_and(|notifications| !notifications.owed.is_empty());
    Ok(Action::requeue(if owes { plan.next_look.min(plan::NEXT_LOOK_MOVING) } else { plan.next_look }))
}
