//! What there is to know of a PaymentCluster for whoever asks which of them selects a provider.
//!
//! All of a namespace are read for that, again and again: with fifty of them, whole ones would be the largest answer that the operator
//! takes in. What is not needed here is passed over while it is read.

use std::borrow::Cow;

use crds::PaymentCluster;
use crds::payment_cluster::LabelSelector;
use kube::core::ObjectMeta;
use kube::{Resource, ResourceExt};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::trace::without_managed_fields;

/// A PaymentCluster that may select providers.
#[derive(Clone, Debug, Deserialize)]
pub struct Claimant {
    #[serde(deserialize_with = "without_managed_fields")]
    metadata: ObjectMeta,
    /// Nothing when the spec cannot be read, which hides no other PaymentCluster.
    #[serde(rename = "spec", default, deserialize_with = "selector")]
    pub selector: Option<LabelSelector>,
}

#[derive(Deserialize)]
struct Spec {
    providers: Providers,
}

#[derive(Deserialize)]
struct Providers {
    selector: LabelSelector,
}

impl Claimant {
    /// Whether its selector takes a provider, of whichever namespace.
    #[must_use]
    pub fn selects(&self, provider: &impl ResourceExt) -> bool {
        self.selector.as_ref().is_some_and(|selector| selector.matches(provider.labels()))
    }
}

fn selector<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<LabelSelector>, D::Error> {
    let spec = Box::<RawValue>::deserialize(deserializer)?;
    Ok(serde_json::from_str::<Spec>(spec.get()).ok().map(|spec| spec.providers.selector))
}

impl Resource for Claimant {
    type DynamicType = ();
    type Scope = <PaymentCluster as Resource>::Scope;

    fn kind((): &()) -> Cow<'_, str> {
        PaymentCluster::kind(&())
    }

    fn group((): &()) -> Cow<'_, str> {
        PaymentCluster::group(&())
    }

    fn version((): &()) -> Cow<'_, str> {
        PaymentCluster::version(&())
    }

    fn plural((): &()) -> Cow<'_, str> {
        PaymentCluster::plural(&())
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

impl From<PaymentCluster> for Claimant {
    fn from(cluster: PaymentCluster) -> Self {
        Self { metadata: cluster.metadata, selector: Some(cluster.spec.providers.selector) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::fixtures;

    #[test]
    fn it_is_what_the_payment_cluster_is_and_a_broken_one_hides_no_other() {
        let mut cluster = serde_json::to_value(fixtures::cluster(|_| {})).unwrap();
        let read = |cluster: &serde_json::Value| serde_json::from_str::<Claimant>(&cluster.to_string()).unwrap();
        let claimant = read(&cluster);
        assert_eq!((claimant.name_any(), claimant.uid()), ("payments".into(), Some("uid-1".into())));
        assert_eq!(claimant.selector.unwrap().match_labels["purser.dev/cluster"], "payments");
        cluster["spec"]["providers"]["selector"] = "broken".into();
        assert_eq!(read(&cluster).selector.map(|selector| selector.match_labels), None);
    }
}
