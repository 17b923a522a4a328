//! PaymentCluster: observe → validate → plan → apply → report, one file each.
//!
//! Only observe, apply and report hold a client. Nothing is remembered outside the cluster: kill the operator
//! anywhere, and the next reconcile goes on. What [`crate::rest`] keeps only spares looks at what has not changed.

pub mod announce;
pub mod apply;
pub mod conditions;
pub mod configuration;
pub mod diagnosis;
#[cfg(test)]
pub mod fixture_secrets;
#[cfg(test)]
pub mod fixtures;
pub mod observe;
pub mod observe_serving;
pub mod observed;
pub mod plan;
pub mod plan_abandon;
pub mod plan_approval;
pub mod plan_archive;
pub mod plan_back;
pub mod plan_checks;
pub mod plan_configure;
pub mod plan_deploy;
pub mod plan_handover;
pub mod plan_history;
pub mod plan_job;
pub mod plan_maintenance;
pub mod plan_migration;
pub mod plan_objects;
pub mod plan_prepare;
pub mod plan_promotion;
pub mod plan_replica;
pub mod plan_restore;
pub mod plan_settings;
pub mod plan_shift;
pub mod plan_sla;
pub mod providers;
pub mod prune;
pub mod record;
pub mod record_text;
pub mod report;
pub mod revision;
pub mod step;
pub mod upstream;
pub mod validate;

use std::time::Duration;

use kube::runtime::controller::Action;

use crate::context::Context;
use crate::error::Error;
use crate::rest::memory::{Depth, Place, Rest};
use crate::rest::print;
use observe::Extent;

/// Brings one PaymentCluster closer to its spec, and says in its status where it stands. At rest, it only finds out whether
/// it still is.
///
/// # Errors
/// When the API server refuses or does not answer; what was done until then stays, and the next pass goes on.
pub async fn reconcile(context: &Context, namespace: &str, name: &str) -> Result<Action, Error> {
    let place = Place { namespace: namespace.to_owned(), name: name.to_owned() };
    context.rest.until_told().await;
    let resources = context.rest.resources();
    let (period, whole) = (paced(plan::NEXT_LOOK_AT_REST, resources), between_whole_looks(resources));
    let depth = context.rest.depth(&place, period, whole);
    context.metrics.looked(depth);
    match depth {
        Depth::Later(wait) => Ok(Action::requeue(wait)),
        Depth::Referred if is_unchanged(context, &place, period).await? => Ok(Action::requeue(period)),
        Depth::Referred | Depth::Whole => look(context, &place, period, whole).await,
    }
}

/// Whether what is not watched is as it was when the PaymentCluster was found at rest.
async fn is_unchanged(context: &Context, place: &Place, period: Duration) -> Result<bool, Error> {
    let Place { namespace, name } = place;
    let began = context.rest.now();
    let observed = observe::observe(context, namespace, name, Extent::Referred).await?;
    let Some(observed) = observed else { return Ok(false) };
    let referred = print::of_referred(&observed, observed.at);
    Ok(context.rest.memory().is_unchanged(place, referred, began, context.rest.now(), period))
}

/// Observe → validate → plan → apply → report.
async fn look(context: &Context, place: &Place, period: Duration, whole: Duration) -> Result<Action, Error> {
    let Place { namespace, name } = place;
    let began = context.rest.now();
    let Some(observed) = observe::observe(context, namespace, name, Extent::Whole).await? else {
        return Ok(Action::await_change());
    };
    // Whatever fails from here on: it is not known to be at rest.
    context.rest.memory().moves(place);
    let now = observed.at;
    let validated = validate::validate(&observed);
    let plan = plan::plan(validated.as_ref(), &observed, now);
    let applied = apply::apply(context, &observed.identity, &plan.steps).await;
    let status = report::report(context, &observed, &plan, applied.as_ref().err(), now).await?;
    context.courier.carry(context, &observed, &status);
    applied?;
    let owes = status.notifications.as_ref().is_some_and(|notifications| !notifications.owed.is_empty());
    if plan.is_at_rest(&observed) && !owes && observed.cluster.status == Some(status) {
        let rest = Rest { watched: print::of_watched(&observed), referred: print::of_referred(&observed, now) };
        context.rest.memory().settled(place, rest, began, context.rest.now(), period, whole);
    }
    let next_look = paced(plan.next_look, context.rest.resources());
    Ok(Action::requeue(if owes { next_look.min(plan::NEXT_LOOK_MOVING) } else { next_look }))
}

/// What a look at a resource at rest may take of the operator's and the API server's time, on average.
const LOOK_AT_REST: Duration = Duration::from_millis(30);
/// However quiet the watches are, all of a PaymentCluster is looked at as often as this.
const WHOLE_LOOK_AT_REST: Duration = Duration::from_mins(10);
/// So many looks at what is not watched come on one at all there is, where there is much of it.
const LOOKS_PER_WHOLE_LOOK: u32 = 10;

fn between_whole_looks(resources: usize) -> Duration {
    WHOLE_LOOK_AT_REST.max(paced(plan::NEXT_LOOK_AT_REST, resources) * LOOKS_PER_WHOLE_LOOK)
}

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
