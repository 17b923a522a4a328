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
pub mod plan_checks;
pub mod plan_deploy;
pub mod plan_history;
pub mod plan_job;
pub mod plan_maintenance;
pub mod plan_migration;
pub mod plan_objects;
pub mod plan_prepare;
pub mod plan_promotion;
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
pub mod upstream;
pub mod validate;

use std::time::Duration;

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
    let next_look = paced(plan.next_look, context.metrics.resources());
    Ok(Action::requeue(if owes { next_look.min(plan::NEXT_LOOK_MOVING) } else { next_look }))
}

/// What a look at a resource at rest may take of the operator's and the API server's time, on average.
const LOOK_AT_REST: Duration = Duration::from_millis(30);

/// Looks at what rests come less often where there is much of it: they must not keep those waiting that move.
fn paced(next_look: Duration, resources: usize) -> Duration {
    if next_look < plan::NEXT_LOOK_AT_REST {
        return next_look;
    }
    next_look.max(LOOK_AT_REST.saturating_mul(u32::try_from(resources).unwrap_or(u32::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_at_rest_are_looked_at_less_often_and_what_moves_as_often_as_ever() {
        assert_eq!(paced(plan::NEXT_LOOK_AT_REST, 20), plan::NEXT_LOOK_AT_REST);
        assert_eq!(paced(plan::NEXT_LOOK_AT_REST, 2_000), Duration::from_secs(60));
        assert_eq!(paced(plan::NEXT_LOOK_WATCHING, 2_000), plan::NEXT_LOOK_WATCHING);
    }
}
