//! Which PaymentCluster a provider belongs to. ★ Pure.

use crds::PaymentProvider;
use kube::{Resource, ResourceExt};

use super::claimant::Claimant;

/// The PaymentCluster of the namespace that a provider belongs to. Where the selectors of two of them match, it is
/// the older one: a newcomer never takes a provider away from payments that run.
#[must_use]
pub fn owner<'a>(provider: &PaymentProvider, clusters: &'a [Claimant]) -> Option<&'a Claimant> {
    clusters
        .iter()
        .filter(|cluster| cluster.namespace() == provider.namespace())
        .filter(|cluster| cluster.meta().deletion_timestamp.is_none())
        .filter(|cluster| cluster.selects(provider))
        .min_by_key(|cluster| (cluster.meta().creation_timestamp.as_ref().map(|time| time.0), cluster.name_any()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::fixtures;

    #[test]
    fn a_provider_belongs_to_the_older_of_two_clusters_and_to_none_that_goes_away() {
        let provider = fixtures::provider("stripe", |_| {});
        let mut older = fixtures::cluster(|_| {});
        let mut younger = older.clone();
        younger.metadata.name = Some("another".into());
        older.metadata.creation_timestamp = Some(fixtures::time(1));
        younger.metadata.creation_timestamp = Some(fixtures::time(2));
        let both = [younger.clone(), older.clone()].map(Claimant::from);
        assert_eq!(owner(&provider, &both).unwrap().name_any(), "payments");
        older.metadata.deletion_timestamp = Some(fixtures::time(3));
        assert_eq!(owner(&provider, &[younger, older].map(Claimant::from)).unwrap().name_any(), "another");
        let unlabelled = fixtures::provider("other", |provider| provider.metadata.labels = None);
        assert!(owner(&unlabelled, &both).is_none());
    }
}
