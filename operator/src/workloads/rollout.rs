//! How far a Deployment has come. ★ Pure.

use k8s_openapi::api::apps::v1::Deployment;

/// A Deployment in figures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rollout {
    /// Pods that are wanted.
    pub wanted: i32,
    /// Pods that are ready.
    pub ready: i32,
    /// Pods that serve.
    pub available: i32,
    /// Whether pods of an older template are still there, or the newest one was not looked at yet.
    pub in_progress: bool,
    /// Whether every wanted pod is of the newest template and serves.
    pub complete: bool,
}

/// Reads a Deployment; `least` is the number of pods without which it is not complete.
#[must_use]
pub fn of(deployment: &Deployment, least: i32) -> Rollout {
    let spec_replicas = deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    let wanted = spec_replicas.max(least);
    let Some(status) = &deployment.status else {
        return Rollout { wanted, in_progress: true, ..Rollout::default() };
    };
    let unseen = status.observed_generation != deployment.metadata.generation;
    let (all, updated) = (status.replicas.unwrap_or(0), status.updated_replicas.unwrap_or(0));
    let available = status.available_replicas.unwrap_or(0);
    Rollout {
        wanted,
        ready: status.ready_replicas.unwrap_or(0),
        available,
        in_progress: unseen || all > updated,
        complete: !unseen && all == updated && updated >= wanted && available >= wanted,
    }
}

/// Why Kubernetes refuses to make pods, say because of a quota or a policy; `None` when it does not.
#[must_use]
pub fn refusal(deployment: &Deployment) -> Option<&str> {
    let conditions = deployment.status.as_ref()?.conditions.as_ref()?;
    let refused = conditions.iter().find(|found| found.type_ == "ReplicaFailure" && found.status == "True")?;
    refused.message.as_deref()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_rollout_is_complete_when_only_new_pods_are_there_and_all_of_them_serve() {
        let cases = [
            // (generation seen, replicas, updated, available), in progress, complete
            ((2, 2, 2, 2), false, true),
            ((1, 2, 2, 2), true, false),
            ((2, 3, 1, 2), true, false),
            ((2, 2, 2, 1), false, false),
            ((2, 1, 1, 1), false, false),
        ];
        for ((seen, replicas, updated, available), in_progress, complete) in cases {
            let deployment: Deployment = serde_json::from_value(json!({
                "metadata": { "generation": 2 },
                "spec": { "replicas": 2, "selector": {}, "template": {} },
                "status": {
                    "observedGeneration": seen,
                    "replicas": replicas,
                    "updatedReplicas": updated,
                    "availableReplicas": available,
                },
            }))
            .unwrap();
            let rollout = of(&deployment, 2);
            assert_eq!((rollout.in_progress, rollout.complete), (in_progress, complete), "{deployment:?}");
        }
    }
}
