//! Reads the PaymentClusters that a wanted version is promoted from, in whatever namespace they are.

use crds::PaymentCluster;
use kube::core::DeserializeGuard;
use kube::{Api, ResourceExt};

use super::observed::Upstream;
use super::plan_promotion::next_of;
use crate::context::Context;
use crate::names::version_of;

/// Longer chains than this are looked at no further: nobody has so many stagings.
const HOPS_MAX: usize = 8;

/// Follows `rollout.promoteFrom`, as long as the version that it is asked for does not serve yet.
///
/// # Errors
/// When the API server does not answer.
pub async fn look(context: &Context, cluster: &PaymentCluster) -> Result<Upstream, kube::Error> {
    let current = cluster.status.as_ref().and_then(|status| status.release.as_ref()?.current.as_ref());
    if current.is_some_and(|current| version_of(current) == cluster.spec.version) {
        return Ok(Upstream::NotAsked);
    }
    let Some(mut next) = next_of(cluster) else { return Ok(Upstream::NotAsked) };
    let mut chain: Vec<PaymentCluster> = Vec::new();
    while let Some((namespace, name)) = next.split_once('/').filter(|_| chain.len() < HOPS_MAX) {
        let api: Api<DeserializeGuard<PaymentCluster>> = Api::namespaced(context.client.clone(), namespace);
        match api.get_opt(name).await {
            Ok(Some(DeserializeGuard(Ok(found)))) => chain.push(found),
            // What is further up the chain matters only when it leads back here.
            Ok(_) | Err(kube::Error::Api(_)) if !chain.is_empty() => break,
            Ok(Some(DeserializeGuard(Err(invalid)))) => return Ok(Upstream::Unreadable(invalid.to_string())),
            Ok(None) => break,
            Err(kube::Error::Api(status)) if status.is_forbidden() => return Ok(Upstream::Forbidden),
            Err(error) => return Err(error),
        }
        match chain.last().and_then(next_of) {
            Some(further) if !chain.iter().any(|seen| is(seen, &further)) && !is(cluster, &further) => next = further,
            _ => break,
        }
    }
    Ok(Upstream::Seen(chain))
}

fn is(cluster: &PaymentCluster, name: &str) -> bool {
    format!("{}/{}", cluster.namespace().unwrap_or_default(), cluster.name_any()) == name
}
