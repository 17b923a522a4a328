//! One control plane for all tests of this binary, with the definitions installed; one namespace per test.

use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};
use e2e::control_plane::ControlPlane;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Patch, PatchParams, PostParams};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::runtime::conditions;
use kube::runtime::wait::await_condition;
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use super::rights;

static CONTROL_PLANE: OnceCell<ControlPlane> = OnceCell::const_new();
static NAMESPACES: AtomicU32 = AtomicU32::new(0);

/// The control plane; the first caller starts it.
pub(crate) async fn control_plane() -> Result<&'static ControlPlane> {
    CONTROL_PLANE.get_or_try_init(start).await
}

/// A control plane that no other test uses, for what is done to it. It goes when the process ends, like the other one.
pub(crate) async fn own_control_plane() -> Result<&'static ControlPlane> {
    Ok(Box::leak(Box::new(start().await?)))
}

async fn start() -> Result<ControlPlane> {
    let started = ControlPlane::start().await?;
    install_definitions(&started.client().await?).await?;
    rights::install(&started).await?;
    Ok(started)
}

/// A client, and a namespace that no other test uses.
pub(crate) async fn namespace() -> Result<(Client, String)> {
    namespace_on(control_plane().await?).await
}

/// The same on a control plane of one's own.
pub(crate) async fn namespace_on(plane: &ControlPlane) -> Result<(Client, String)> {
    let client = plane.client().await?;
    let name = format!("test-{}", NAMESPACES.fetch_add(1, Ordering::Relaxed));
    let namespace = serde_json::from_value(json!({"metadata": {"name": name}}))?;
    Api::<Namespace>::all(client.clone()).create(&PostParams::default(), &namespace).await?;
    Ok((client, name))
}

async fn install_definitions(client: &Client) -> Result<()> {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    for definition in crds::all() {
        let name = definition.name_any();
        api.patch(&name, &PatchParams::apply("tests").force(), &Patch::Apply(&definition)).await?;
        await_condition(api.clone(), &name, conditions::is_crd_established()).await.context(name)?;
    }
    Ok(())
}

/// The API of one of our kinds, for objects that need not be valid.
pub(crate) fn untyped(client: &Client, namespace: &str, kind: &str) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk(crds::GROUP, crds::VERSION, kind);
    let plural = format!("{}s", kind.kind.to_lowercase());
    Api::namespaced_with(client.clone(), namespace, &ApiResource::from_gvk_with_plural(&kind, &plural))
}

/// A PaymentCluster with only what has no default.
pub(crate) fn minimal_cluster(name: &str) -> Value {
    json!({
        "apiVersion": "purser.dev/v1alpha1", "kind": "PaymentCluster", "metadata": {"name": name},
        "spec": {
            "version": "0.1.0",
            "database": {"urlSecretRef": {"name": format!("{name}-db"), "key": "url"}},
            "cache": {"urlSecretRef": {"name": format!("{name}-redis"), "key": "url"}},
            "providers": {"selector": {"matchLabels": {"purser.dev/cluster": name}}},
        },
    })
}

/// A change of version that is over soon, on a cluster where nobody can be asked for figures.
pub(crate) fn quick_release(version: &str) -> Value {
    json!({"spec": {
        "version": version,
        "rollout": {"retireAfter": "2s"},
        "sla": {"window": "10s", "onInconclusive": "Proceed"},
    }})
}

/// A PaymentProvider with only what has no default, selected by the PaymentCluster of that name.
pub(crate) fn minimal_provider(name: &str, cluster: &str) -> Value {
    json!({
        "apiVersion": "purser.dev/v1alpha1", "kind": "PaymentProvider",
        "metadata": {"name": name, "labels": {"purser.dev/cluster": cluster}},
        "spec": {
            "name": "STRIPE", "apiEndpoint": "https://api.stripe.com",
            "credentialsSecretRef": {"name": name, "key": "secretKey"},
        },
    })
}
