//! How many pods of a role a drain may take away at once.

use runtime_contract::Role;
use serde_json::json;

use crate::cluster::validate::Validated;
use crate::owned::{Desired, Kind};

/// None for a role of one pod: a budget there would only block drains.
pub(super) fn of_role(cluster: &Validated, role: Role) -> Option<Desired> {
    if cluster.replicas(role).least() < 2 {
        return None;
    }
    let identity = &cluster.identity;
    let content = json!({
        "spec": {
            "maxUnavailable": 1,
            "selector": { "matchLabels": identity.pod_selector(role, None) },
            // A pod that is not ready serves nobody; it must not keep a node from being drained.
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    });
    let name = format!("{}-{role}", identity.name);
    Some(Desired::new(Kind::PodDisruptionBudget, identity, name, role.as_str(), None, content))
}
