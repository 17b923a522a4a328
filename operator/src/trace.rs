//! What a watch needs of an object, and no more.
//!
//! Of a metadata-only answer the managed fields are most: they are skipped where they are read, and not taken apart first. A thousand
//! PaymentClusters have some thirty thousand objects, all of which are listed when the operator starts. Only of an autoscaler
//! they are kept: nothing else there tells what is wanted of it from what it says.

use std::borrow::Cow;
use std::marker::PhantomData;

use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, OwnerReference, Time};
use kube::Resource;
use kube::core::ObjectMeta;
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;

/// An object of kind `K` as a watch sees it: who it is, its version, its labels and its owners.
#[derive(Clone, Debug, Deserialize)]
#[serde(bound(deserialize = "K: Resource<DynamicType = ()>"))]
pub struct Trace<K> {
    #[serde(deserialize_with = "of_kind::<K, _>")]
    metadata: ObjectMeta,
    #[serde(skip)]
    kind: PhantomData<K>,
}

/// The part of [`ObjectMeta`] that is read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Read<F> {
    name: Option<String>,
    namespace: Option<String>,
    uid: Option<String>,
    resource_version: Option<String>,
    generation: Option<i64>,
    creation_timestamp: Option<Time>,
    deletion_timestamp: Option<Time>,
    labels: Option<BTreeMap<String, String>>,
    owner_references: Option<Vec<OwnerReference>>,
    #[serde(default)]
    managed_fields: F,
}

/// Reads the part of the metadata of a kind that somebody here needs.
fn of_kind<'de, K: Resource<DynamicType = ()>, D: Deserializer<'de>>(deserializer: D) -> Result<ObjectMeta, D::Error> {
    if K::kind(&()) == <HorizontalPodAutoscaler as k8s_openapi::Resource>::KIND {
        let (meta, managed_fields) = read::<Option<Vec<ManagedFieldsEntry>>, D>(deserializer)?;
        return Ok(ObjectMeta { managed_fields, ..meta });
    }
    without_managed_fields(deserializer)
}

/// Reads the part of the metadata that somebody here needs.
pub(crate) fn without_managed_fields<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ObjectMeta, D::Error> {
    read::<IgnoredAny, D>(deserializer).map(|(meta, _)| meta)
}

/// The managed fields as an `F`, beside the rest.
fn read<'de, F, D>(deserializer: D) -> Result<(ObjectMeta, F), D::Error>
where
    F: Deserialize<'de> + Default,
    D: Deserializer<'de>,
{
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
        managed_fields,
    } = Read::deserialize(deserializer)?;
    let meta = ObjectMeta {
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
    };
    Ok((meta, managed_fields))
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
        let answer = || {
            json!({
                "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
                "metadata": {
                    "name": "a", "namespace": "n", "uid": "u", "resourceVersion": "7", "generation": 2,
                    "creationTimestamp": "2026-01-01T00:00:00Z", "labels": { "x": "y" }, "annotations": { "big": "text" },
                    "ownerReferences": [{ "apiVersion": "v1", "kind": "Pod", "name": "o", "uid": "ou" }],
                    "managedFields": [{ "manager": "m", "fieldsV1": { "f:spec": {} } }],
                },
            })
        };
        let trace: Trace<Pod> = serde_json::from_value(answer()).unwrap();
        assert_eq!(
            (trace.name_any(), trace.namespace(), trace.uid()),
            ("a".into(), Some("n".into()), Some("u".into()))
        );
        assert_eq!((trace.resource_version(), trace.meta().generation), (Some("7".into()), Some(2)));
        assert_eq!((trace.labels()["x"].as_str(), trace.owner_references().len()), ("y", 1));
        assert!(trace.managed_fields().is_empty() && trace.annotations().is_empty());
        assert!(Trace::<Pod>::metadata_api());
        let autoscaler: Trace<HorizontalPodAutoscaler> = serde_json::from_value(answer()).unwrap();
        assert_eq!(autoscaler.managed_fields()[0].manager.as_deref(), Some("m"));
    }
}
