//! The autoscaler of the gateway.

use runtime_contract::Role;
use serde_json::json;

use crate::cluster::validate::Validated;
use crate::owned::{Desired, Kind};

pub(super) fn gateway(cluster: &Validated) -> Option<Desired> {
    let autoscaling = cluster.spec.gateway.autoscaling.as_ref()?;
    let (identity, release) = (&cluster.identity, &cluster.release);
    let name = identity.deployment(Role::Gateway, release);
    let content = json!({
        "spec": {
            "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": name },
            "minReplicas": autoscaling.min_replicas,
            "maxReplicas": autoscaling.max_replicas,
            "metrics": [{
                "type": "Resource",
                "resource": {
                    "name": "cpu",
                    "target": { "type": "Utilization", "averageUtilization": autoscaling.target_cpu_utilization },
                },
            }],
        },
    });
    Some(Desired::new(Kind::HorizontalPodAutoscaler, identity, name, Role::Gateway.as_str(), Some(release), content))
}
