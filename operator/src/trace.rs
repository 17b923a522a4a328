//! What a watch needs of an object, and no more.
//!
//! Of a metadata-only answer the managed fields are most: they are skipped where they are read, and not taken apart first. A thousand
//! PaymentClusters have some thirty thousand objects, all of which are listed when the operator starts.

use std::borrow::Cow;
use std::marker::PhantomData;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{OwnerReference, Time};
use kube::Resource;
use kube::core::ObjectMeta;
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;

/// An object of kind `K` as a watch sees it: who it is, its version, its labels and its owners.
#[derive(Clone, Debug, Deserialize)]
#[serde(bound = "")]
pub struct Trace<K> {
    #[serde(deserialize_with = "without_managed_fields")]
    metadata: ObjectMeta,
    #[serde(skip)]
    kind: PhantomData<K>,
}

/// The part of [`ObjectMeta`] that is read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Read {
    name: Option<String>,
    namespace: Option<String>,
    uid: Option<String>,
    resource_version: Option<String>,
    generation: Option<i64>,
    creation_timestamp: Option<Time>,
    deletion_timestamp: Option<Time>,
    labels: Option<BTreeMap<String, String>>,
    owner_references: Option<Vec<OwnerReference>>,
}

/// Reads the part of the metadata that somebody here needs.
pub(crate) fn without_managed_fields<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ObjectMeta, D::Error> {
    let Read {
        name,
        namespace,
        uid,
        resource_version,
        generation,
        creation_timestamp,
        deletion_timestamp,
        labels,
        owner_references,
    } = Read::deserialize(deserializer)?;
    Ok(ObjectMeta {
        name,
        namespace,
        uid,
        resource_version,
        generation,
        creation_timestamp,
        deletion_timestamp,
        labels,
        owner_references,
        ..ObjectMeta::default()
    })
}

impl<K: Resource> Resource for Trace<K> {
    type DynamicType = K::DynamicType;
    type Scope = K::Scope;

    fn metadata_api() -> bool {
        true
    }

    fn kind(dynamic: &Self::DynamicType) -> Cow<'_, str> {
        K::kind(dynamic)
    }

    fn group(dynamic: &Self::DynamicType) -> Cow<'_, str> {
        K::group(dynamic)
    }

    fn version(dynamic: &Self::DynamicType) -> Cow<'_, str> {
        K::version(dynamic)
    }

    fn plural(dynamic: &Self::DynamicType) -> Cow<'_, str> {
        K::plural(dynamic)
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Pod;
    use kube::ResourceExt as _;
    use serde_json::json;

    use super::*;

    #[test]
    fn managed_fields_are_passed_over_and_what_identifies_an_object_is_kept() {
        let answer = json!({
            "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
            "metadata": {
                "name": "a", "namespace": "n", "uid": "u", "resourceVersion": "7", "generation": 2,
                "creationTimestamp": "2026-01-01T00:00:00Z", "labels": { "x": "y" }, "annotations": { "big": "text" },
                "ownerReferences": [{ "apiVersion": "v1", "kind": "Pod", "name": "o", "uid": "ou" }],
                "managedFields": [{ "manager": "m", "fieldsV1": { "f:spec": {} } }],
            },
        });
        let trace: Trace<Pod> = serde_json::from_value(answer).unwrap();
        assert_eq!(
            (trace.name_any(), trace.namespace(), trace.uid()),
            ("a".into(), Some("n".into()), Some("u".into()))
        );
        assert_eq!((trace.resource_version(), trace.meta().generation), (Some("7".into()), Some(2)));
        assert_eq!((trace.labels()["x"].as_str(), trace.owner_references().len()), ("y", 1));
        assert!(trace.managed_fields().is_empty() && trace.annotations().is_empty());
        assert!(Trace::<Pod>::metadata_api());
    }
}
