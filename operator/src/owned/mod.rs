//! The objects that the operator makes: their kinds, how they are wanted, and how they are.

pub mod difference;

use k8s_openapi::api::{apps, autoscaling, batch, core, policy};
use kube::api::{ApiResource, DynamicObject, TypeMeta};
use kube::{Resource, ResourceExt};
use runtime_contract::labels;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::names::{Identity, Release};

/// The kinds that the operator makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Identity of the pods; it may do nothing.
    ServiceAccount,
    /// Configuration and live settings.
    ConfigMap,
    /// Addresses.
    Service,
    /// Roles.
    Deployment,
    /// How many pods a drain may take away at once.
    PodDisruptionBudget,
    /// Number of gateway pods.
    HorizontalPodAutoscaler,
    /// Migrations and live settings.
    Job,
}

impl Kind {
    /// Every kind, in the order in which objects are applied.
    pub const ALL: [Self; 7] = [
        Self::ServiceAccount,
        Self::ConfigMap,
        Self::Service,
        Self::Deployment,
        Self::PodDisruptionBudget,
        Self::HorizontalPodAutoscaler,
        Self::Job,
    ];

    /// How the API server knows the kind.
    #[must_use]
    pub fn api_resource(self) -> ApiResource {
        match self {
            Self::ServiceAccount => ApiResource::erase::<core::v1::ServiceAccount>(&()),
            Self::ConfigMap => ApiResource::erase::<core::v1::ConfigMap>(&()),
            Self::Service => ApiResource::erase::<core::v1::Service>(&()),
            Self::Deployment => ApiResource::erase::<apps::v1::Deployment>(&()),
            Self::PodDisruptionBudget => ApiResource::erase::<policy::v1::PodDisruptionBudget>(&()),
            Self::HorizontalPodAutoscaler => ApiResource::erase::<autoscaling::v2::HorizontalPodAutoscaler>(&()),
            Self::Job => ApiResource::erase::<batch::v1::Job>(&()),
        }
    }
}

/// An object as it is wanted.
#[derive(Clone, Debug, PartialEq)]
pub struct Desired {
    /// Its kind.
    pub kind: Kind,
    /// Its name, in the namespace of the PaymentCluster.
    pub name: String,
    /// All that the operator says of it.
    pub body: Value,
}

impl Desired {
    /// An object of a PaymentCluster: `content` is everything besides type, name, labels and owner.
    #[must_use]
    pub fn new(
        kind: Kind,
        identity: &Identity,
        name: String,
        component: &str,
        release: Option<&Release>,
        content: Value,
    ) -> Self {
        let resource = kind.api_resource();
        let mut body = json!({
            "apiVersion": resource.api_version,
            "kind": resource.kind,
            "metadata": {
                "name": name,
                "namespace": identity.namespace,
                "labels": identity.labels(component, release),
                "ownerReferences": [identity.owner_reference()],
            },
        });
        difference::overlay(&mut body, content);
        // A key that the operator no longer sets leaves no trace in what it wants; the hash tells that it is to go.
        let hash = hash_of(&body);
        body["metadata"]["annotations"][labels::CONTENT_HASH] = hash.into();
        Self { kind, name, body }
    }
}

/// An object as it is.
#[derive(Clone, Debug)]
pub struct Live {
    /// Its kind.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// The release that it belongs to, if to one.
    pub release: Option<String>,
    /// All of it.
    pub body: Value,
}

impl Live {
    /// An object as the API server gave it.
    #[must_use]
    pub fn new(kind: Kind, mut object: DynamicObject) -> Self {
        // The items of a list come without their type.
        let resource = kind.api_resource();
        object.types = Some(TypeMeta { api_version: resource.api_version, kind: resource.kind });
        Self {
            kind,
            name: object.name_any(),
            uid: object.uid().unwrap_or_default(),
            release: object.labels().get(labels::RELEASE).cloned(),
            body: serde_json::to_value(object).unwrap_or_default(),
        }
    }

    /// Whether it is on its way out already.
    #[must_use]
    pub fn is_terminating(&self) -> bool {
        self.body.pointer("/metadata/deletionTimestamp").is_some()
    }

    /// An annotation's value.
    #[must_use]
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.body.pointer("/metadata/annotations")?.get(key)?.as_str()
    }
}

/// Whether an object belongs to this PaymentCluster, and not merely bears a name that the operator would give.
#[must_use]
pub fn is_owned(object: &DynamicObject, identity: &Identity) -> bool {
    object.meta().owner_references.iter().flatten().any(|owner| owner.uid == identity.uid)
}

/// A short hash of a value's content. Keys of a JSON object are sorted, so equal content has an equal hash.
#[must_use]
pub fn hash_of(value: &Value) -> String {
    let digest = Sha256::digest(value.to_string());
    digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// Adds annotations to a wanted object.
pub fn overlay_annotations(object: &mut Desired, annotations: Value) {
    difference::overlay(&mut object.body["metadata"]["annotations"], annotations);
}
